/* The request filter at work: enable-modsecurity, enable-owasp-core-rules, and our own annotations of mode and level. */
#include "roles/ingress/filter/waf.h"

#include "base/buf.h"
#include "base/log.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/filter/waf_int.h"
#include "roles/ingress/observe/metrics.h"

#define HELD_BYTES_MAX (4u << 20) /* a body held back and the piece that made it too long: codecs give far smaller ones */
#define REPORT_RULES_MAX 16
#define REPORT_URI_MAX 200
#define REPORTS_PER_SECOND 10 /* of one worker: an attack must not fill the log */

struct waf_use {
	struct waf_result result;
	enum waf_body_type type;
	struct str boundary;
	struct buf body;
	bool body_read, reported;
};

/* ---- reports ---- */

struct report {
	bool refused;
	unsigned score;
	size_t n_rules;
	unsigned rules[REPORT_RULES_MAX];
	char *client, *host, *uri, *ingress;
};

static void report_free(struct report *r)
{
	free(r->client);
	free(r->host);
	free(r->uri);
	free(r->ingress);
	free(r);
}

/* Main thread. */
static void report_log(void *ctx)
{
	struct report *r = ctx;
	struct buf rules, uri;
	buf_init(&rules, 256);
	buf_init(&uri, 4 * REPORT_URI_MAX);
	for (size_t i = 0; i < MIN(r->n_rules, REPORT_RULES_MAX); i++)
		buf_printf(&rules, "%s%u", i == 0 ? "" : ",", r->rules[i]);
	buf_put_json(&uri, str_of(r->uri));
	log_warn("waf action=%s score=%u rules=%s client=%s host=%s uri=%s ingress=%s", r->refused ? "refused" : "detected", r->score,
		 rules.ptr, r->client, r->host, uri.ptr == NULL ? "" : uri.ptr, r->ingress);
	buf_done(&rules);
	buf_done(&uri);
	report_free(r);
}

static bool report_allowed(uint64_t now_ms)
{
	static __thread uint64_t second;
	static __thread unsigned n;
	if (now_ms / 1000 != second) {
		second = now_ms / 1000;
		n = 0;
	}
	return n++ < REPORTS_PER_SECOND;
}

static void report(struct exchange *x, struct waf_use *u, bool refused)
{
	u->reported = true;
	waf_count(refused);
	metrics_inc(x->worker->metrics, refused ? METRIC_WAF_BLOCKED : METRIC_WAF_DETECTED);
	struct loop *main_loop = x->worker->shared->main_loop;
	if (main_loop == NULL || !report_allowed(loop_now_ms(x->worker->loop)))
		return;
	struct report *r = xcalloc(1, sizeof(*r));
	r->refused = refused;
	r->score = u->result.score;
	r->n_rules = waf_matched(&u->result, r->rules, REPORT_RULES_MAX);
	r->client = xstrdup(x->req.client_text);
	r->host = str_dup(x->req.host);
	r->uri = str_dup((struct str){ x->req.target.ptr, MIN(x->req.target.len, REPORT_URI_MAX) });
	r->ingress = xasprintf("%s/%s", x->loc->ns, x->loc->ingress);
	loop_post(main_loop, report_log, r);
}

static enum filter_verdict verdict(struct exchange *x, struct waf_use *u)
{
	if (u->result.score < WAF_THRESHOLD || u->reported)
		return FILTER_NEXT;
	bool refuse = x->loc->set->waf == WAF_BLOCK;
	report(x, u, refuse);
	if (!refuse)
		return FILTER_NEXT;
	exchange_answer_error(x, 403);
	return FILTER_ANSWERED;
}

/* ---- the head ---- */

/* Rules for any header look for what begins with these. */
static bool header_is_suspicious(struct str value)
{
	return value.len > 0 && (memchr(value.ptr, '{', value.len) != NULL || memchr(value.ptr, '%', value.len) != NULL);
}

