#include "kube/client/client_int.h"

#include "base/file.h"
#include "base/limits.h"
#include "kube/client/files_int.h"

#include <netdb.h>
#include <stdio.h>

#define CALL_TIMEOUT_MS                                                                            \
	60000 /* client-go's callers use 30-60 s; nothing but watches takes longer */
#define CONNECT_TIMEOUT_MS 5000
#define TOKEN_REREAD_MS                                                                            \
	60000 /* projected tokens are renewed at 80 % of an hour: client-go's interval */
#define TOKEN_BYTES_MAX (16u << 10) /* fits into a request head beside everything else */

struct kube_client {
	struct loop *loop;
	struct http_client *http; /* NULL: objects come from files */
	struct kube_files *files;
	struct list calls; /* struct kube_call */
	struct kube_events *events;
	char *user_agent, *prefix; /* prefix: the path in the server's URL, "" usually */
	char *authorization;	   /* "Bearer …" or NULL */
	char *token_file, *ca_pem;
	uint64_t token_read_ms;
};

struct kube_call {
	struct http_call *http;
	kube_done_fn *done;
	void *ctx;
	struct buf body;
	int status;
	struct list link;
	struct kube_local *local; /* answered from files; then http is NULL */
};

/* A request to files: it is answered at the end of the turn, when no informer is being told something. */
struct kube_local {
	struct kube_call *call;
	struct kube_client *kube;
	char *method, *path, *content_type;
	json_t *body;
	struct defer later;
};

/* ---- the server's address ---- */

struct server_url {
	bool tls;
	char *host, *port, *prefix;
};

static void server_url_done(struct server_url *u)
{
	free(u->host);
	free(u->port);
	free(u->prefix);
}

static int server_url_parse(const char *url, struct server_url *u, struct err *e)
{
	struct str rest = str_of(url), port = STR_NONE, path, host;

	u->tls = str_starts(rest, STR("https://"));
	if (!u->tls && !str_starts(rest, STR("http://")))
		return err_set(e, ERR_BAD_REQUEST, "server '%s' is neither http:// nor https://",
			       url);
	rest.ptr += u->tls ? 8 : 7;
	rest.len -= u->tls ? 8 : 7;
	host = str_cut(rest, '/', &path);
	if (host.len && host.ptr[0] == '[') {
		host = str_cut((struct str){ host.ptr + 1, host.len - 1 }, ']', &port);
		if (port.ptr)
			str_cut(port, ':', &port);
	} else {
		host = str_cut(host, ':', &port);
	}
	if (!host.len)
		return err_set(e, ERR_BAD_REQUEST, "server '%s' has no host", url);
	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	u->host = str_dup(host);
	u->port = port.len ? str_dup(port) : xstrdup(u->tls ? "443" : "80");
	u->prefix = path.len ? xasprintf("/" STR_FMT, STR_ARG(path)) : xstrdup("");
	return 0;
}

