/* fake_api.h - an API server of one resource for tests of clients: lists in pages, watches, breaks on demand.
 * It runs on the client's own loop. */
#pragma once

#include "kube/client/client.h"
#include "net/http_server.h"
#include "quoted_json.h"

#include <string.h>
#include <unistd.h>

struct fake_api {
	struct loop *loop;
	struct http_server *server;
	struct tls *tls;
	uint16_t port;
	uint64_t version, oldest_version; /* watches from before oldest_version get 410 */
	json_t *items;			  /* name → object */
	size_t page_size;		  /* 0: all at once */
	struct http_exchange *watch;	  /* the one that is open, or NULL */
	unsigned lists, pages, watches, requests;
	int refuse_lists;		  /* this many answer 500 */
	bool forbid_lists;		  /* they answer 403 */
	int break_lists;		  /* this many end in the middle of an item */
	int expire_pages;		  /* this many continue tokens answer 410 */
	char last_query[512], last_method[16], last_path[256], last_authorization[256], last_accept[256];
	char last_type[128];
	json_t *last_body;
	/* For anything but a list or a watch; NULL: 404. Returns a status and sets a body (owned by the fake). */
	int (*other)(struct fake_api *f, const struct http_request *r, json_t **ret_body);
};

static inline json_t *fake_object(const char *name, const char *value, uint64_t version)
{
	return J("{'metadata':{'name':'%s','namespace':'ns','uid':'uid-%s','resourceVersion':'%d',"
		 "'managedFields':[{'manager':'x'}]},'data':{'v':'%s'}}",
		 name, name, (int)version, value);
}

static inline void fake_reply(struct http_exchange *x, int status, json_t *body)
{
	static const struct http_header json_type = { STR("content-type"), STR("application/json") };
	char *text = jx_dump_text(body);

	http_reply(x, status, &json_type, 1, str_of(text));
	free(text);
	json_decref(body);
}

static inline json_t *fake_status(int code, const char *reason, const char *message)
{
	return J("{'kind':'Status','apiVersion':'v1','status':'Failure','code':%d,'reason':'%s','message':'%s'}",
		 code, reason, message);
}

static inline void fake_list(struct fake_api *f, struct http_exchange *x, const char *from)
{
	size_t start = from ? (size_t)atoi(from) : 0, i = 0;
	json_t *list = J("{'kind':'ThingList','apiVersion':'v1','metadata':{'resourceVersion':'%d'},'items':[]}",
			 (int)f->version);
	const char *name;
	json_t *obj;

	f->lists += !from;
	f->pages++;
	json_object_foreach(f->items, name, obj)
	{
		if (i >= start && (!f->page_size || i < start + f->page_size))
			json_array_append_new(json_object_get(list, "items"), json_deep_copy(obj));
		i++;
	}
	if (f->page_size && start + f->page_size < i) {
		char next[24];
		snprintf(next, sizeof(next), "%zu", start + f->page_size);
		jx_set_str(list, "metadata.continue", next);
	}
	fake_reply(x, 200, list);
}

static inline void fake_broken_list(struct http_exchange *x)
{
	http_reply(x, 200, NULL, 0,
		   STR("{\"kind\":\"ThingList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"a\","
		       "\"namespace\":\"ns\",\"uid\":\"uid-a\",\"resourceVersion\":\"2\"},\"data\":{\"v\":\"1\"}},7]}"));
}

static inline void fake_watch_closed(void *ctx)
{
	((struct fake_api *)ctx)->watch = NULL;
}

static inline void fake_write(struct fake_api *f, const char *text)
{
	if (f->watch)
		http_reply_write(f->watch, str_of(text));
}

static inline void fake_event(struct fake_api *f, const char *type, json_t *obj)
{
	json_t *event = json_object();

	json_object_set_new(event, "type", json_string(type));
	json_object_set(event, "object", obj);
	char *text = jx_dump_text(event);
	char *line = xasprintf("%s\n", text);
	fake_write(f, line);
	free(line);
	free(text);
	json_decref(event);
}

static inline void fake_watch(struct fake_api *f, struct http_exchange *x, const char *from)
{
	uint64_t since = strtoull(from ? from : "0", NULL, 10);

	f->watches++;
	http_reply_start(x, 200, NULL, 0);
	f->watch = x;
	http_on_closed(x, fake_watch_closed, f);
	if (since < f->oldest_version) {
		json_t *gone = fake_status(410, "Expired", "too old resource version");
		fake_event(f, "ERROR", gone);
		json_decref(gone);
		http_reply_end(x);
		f->watch = NULL;
	}
}

static inline void fake_copy(char *to, size_t room, struct str s)
{
	snprintf(to, room, STR_FMT, STR_ARG(s));
}

