#include "roles/apiserver/request.h"

#include "base/limits.h"
#include "roles/apiserver/gzip.h"
#include "roles/apiserver/status.h"

#define GZIP_FROM_BYTES (128u << 10) /* kube-apiserver compresses nothing smaller */
#define HEADERS_MAX (8 + REQUEST_HEADERS_MAX + WARNINGS_MAX)
#define WARNINGS_MAX 32 /* a client that sends more unknown fields sees these */

struct header_set {
	struct http_header at[HEADERS_MAX];
	size_t n;
};

void reply_header(struct request *q, const char *name, const char *value)
{
	if (value && q->n_headers < REQUEST_HEADERS_MAX)
		q->headers[q->n_headers++] = (struct http_header){ str_of(name), str_of(value) };
}

static bool has_header(const struct request *q, const char *name)
{
	for (size_t i = 0; i < q->n_headers; i++)
		if (str_eq_c(q->headers[i].name, name))
			return true;
	return false;
}

static void header_add(struct header_set *h, const char *name, const char *value)
{
	if (value && h->n < HEADERS_MAX)
		h->at[h->n++] = (struct http_header){ str_of(name), str_of(value) };
}

/* RFC 7234 warning code 299; the text is a quoted-string. */
static const char *warning_value(struct request *q, const char *text)
{
	struct buf quoted;

	buf_init(&quoted, 4096);
	buf_puts(&quoted, "299 - \"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_putc(&quoted, '\\');
		buf_putc(&quoted, (unsigned char)*c < 0x20 ? ' ' : *c);
	}
	buf_putc(&quoted, '"');
	const char *value = arena_strndup(q->arena, quoted.ptr, quoted.len);
	buf_done(&quoted);
	return value;
}

static void add_warnings(struct request *q, struct header_set *h)
{
	size_t i;
	json_t *w;

	json_array_foreach(q->warnings, i, w) if (i < WARNINGS_MAX && json_is_string(w))
		header_add(h, "warning", warning_value(q, json_string_value(w)));
}

static bool wants_pretty(const struct request *q)
{
	struct str agent = http_header_get(q->http->headers, "user-agent");

	if (q->opt.pretty_given)
		return q->opt.pretty;
	return str_starts(agent, STR("curl")) || str_starts(agent, STR("Wget")) ||
	       str_starts(agent, STR("Mozilla"));
}

static void make_pretty(struct buf *body)
{
	struct err e;
	cleanup(json_decrefp) json_t *v = jx_parse(buf_str(body), SIZE_MAX, &e);
	cleanup(freep) char *text = v ? json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;

	if (!text)
		return;
	buf_clear(body);
	buf_puts(body, text);
}

void request_detach(struct request *q)
{
	store_wait_cancel(&q->wait);
	json_decref(q->warnings);
	q->warnings = NULL;
	buf_done(&q->body);
}

static bool is_json(const char *content_type)
{
	return str_starts(str_of(content_type), STR("application/json"));
}

static void send_now(struct request *q)
{
	struct header_set h = { 0 };
	struct http_exchange *x = q->x;

	if (is_json(q->content_type)) {
		if (wants_pretty(q))
			make_pretty(&q->body);
		/* Every JSON answer ends in a newline; a list at its limit may do without. */
		if (q->body.len && q->body.ptr[q->body.len - 1] != '\n')
			buf_putc(&q->body, '\n');
	}
	header_add(&h, "content-type", q->content_type);
	if (!has_header(q, "cache-control"))
		header_add(&h, "cache-control", "no-cache, private");
	for (size_t i = 0; i < q->n_headers; i++)
		h.at[h.n++] = q->headers[i];
	if (q->status == 401)
		header_add(&h, "www-authenticate", "Bearer realm=\"kubernetes\"");
	/* Clients ask again by themselves, ten times; what is behind a proxy is not known to come back. */
	if (q->status == 429 || (q->status == 503 && !request_info_is_proxy(&q->info)))
		header_add(&h, "retry-after", "1");
	if (q->body.len > GZIP_FROM_BYTES &&
	    http_header_has_token(q->http->headers, "accept-encoding", "gzip") &&
	    gzip_replace(&q->body) == 0) {
		header_add(&h, "content-encoding", "gzip");
		header_add(&h, "vary", "Accept-Encoding");
	}
	add_warnings(q, &h);
	if (q->status >= 400)
		q->api->metrics.errors++;
	int status = q->status;
	struct buf body = q->body;
	q->body = (struct buf){ 0 };
	http_reply_shared(x, status, h.at, h.n, buf_str(&body), free, body.ptr);
}