/* Names are resolved once, when the client is made: the loop is not running yet and may be blocked. */
static int server_resolve(const struct server_url *u, struct addr *a, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int rc = getaddrinfo(u->host, u->port, &hints, &found);

	if (rc)
		return err_set(e, ERR_UNAVAILABLE, "resolve '%s': %s", u->host, gai_strerror(rc));
	memcpy(&a->ss, found->ai_addr, found->ai_addrlen);
	a->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static int client_tls(const struct kube_config *c, struct tls **ret_tls, struct err *e)
{
	static const char *const alpn[] = { "h2", NULL };

	*ret_tls = tls_client_new(&(struct tls_config){ .cert_pem = str_of(c->cert_pem),
							.key_pem = str_of(c->key_pem),
							.ca_pem = str_of(c->ca_pem),
							.verify_peer = true,
							.alpn = alpn },
				  e);
	return *ret_tls ? 0 : err_wrap(e, "TLS settings for %s", c->server);
}

static int client_connect(struct kube_client *k, const struct kube_config *c,
			  const struct server_url *u, struct err *e)
{
	struct tls *tls = NULL;
	struct addr to;

	if (server_resolve(u, &to, e) < 0 || (u->tls && client_tls(c, &tls, e) < 0))
		return -1;
	bool v6 = strchr(u->host, ':');
	cleanup(freep) char *authority =
		xasprintf("%s%s%s:%s", v6 ? "[" : "", u->host, v6 ? "]" : "", u->port);
	k->http = http_client_new(
		k->loop, &(struct http_client_config){
				 .to = to,
				 .authority = authority,
				 .server_name = c->tls_server_name ? c->tls_server_name : u->host,
				 .tls = tls,
				 .h2 = true,
				 .connect_timeout_ms = CONNECT_TIMEOUT_MS });
	if (tls)
		tls_unref(tls);
	return 0;
}

struct kube_client *kube_client_new(struct loop *l, const struct kube_config *c,
				    const char *user_agent, struct err *e)
{
	struct server_url u = { 0 };
	struct kube_client *k = xcalloc(1, sizeof(*k));

	k->loop = l;
	list_init(&k->calls);
	k->user_agent = xstrdup(user_agent);
	if (c->token)
		k->authorization = xasprintf("Bearer %s", c->token);
	if (c->token_file)
		k->token_file = xstrdup(c->token_file);
	if (c->ca_pem)
		k->ca_pem = xstrdup(c->ca_pem);
	if (server_url_parse(c->server, &u, e) < 0 || client_connect(k, c, &u, e) < 0) {
		server_url_done(&u);
		kube_client_free(k);
		return NULL;
	}
	k->prefix = TAKE_PTR(u.prefix);
	server_url_done(&u);
	k->events = kube_events_new(k);
	return k;
}

struct kube_client *kube_client_from_files(struct loop *l, const char *dir, struct err *e)
{
	struct kube_client *k = xcalloc(1, sizeof(*k));

	k->loop = l;
	list_init(&k->calls);
	k->files = kube_files_new(l, dir, e);
	if (!k->files) {
		kube_client_free(k);
		return NULL;
	}
	k->events = kube_events_new(k);
	return k;
}

void kube_client_on_files_note(struct kube_client *k, kube_files_note_fn *fn, void *ctx)
{
	if (!k->files)
		return;
	k->files->note = fn;
	k->files->note_ctx = ctx;
}

struct kube_files *kube_client_files(struct kube_client *k)
{
	return k->files;
}

static void local_free(struct kube_local *c)
{
	if (!c)
		return;
	defer_cancel(&c->later);
	free(c->method);
	free(c->path);
	free(c->content_type);
	json_decref(c->body);
	free(c);
}

static void call_free(struct kube_call *c)
{
	list_del(&c->link);
	local_free(c->local);
	buf_done(&c->body);
	free(c);
}

void kube_client_free(struct kube_client *k)
{
	if (!k)
		return;
	if (k->http)
		http_client_free(k->http);
	list_for(pos, tmp, &k->calls)
		call_free(list_entry(pos, struct kube_call, link));
	kube_events_free(k->events);
	kube_files_free(k->files);
	free(k->user_agent);
	free(k->prefix);
	free(k->authorization);
	free(k->token_file);
	free(k->ca_pem);
	free(k);
}

struct loop *kube_client_loop(const struct kube_client *k)
{
	return k->loop;
}

const char *kube_client_ca(const struct kube_client *k)
{
	return k->ca_pem;
}

struct kube_events *kube_client_events(struct kube_client *k)
{
	return k->events;
}

/* ---- calls ---- */

static void token_refresh(struct kube_client *k)
{
	struct buf text;
	struct err e;

	if (!k->token_file ||
	    (k->token_read_ms && loop_now_ms(k->loop) - k->token_read_ms < TOKEN_REREAD_MS))
		return;
	k->token_read_ms = loop_now_ms(k->loop);
	buf_init(&text, TOKEN_BYTES_MAX);
	if (file_read(k->token_file, &text, &e) ==
	    0) { /* unreadable for a moment: the old one may still do */
		struct str token = buf_str(&text);

		while (token.len && (unsigned char)token.ptr[token.len - 1] <= ' ')
			token.len--;
		free(k->authorization);
		k->authorization = xasprintf("Bearer " STR_FMT, STR_ARG(token));
	}
	buf_done(&text);
}

struct http_call *kube_raw_send(struct kube_client *k, const struct kube_raw *r,
				const struct http_call_ops *ops, void *ctx)
{
	struct http_header h[4];
	size_t n = 0;

	token_refresh(k);
	cleanup(freep) char *path = xasprintf("%s%s", k->prefix, r->path);
	h[n++] = (struct http_header){ STR("user-agent"), str_of(k->user_agent) };
	h[n++] = (struct http_header){ STR("accept"), str_of(r->accept ? r->accept : KUBE_JSON) };
	if (r->content_type && r->body.len)
		h[n++] = (struct http_header){ STR("content-type"), str_of(r->content_type) };
	if (k->authorization)
		h[n++] = (struct http_header){ STR("authorization"), str_of(k->authorization) };
	return http_client_send(k->http,
				&(struct http_call_request){ .method = r->method,
							     .path = path,
							     .headers = h,
							     .n_headers = n,
							     .body = r->body,
							     .timeout_ms = r->timeout_ms },
				ops, ctx);
}

static enum err_reason reason_of_status(int status, const char *name)
{
	for (int r = ERR_NONE + 1; name && r <= ERR_TIMEOUT; r++)
		if (c_eq(err_reason_name((enum err_reason)r), name))
			return (enum err_reason)r;
	return err_reason_of_http(status);
}

int kube_status_error(int status, const json_t *body, struct err *e)
{
	const char *message = jx_str(body, "message");
	enum err_reason r = reason_of_status(status, jx_str(body, "reason"));

	if (message)
		return err_set(e, r, "%s", message);
	return err_set(e, r, "the server answered %d %s", status, http_status_text(status));
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct kube_call *c = ctx;

	(void)headers;
	c->status = status;
}

static void on_data(void *ctx, struct str bytes)
{
	struct kube_call *c = ctx;

	buf_put_str(&c->body, bytes); /* an overflow is reported once, at the end */
}

static int call_finish(struct kube_call *c, json_t **ret_obj, struct err *e)
{
	struct err ignored;

	if (c->body.overflow)
		return err_set(e, ERR_TOO_LARGE, "the answer is larger than %u bytes",
			       LIMIT_RESPONSE_BODY_BYTES);
	if (c->status >= 200 && c->status < 300 && !c->body.len)
		return 0;
	*ret_obj = jx_parse(buf_str(&c->body), LIMIT_RESPONSE_BODY_BYTES, &ignored);
	if (c->status < 200 || c->status >= 300)
		return kube_status_error(c->status, *ret_obj, e);
	if (!*ret_obj)
		return err_set(e, ERR_INTERNAL, "the answer is no JSON: %s", ignored.message);
	return 0;
}

static void on_done(void *ctx, const struct err *transport, struct http_headers trailers)
{
	struct kube_call *c = ctx;
	struct err e;
	const struct err *failed = transport;
	json_t *obj = NULL;

	(void)trailers;
	if (transport)
		c->status = 0;
	else if (call_finish(c, &obj, &e) < 0)
		failed = &e;
	list_del(&c->link);
	if (c->done)
		c->done(c->ctx, c->status, obj, failed);
	json_decref(obj);
	call_free(c);
}

static const struct http_call_ops call_ops = { .response = on_response,
					       .data = on_data,
					       .done = on_done };

static struct kube_call *call_new(struct kube_client *k, const struct kube_raw *r,
				  kube_done_fn *done, void *ctx)
{
	struct kube_call *c = xcalloc(1, sizeof(*c));

	c->done = done;
	c->ctx = ctx;
	buf_init(&c->body, LIMIT_RESPONSE_BODY_BYTES);
	list_append(&k->calls, &c->link);
	c->http = kube_raw_send(k, r, &call_ops, c);
	return c;
}

static void local_answer(struct defer *d)
{
	struct kube_local *l = container_of(d, struct kube_local, later);
	struct kube_call *c = l->call;
	json_t *obj = NULL;
	struct err e;

	c->status = files_answer(l->kube->files, l->method, l->path, l->content_type, l->body, &obj, &e);
	list_del(&c->link);
	if (c->done)
		c->done(c->ctx, c->status, obj, c->status >= 300 ? &e : NULL);
	json_decref(obj);
	call_free(c);
}

static struct kube_call *local_new(struct kube_client *k, const char *method, const char *path, const char *content_type,
				   const json_t *body, kube_done_fn *done, void *ctx)
{
	struct kube_call *c = xcalloc(1, sizeof(*c));
	struct kube_local *l = c->local = xcalloc(1, sizeof(*l));

	c->done = done;
	c->ctx = ctx;
	list_append(&k->calls, &c->link);
	*l = (struct kube_local){ .call = c,
				  .kube = k,
				  .method = xstrdup(method),
				  .path = xstrdup(path),
				  .content_type = xstrdup(content_type),
				  .body = body ? json_deep_copy(body) : NULL,
				  .later.run = local_answer };
	loop_defer(k->loop, &l->later);
	return c;
}

struct kube_call *kube_request(struct kube_client *k, const char *method, const char *path,
			       const char *content_type, const json_t *body, kube_done_fn *done,
			       void *ctx)
{
	cleanup(freep) char *text = body && !k->files ? jx_dump_text(body) : NULL;

	if (k->files)
		return local_new(k, method, path, content_type, body, done, ctx);
	return call_new(k,
			&(struct kube_raw){ .method = method,
					    .path = path,
					    .content_type = content_type ? content_type : KUBE_JSON,
					    .body = str_of(text),
					    .timeout_ms = CALL_TIMEOUT_MS },
			done, ctx);
}

struct kube_call *kube_get_as(struct kube_client *k, const char *path, const char *accept,
			      kube_done_fn *done, void *ctx)
{
	if (k->files)
		return local_new(k, "GET", path, NULL, NULL, done, ctx);
	return call_new(k,
			&(struct kube_raw){ .method = "GET",
					    .path = path,
					    .accept = accept,
					    .timeout_ms = CALL_TIMEOUT_MS },
			done, ctx);
}

void kube_cancel(struct kube_call *c)
{
	if (!c)
		return;
	http_call_cancel(c->http);
	call_free(c);
}
