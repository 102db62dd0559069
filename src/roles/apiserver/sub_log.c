/* pods/log: the node agent's containerLogs, passed through as it comes. */
#include "roles/apiserver/handlers.h"

#include "net/http_client.h"
#include "roles/apiserver/kubelet.h"
#include "roles/apiserver/status.h"

#define CONNECT_MS 10000
#define ERROR_TEXT_BYTES 2048	      /* what upstream reads of a kubelet's complaint */
#define LOG_PENDING_BYTES (16u << 20) /* a reader that is this far behind is cut off */

struct log_stream {
	struct request *q; /* NULL once its client is gone or served */
	struct loop *loop;
	struct http_client *client;
	struct http_call *call;
	int status;
	struct buf complaint;
	struct defer bury;
};

static void bury(struct defer *d)
{
	struct log_stream *s = container_of(d, struct log_stream, bury);

	http_client_free(s->client);
	buf_done(&s->complaint);
	free(s);
}

static void log_end(struct log_stream *s)
{
	s->q = NULL;
	loop_defer(s->loop, &s->bury);
}

static void client_closed(void *ctx)
{
	struct log_stream *s = ctx;

	request_detach(s->q);
	http_call_cancel(s->call);
	log_end(s);
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	static const struct http_header answer[] = { { STR("content-type"), STR("text/plain") },
						     { STR("cache-control"),
						       STR("no-cache, private") } };
	struct log_stream *s = ctx;

	(void)headers;
	s->status = status;
	if (status == 200)
		http_reply_start(s->q->x, 200, answer, ARRAY_LEN(answer));
}

static void on_data(void *ctx, struct str bytes)
{
	struct log_stream *s = ctx;

	if (!s->q)
		return;
	if (s->status != 200) {
		buf_put(&s->complaint, bytes.ptr,
			MIN(bytes.len, ERROR_TEXT_BYTES - s->complaint.len));
		return;
	}
	http_reply_write(s->q->x, bytes);
	if (http_reply_pending(s->q->x) > LOG_PENDING_BYTES) {
		struct http_exchange *x = s->q->x;
		request_detach(s->q);
		http_call_cancel(s->call);
		log_end(s);
		http_reply_abort(x);
	}
}

static void reply_complaint(struct request *q, int status, struct str text)
{
	struct err e;

	text = str_trim(text);
	if (status == 400)
		err_set(&e, ERR_BAD_REQUEST, STR_FMT, STR_ARG(text));
	else if (status == 404)
		err_set(&e, ERR_NOT_FOUND,
			"the server could not find the requested resource ( pods/log %s)",
			q->info.name);
	else
		err_set(&e, ERR_INTERNAL,
			"an error on the server (\"" STR_FMT
			"\") has prevented the request from succeeding",
			STR_ARG(text));
	reply_error(q, &e);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct log_stream *s = ctx;
	struct request *q = s->q;

	(void)trailers;
	if (!q)
		return;
	log_end(s);
	if (s->status == 200) {
		struct http_exchange *x = q->x;
		request_detach(q);
		if (e)
			http_reply_abort(x);
		else
			http_reply_end(x);
	} else {
		http_on_closed(q->x, NULL, NULL);
		reply_complaint(q, e ? 500 : s->status,
				e ? str_of(e->message) : buf_str(&s->complaint));
	}
}

static const struct http_call_ops log_ops = { .response = on_response,
					      .data = on_data,
					      .done = on_done };

static void log_start(struct request *q, const struct kubelet_target *t)
{
	struct log_stream *s = xcalloc(1, sizeof(*s));
	cleanup(freep) char *authority = xasprintf("%s:%u", t->host, t->port);
	cleanup(freep) char *path = xasprintf("/containerLogs/%s/%s/%s?" STR_FMT, q->info.ns,
					      q->info.name, t->container, STR_ARG(q->http->query));
	const struct http_client_config config = { .to = t->to,
						   .authority = authority,
						   .server_name = t->host,
						   .tls = q->api->kubelet_tls,
						   .connect_timeout_ms = CONNECT_MS };
	const struct http_call_request call = { .method = "GET", .path = path };

	s->q = q;
	s->loop = q->api->loop;
	s->bury.run = bury;
	buf_init(&s->complaint, ERROR_TEXT_BYTES);
	http_on_closed(q->x, client_closed, s);
	s->client = http_client_new(s->loop, &config);
	s->call = http_client_send(s->client, &call, &log_ops, s);
}

void handle_log(struct request *q)
{
	struct kubelet_target t;
	struct err e;

	if (kubelet_find(q, true, &t, &e) < 0)
		reply_error(q, &e);
	else if (!t.to.len)
		reply_text(q, 200, "");
	else
		log_start(q, &t);
}