static void inspect_header(struct waf_result *r, const struct http_header *h, bool *has_agent)
{
	static const struct {
		struct str name;
		enum waf_target target;
	} known[] = {
		{ { "user-agent", 10 }, WAF_AGENT },
		{ { "referer", 7 }, WAF_REFERER },
		{ { "cookie", 6 }, WAF_COOKIE },
		{ { "range", 5 }, WAF_HEADER },
		{ { "content-encoding", 16 }, WAF_HEADER },
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!str_ieq(h->name, known[i].name))
			continue;
		*has_agent |= known[i].target == WAF_AGENT && h->value.len > 0;
		if (known[i].target == WAF_COOKIE)
			waf_inspect_cookies(r, h->value);
		else
			waf_inspect(r, known[i].target, h->name, h->value, WAF_AS_IS);
		return;
	}
	if (header_is_suspicious(h->value))
		waf_inspect(r, WAF_HEADER, h->name, h->value, WAF_AS_IS);
}

static void inspect_head(struct waf_result *r, const struct request *req)
{
	bool has_agent = false;
	size_t types = 0;
	if (req->upgrade.len == 0 || !str_eq(req->method, STR("CONNECT"))) /* RFC 8441's is a WebSocket */
		waf_inspect(r, WAF_METHOD, STR_NONE, req->method, WAF_AS_IS);
	waf_inspect(r, WAF_URI, STR_NONE, req->path, WAF_AS_IS);
	waf_inspect_args(r, WAF_QUERY_ARG, req->query);
	waf_inspect(r, WAF_HOST, STR_NONE, req->authority, WAF_AS_IS);
	for (size_t i = 0; i < req->headers.n; i++) {
		inspect_header(r, &req->headers.at[i], &has_agent);
		types += str_ieq(req->headers.at[i].name, STR("content-type"));
	}
	if (types > 1)
		waf_fact_found(r, WAF_TWO_TYPES);
	if (!has_agent)
		waf_fact_found(r, WAF_NO_AGENT);
	if (req->has_body && (str_eq(req->method, STR("GET")) || req->is_head))
		waf_fact_found(r, WAF_BODY_UNEXPECTED);
}

static bool waf_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	if (loc->set->waf == WAF_OFF)
		return false;
	waf_engine(); /* the first request must not wait for it */
	return true;
}

static enum filter_verdict waf_request(struct exchange *x, void **state)
{
	struct waf_use *u = arena_alloc(&x->arena, sizeof(*u));
	if (u == NULL) {
		exchange_answer_error(x, 500);
		return FILTER_ANSWERED;
	}
	*state = u;
	buf_init(&u->body, HELD_BYTES_MAX);
	waf_result_init(&u->result, x->loc->set->waf_paranoia);
	waf_exclude(&u->result, x->loc->set->waf_exclude, x->loc->set->n_waf_exclude);
	u->result.first_only = x->loc->set->waf == WAF_BLOCK;
	inspect_head(&u->result, &x->req);
	if (x->req.has_body) /* with Upgrade, too: whoever does not upgrade reads it like any other */
		u->type = waf_body_type(header_get(&x->req.headers, "content-type"), &u->boundary);
	return verdict(x, u);
}

/* ---- the body ---- */

static enum filter_verdict waf_request_body(struct exchange *x, void **state, struct str *data, bool end)
{
	struct waf_use *u = *state;
	if (u == NULL || u->type == WAF_BODY_UNREAD || u->body_read)
		return FILTER_NEXT;
	bool hold = x->loc->set->waf == WAF_BLOCK;
	if (buf_put_str(&u->body, *data) != 0) {
		exchange_answer_error(x, 413);
		return FILTER_ANSWERED;
	}
	if (hold)
		*data = STR("");
	if (!end && u->body.len < WAF_BODY_BYTES_MAX)
		return FILTER_NEXT;
	u->body_read = true;
	struct str all = buf_str(&u->body), looked_at = { all.ptr, MIN(all.len, WAF_BODY_BYTES_MAX) };
	waf_inspect_body(&u->result, u->type, u->boundary, looked_at, end && all.len <= WAF_BODY_BYTES_MAX);
	if (hold)
		*data = all; /* stays until the exchange ends */
	return verdict(x, u);
}

static void waf_done(struct exchange *x, void **state)
{
	(void)x;
	struct waf_use *u = *state;
	if (u != NULL)
		buf_done(&u->body);
}

const struct filter filter_waf = {
	.name = "waf",
	.wanted = waf_wanted,
	.request = waf_request,
	.request_body = waf_request_body,
	.done = waf_done,
};