static inline void fake_request(void *ctx, struct http_exchange *x)
{
	struct fake_api *f = ctx;
	const struct http_request *r = http_request_of(x);
	struct arena *a = http_arena(x);
	const char *from = http_query_get(r->query, "continue", a);
	json_t *body = NULL;

	f->requests++;
	fake_copy(f->last_query, sizeof(f->last_query), r->query);
	fake_copy(f->last_method, sizeof(f->last_method), r->method);
	fake_copy(f->last_path, sizeof(f->last_path), r->path);
	fake_copy(f->last_authorization, sizeof(f->last_authorization), http_header_get(r->headers, "authorization"));
	fake_copy(f->last_accept, sizeof(f->last_accept), http_header_get(r->headers, "accept"));
	fake_copy(f->last_type, sizeof(f->last_type), http_header_get(r->headers, "content-type"));
	json_decref(f->last_body);
	f->last_body = r->body.len ? json_loadb(r->body.ptr, r->body.len, 0, NULL) : NULL;
	if (!str_eq_c(r->path, "/api/v1/things") || !str_eq_c(r->method, "GET")) {
		int status = f->other ? f->other(f, r, &body) : 404;
		fake_reply(x, status, body ? body : fake_status(status, "NotFound", "no such thing"));
	} else if (c_eq(http_query_get(r->query, "watch", a), "true")) {
		fake_watch(f, x, http_query_get(r->query, "resourceVersion", a));
	} else if (f->forbid_lists) {
		fake_reply(x, 403, fake_status(403, "Forbidden", "things is forbidden"));
	} else if (f->refuse_lists > 0) {
		f->refuse_lists--;
		fake_reply(x, 500, fake_status(500, "InternalError", "not today"));
	} else if (f->break_lists > 0) {
		f->break_lists--;
		fake_broken_list(x);
	} else if (from && f->expire_pages > 0) {
		f->expire_pages--;
		fake_reply(x, 410, fake_status(410, "Expired", "the continue token is too old"));
	} else {
		fake_list(f, x, from);
	}
}

static inline void fake_open(struct fake_api *f)
{
	struct addr a;
	struct err e;
	struct http_server_config c = { .request = fake_request,
					.ctx = f,
					.tls = f->tls,
					.body_max = 1 << 20,
					.connections_max = 100,
					.idle_ms = 60000 };

	if (addr_from_ip("127.0.0.1", f->port, &a, &e) < 0)
		fail_msg("%s", e.message);
	int fd = addr_listen(&a, 16, &e);
	if (fd < 0)
		fail_msg("%s", e.message);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	char port[ADDR_TEXT_BYTES];
	a = (struct addr){ ss, len };
	f->port = (uint16_t)atoi(strrchr(addr_text(&a, port), ':') + 1);
	f->server = http_server_new(f->loop, &c);
	if (http_server_listen(f->server, fd, &e) < 0)
		fail_msg("%s", e.message);
}

static inline void fake_close(struct fake_api *f)
{
	http_server_free(f->server);
	f->server = NULL;
	f->watch = NULL;
}

static inline void fake_init(struct fake_api *f, struct loop *l)
{
	*f = (struct fake_api){ .loop = l, .version = 1, .items = json_object() };
	fake_open(f);
}

static inline void fake_done(struct fake_api *f)
{
	fake_close(f);
	json_decref(f->items);
	json_decref(f->last_body);
}

static inline void fake_put(struct fake_api *f, const char *name, const char *value)
{
	bool had = json_object_get(f->items, name);
	json_t *obj = fake_object(name, value, ++f->version);

	json_object_set(f->items, name, obj);
	fake_event(f, had ? "MODIFIED" : "ADDED", obj);
	json_decref(obj);
}

static inline void fake_delete(struct fake_api *f, const char *name)
{
	json_t *obj = json_deep_copy(json_object_get(f->items, name));
	char version[24];

	snprintf(version, sizeof(version), "%d", (int)++f->version);
	jx_set_str(obj, "metadata.resourceVersion", version);
	json_object_del(f->items, name);
	fake_event(f, "DELETED", obj);
	json_decref(obj);
}

static inline struct kube_client *fake_client(struct fake_api *f)
{
	struct err e;
	cleanup(freep) char *url = xasprintf("http://127.0.0.1:%d", f->port);
	struct kube_client *k = kube_client_new(f->loop, &(struct kube_config){ .server = url }, "test", &e);

	if (!k)
		fail_msg("%s", e.message);
	return k;
}

/* ---- running the loop until something holds ---- */

struct fake_wait {
	struct timer poll;
	struct loop *loop;
	bool (*holds)(void *ctx);
	void *ctx;
	uint64_t until_ms;
	bool held;
};

static inline void fake_wait_fire(struct timer *t)
{
	struct fake_wait *w = container_of(t, struct fake_wait, poll);

	w->held = w->holds && w->holds(w->ctx);
	if (w->held || loop_now_ms(w->loop) >= w->until_ms)
		loop_stop(w->loop);
	else
		timer_start(w->loop, t, 1);
}

/* Runs the loop until holds(ctx), at most `most_ms`; holds NULL: simply that long. */
static inline bool fake_run(struct loop *l, bool (*holds)(void *ctx), void *ctx, uint64_t most_ms)
{
	struct fake_wait w = { .poll.fire = fake_wait_fire, .loop = l, .holds = holds, .ctx = ctx };

	w.until_ms = loop_now_ms(l) + most_ms;
	timer_start(l, &w.poll, 0);
	loop_run(l);
	timer_stop(&w.poll);
	return w.held;
}
