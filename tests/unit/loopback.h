/* loopback.h - a server in the test's own loop that remembers what it was asked and answers as it was told. */
#pragma once

#include "net/http_server.h"

#include <arpa/inet.h>
#include <stdio.h>

#define loopback_own static __attribute__((unused))

struct loopback {
	struct loop *loop;
	struct http_server *server;
	uint16_t port;
	char url[64]; /* "http://127.0.0.1:port" */

	/* what it was asked last */
	unsigned requests;
	char method[32], target[512], host[256], body[4096];
	size_t body_len;
	char names[64][64], values[64][512];
	size_t n_headers;

	/* what it answers */
	int status;
	struct http_header reply[8];
	size_t n_reply;
	struct str reply_body;
	bool silent; /* not at all: `held` stays open */
	struct http_exchange *held;
};

loopback_own void loopback_gone(void *ctx)
{
	((struct loopback *)ctx)->held = NULL;
}

loopback_own void loopback_request(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);
	struct loopback *b = ctx;

	b->requests++;
	snprintf(b->method, sizeof(b->method), STR_FMT, STR_ARG(r->method));
	snprintf(b->target, sizeof(b->target), STR_FMT, STR_ARG(r->target));
	snprintf(b->host, sizeof(b->host), STR_FMT, STR_ARG(r->authority));
	b->body_len = r->body.len;
	snprintf(b->body, sizeof(b->body), STR_FMT, STR_ARG(r->body));
	b->n_headers = 0;
	for (size_t i = 0; i < r->headers.n && i < 64; i++, b->n_headers++) {
		snprintf(b->names[i], sizeof(b->names[i]), STR_FMT, STR_ARG(r->headers.at[i].name));
		snprintf(b->values[i], sizeof(b->values[i]), STR_FMT, STR_ARG(r->headers.at[i].value));
	}
	if (b->silent) {
		b->held = x;
		http_on_closed(x, loopback_gone, b);
		return;
	}
	http_reply(x, b->status ? b->status : 200, b->reply, b->n_reply, b->reply_body);
}

/* How often, and the last value; NULL: it was not sent. */
loopback_own const char *loopback_header(const struct loopback *b, const char *lower_name)
{
	const char *value = NULL;

	for (size_t i = 0; i < b->n_headers; i++)
		if (strcmp(b->names[i], lower_name) == 0)
			value = b->values[i];
	return value;
}

loopback_own unsigned loopback_header_count(const struct loopback *b, const char *lower_name)
{
	unsigned n = 0;

	for (size_t i = 0; i < b->n_headers; i++)
		n += strcmp(b->names[i], lower_name) == 0;
	return n;
}

loopback_own void loopback_add(struct loopback *b, const char *name, const char *value)
{
	b->reply[b->n_reply++] = (struct http_header){str_of(name), str_of(value)};
}

/* Forgets what it was asked and told. */
loopback_own void loopback_reset(struct loopback *b)
{
	*b = (struct loopback){.loop = b->loop, .server = b->server, .port = b->port};
	snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u", b->port);
}

loopback_own void loopback_start(struct loopback *b, struct loop *l, struct tls *tls)
{
	struct http_server_config c = {.request = loopback_request,
				       .ctx = b,
				       .tls = tls,
				       .body_max = 2u << 20,
				       .connections_max = 1000,
				       .idle_ms = 60000};
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	struct addr any;
	struct err e;

	*b = (struct loopback){.loop = l, .server = http_server_new(l, &c)};
	if (addr_from_ip("127.0.0.1", 0, &any, &e) < 0)
		abort();
	int fd = addr_listen(&any, 16, &e);
	if (fd < 0 || http_server_listen(b->server, fd, &e) < 0)
		abort();
	getsockname(fd, (struct sockaddr *)&in, &len);
	b->port = ntohs(in.sin_port);
	loopback_reset(b);
}

loopback_own void loopback_stop(struct loopback *b)
{
	http_server_free(b->server);
	b->server = NULL;
}

loopback_own void loopback_tick(struct timer *t)
{
	loop_stop(t->ctx);
}

/* Runs the loop until `*done`, for ten seconds at most: then false. */
loopback_own bool loopback_run(struct loop *l, const bool *done)
{
	for (int i = 0; i < 10000 && !*done; i++) {
		struct timer t = {.fire = loopback_tick, .ctx = l};

		timer_start(l, &t, 1);
		loop_run(l);
		timer_stop(&t);
	}
	return *done;
}

/* Lets what is under way go on for a while: for what must not happen. */
loopback_own void loopback_settle(struct loop *l, uint64_t ms)
{
	struct timer t = {.fire = loopback_tick, .ctx = l};

	timer_start(l, &t, ms);
	loop_run(l);
	timer_stop(&t);
}

/* One for a whole program, with its loop: cmocka_run_group_tests(tests, loopback_setup, loopback_teardown). */
loopback_own struct loop *loop;
loopback_own struct loopback b;

loopback_own int loopback_setup(void **state)
{
	struct err e;

	(void)state;
	loop = loop_new(&e);
	loopback_start(&b, loop, NULL);
	return 0;
}

loopback_own int loopback_teardown(void **state)
{
	(void)state;
	loopback_stop(&b);
	loopback_settle(loop, 5);
	loop_free(loop);
	return 0;
}
