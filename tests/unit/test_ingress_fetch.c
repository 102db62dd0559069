/* Documents by URL: how many there may be, and that those nobody wants make room. */
#include "roles/ingress/route/sync_int.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PLACES 256
#define PATIENCE_MS 20000

struct rig {
	struct loop *loop;
	struct fetches *fetches;
	struct timer end;
	struct io io;
	unsigned told, awaited;
	bool late, few, asked; /* the one too many was told of; only it is wanted; its server was asked */
	char url[64];
};

static void on_end(struct timer *t)
{
	loop_stop(((struct rig *)t->ctx)->loop);
}

static void on_fetched(void *ctx, const char *url, const json_t *obj)
{
	struct rig *r = ctx;

	assert_null(obj);
	r->late = r->late || c_eq(url, r->url);
	if (++r->told == r->awaited)
		loop_stop(r->loop);
}

static bool is_wanted(void *ctx, const char *url)
{
	const struct rig *r = ctx;

	return !r->few || c_eq(url, r->url);
}

static void on_connection(struct io *io, uint32_t events)
{
	struct rig *r = io->ctx;

	(void)events;
	r->asked = true;
	loop_stop(r->loop);
}

static void run(struct rig *r)
{
	timer_start(r->loop, &r->end, PATIENCE_MS);
	loop_run(r->loop);
	timer_stop(&r->end);
}

/* A listening socket of its own; the others' port has nobody. */
static void listen_somewhere(struct rig *r)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct err e;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u/keys", ntohs(a.sin_port));
	r->io = (struct io){ .fd = fd, .ready = on_connection, .ctx = r };
	assert_int_equal(io_watch(r->loop, &r->io, EPOLLIN, &e), 0);
}

static void test_places(void **state)
{
	struct rig r = { .awaited = PLACES };
	struct err e;
	char url[64];

	(void)state;
	r.loop = loop_new(&e);
	r.end = (struct timer){ .fire = on_end, .ctx = &r };
	r.fetches = fetches_new(r.loop, on_fetched, is_wanted, &r);
	listen_somewhere(&r);
	for (int i = 0; i < PLACES; i++) {
		snprintf(url, sizeof(url), "http://127.0.0.1:1/%d", i);
		fetch_start(r.fetches, url);
	}
	run(&r);
	assert_true(r.told >= PLACES);
	/* Whoever waits for it learns that nothing came, instead of waiting for ever. */
	fetch_start(r.fetches, r.url);
	r.awaited = 0;
	for (int i = 0; i < 1000 && !r.late; i++) {
		r.awaited = r.told + 1;
		run(&r);
	}
	assert_true(r.late);
	assert_false(r.asked);
	r.few = true;
	r.awaited = 0;
	run(&r);
	assert_true(r.asked);
	io_stop(&r.io);
	close(r.io.fd);
	fetches_free(r.fetches);
	loop_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
