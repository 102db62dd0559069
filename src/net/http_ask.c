#include "net/http_ask.h"

#include "net/http_client.h"

#include <ctype.h>

#define CONNECT_MS 2000
#define LINE_BYTES_MAX (1u << 20)

struct asked {
	struct loop *loop;
	struct buf *body;
	bool (*line)(void *ctx, struct str line); /* NULL: the body is wanted as a whole */
	void *ctx;
	struct err *e;
	int fd;	    /* -1: nobody interrupts */
	int status; /* 0: failed */
	bool interrupted;
};

static void on_response(void *ctx, int status, struct http_headers headers)
{
	(void)headers;
	((struct asked *)ctx)->status = status;
}

static void take_lines(struct asked *a)
{
	char *end;

	while ((end = a->body->len ? memchr(a->body->ptr, '\n', a->body->len) : NULL)) {
		size_t n = (size_t)(end - a->body->ptr);
		bool more = a->line(a->ctx, (struct str){ a->body->ptr, n });
		buf_consume(a->body, n + 1);
		if (more)
			continue;
		loop_stop(a->loop);
		return;
	}
}

static void on_data(void *ctx, struct str bytes)
{
	struct asked *a = ctx;

	buf_put_str(a->body, bytes);
	if (a->line && a->status == 200)
		take_lines(a);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct asked *a = ctx;

	(void)trailers;
	if (e) {
		*a->e = *e;
		a->status = 0;
	}
	loop_stop(a->loop);
}

static void on_key(struct io *io, uint32_t events)
{
	struct asked *a = io->ctx;

	(void)events;
	io_stop(io);
	a->interrupted = true;
	loop_stop(a->loop);
}

static int ask(struct asked *a, const struct addr *to, const char *path, uint64_t timeout_ms)
{
	struct io key = { .fd = a->fd, .ready = on_key, .ctx = a };

	static const struct http_call_ops ops = { .response = on_response, .data = on_data, .done = on_done };

	a->loop = loop_new(a->e);
	if (!a->loop)
		return -1;
	if (a->fd != -1 && io_watch(a->loop, &key, EPOLLIN, a->e) < 0) {
		loop_free(a->loop);
		return -1;
	}
	struct http_client *client = http_client_new(a->loop, &(struct http_client_config){ .to = *to, .authority = "localhost",
											    .connect_timeout_ms = CONNECT_MS });
	http_client_send(client, &(struct http_call_request){ .method = "GET", .path = path, .timeout_ms = timeout_ms }, &ops, a);
	loop_run(a->loop);
	http_client_free(client);
	io_stop(&key);
	loop_free(a->loop);
	if (a->interrupted)
		return 0;
	return a->status ? a->status : -1;
}

int http_ask(const struct addr *to, const char *path, uint64_t timeout_ms, struct buf *ret_body, struct err *e)
{
	return http_ask_until(to, path, timeout_ms, -1, ret_body, e);
}

int http_ask_until(const struct addr *to, const char *path, uint64_t timeout_ms, int fd, struct buf *ret_body, struct err *e)
{
	struct asked a = { .body = ret_body, .e = e, .fd = fd };

	return ask(&a, to, path, timeout_ms);
}

int http_ask_lines(const struct addr *to, const char *path, bool (*line)(void *ctx, struct str line), void *ctx, struct err *e)
{
	struct buf body;
	struct asked a = { .body = &body, .line = line, .ctx = ctx, .e = e, .fd = -1 };

	buf_init(&body, LINE_BYTES_MAX);
	int status = ask(&a, to, path, 0);
	if (status > 0 && status != 200) {
		struct str rest, first = str_cut(buf_str(&body), '\n', &rest);
		err_set(e, err_reason_of_http(status), STR_FMT, (int)MIN(first.len, (size_t)400), first.ptr ? first.ptr : "");
	}
	buf_done(&body);
	return status;
}

int http_ask_address(const char *listens, const char *setting, struct addr *ret, struct err *e)
{
	const char *port = listens ? strrchr(listens, ':') : NULL;

	if (!port)
		return err_set(e, ERR_INVALID, "%s '%s' must be ADDRESS:PORT", setting, listens ? listens : "");
	if (port == listens || strncmp(listens, "0.0.0.0:", 8) == 0 || strncmp(listens, "[::]:", 5) == 0 ||
	    strncmp(listens, "localhost:", 10) == 0) {
		cleanup(freep) char *local = xasprintf("127.0.0.1%s", port);
		return addr_parse(local, ret, e);
	}
	return addr_parse(listens, ret, e);
}

void http_ask_encode(struct buf *out, const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (isalnum(*p) || strchr("-._~/", *p))
			buf_putc(out, (char)*p);
		else
			buf_printf(out, "%%%02X", *p);
}