/* Headers point into the request: what it owns may go only after they were sent, but it may be
 * freed by sending. */
static void finish(struct request *q)
{
	json_t *warnings = q->warnings;

	store_wait_cancel(&q->wait);
	send_now(q);
	json_decref(warnings);
}

static void durable(struct store_wait *w, const struct err *e)
{
	struct request *q = container_of(w, struct request, wait);

	if (e) {
		cleanup(json_decrefp) json_t *status = status_of_err(e, q->res, q->info.name);
		buf_clear(&q->body);
		(void)!jx_dump(status, &q->body);
		q->status = status_code(status);
		q->content_type = "application/json";
	}
	finish(q);
}

void request_warn(struct request *q, json_t *texts)
{
	if (!texts)
		return;
	if (!q->warnings)
		q->warnings = json_array();
	json_array_extend(q->warnings, texts);
	json_decref(texts);
}

void request_init(struct request *q)
{
	q->wait = (struct store_wait){ .done = durable };
	buf_init(&q->body, LIMIT_RESPONSE_BODY_BYTES);
}

void reply_body(struct request *q, int status, const char *content_type, struct buf *body)
{
	q->status = status;
	q->content_type = content_type;
	if (q->body.ptr != body->ptr) {
		buf_done(&q->body);
		q->body = *body;
		*body = (struct buf){ .max = body->max };
	}
	if (q->table)
		store_wait(q->api->store, &q->wait, q->table->last_rv);
	else
		finish(q);
}

void reply_text(struct request *q, int status, const char *text)
{
	struct buf b;

	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	buf_puts(&b, text);
	reply_body(q, status, "text/plain; charset=utf-8", &b);
}

void reply_json(struct request *q, int status, json_t *v)
{
	struct buf b;

	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	(void)!jx_dump(v, &b);
	json_decref(v);
	reply_body(q, status, "application/json", &b);
}

void reply_status(struct request *q, json_t *v)
{
	reply_json(q, status_code(v), v);
}

void reply_error(struct request *q, const struct err *e)
{
	reply_status(q, status_of_err(e, q->res, q->info.name));
}

static struct render render_of(const struct request *q)
{
	return (struct render){ .res = q->res,
				.form = q->form,
				.include_object = q->opt.include_object,
				.now_ms = wall_now_ms() };
}

void reply_object(struct request *q, int status, const struct object *o)
{
	struct render rd = render_of(q);
	struct err e;
	struct buf b;

	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	if (render_object(&rd, o, &b, &e) < 0) {
		buf_done(&b);
		reply_error(q, &e);
		return;
	}
	reply_body(q, status, form_media_type(q->form), &b);
}

void reply_list(struct request *q, const struct render_list *l)
{
	struct render rd = render_of(q);
	struct err e;
	struct buf b;

	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	if (render_list(&rd, l, &b, &e) < 0) {
		buf_done(&b);
		reply_error(q, &e);
		return;
	}
	reply_body(q, 200, form_media_type(q->form), &b);
}

struct authz_question request_question(const struct request *q)
{
	return (struct authz_question){
		.is_resource = q->info.is_resource,
		.verb = q->info.verb,
		.group = q->info.group,
		.resource = q->info.resource,
		.subresource = q->info.subresource,
		.ns = q->info.ns,
		.name = q->info.name,
		.path = q->info.path,
	};
}
