/* Active checks against real servers on loopback, and what is said of their results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_fake_upstream.h"
#include "net/http_server.h"
#include "roles/ingress/upstream/balance_int.h"
#include "roles/ingress/upstream/health.h"

#define GIVE_UP_MS 15000

fake_weak struct backend *backend_ref(struct backend *b)
{
	b->refs_++;
	return b;
}
fake_weak void backend_unref(struct backend *b)
{
	b->refs_--;
}

static struct loop *loop;

/* ---- servers: one for each endpoint ---- */

enum { SAYS_200, SAYS_500, SAYS_302, SAYS_MUCH, HANGS, ABSENT, N_KINDS };

static struct site {
	struct http_server *server;
	int status; /* 0: no answer */
	bool much;
	unsigned asked;
	char host[64], path[64];
} sites[N_KINDS];

static void on_request(void *ctx, struct http_exchange *x)
{
	struct site *s = ctx;
	const struct http_request *r = http_request_of(x);
	static char much[200 << 10];

	s->asked++;
	snprintf(s->host, sizeof(s->host), STR_FMT, STR_ARG(r->authority));
	snprintf(s->path, sizeof(s->path), STR_FMT, STR_ARG(r->path));
	if (s->status)
		http_reply(x, s->status, NULL, 0, s->much ? (struct str){ much, sizeof(much) } : STR("body"));
}

static void site_listen(struct site *s, struct endpoint *e)
{
	struct http_server_config c = { .request = on_request, .ctx = s, .body_max = 1000, .connections_max = 50, .idle_ms = 60000 };
	struct err err;
	char text[ADDR_TEXT_BYTES];
	int fd;

	assert_int_equal(addr_parse("127.0.0.1:0", &e->addr, &err), 0);
	fd = addr_listen(&e->addr, 10, &err);
	assert_true(fd >= 0);
	e->addr.len = sizeof(e->addr.ss);
	getsockname(fd, (struct sockaddr *)&e->addr.ss, &e->addr.len);
	snprintf(e->text, sizeof(e->text), "%.63s", addr_text(&e->addr, text));
	if (s == &sites[ABSENT]) {
		close(fd);
		return;
	}
	s->server = http_server_new(loop, &c);
	assert_int_equal(http_server_listen(s->server, fd, &err), 0);
}

/* ---- waiting ---- */

static bool (*wanted)(void);
static struct timer poll_timer;
static uint64_t until_ms;

static void on_poll(struct timer *t)
{
	if (wanted() || loop_now_ms(loop) > until_ms)
		loop_stop(loop);
	else
		timer_start(loop, t, 10);
}

static void wait_for(bool (*fn)(void))
{
	wanted = fn;
	until_ms = loop_now_ms(loop) + GIVE_UP_MS;
	poll_timer.fire = on_poll;
	timer_start(loop, &poll_timer, 1);
	loop_run(loop);
	assert_true(fn());
}

static struct fake f;
static struct fake_backend fb;

static bool all_known(void)
{
	for (int i = 0; i < N_KINDS; i++)
		if (fb.e[i].health == HEALTH_UNKNOWN)
			return false;
	return true;
}
static bool second_up(void)
{
	return fb.e[SAYS_500].health == HEALTH_UP;
}
static bool first_down(void)
{
	return fb.e[SAYS_200].health == HEALTH_DOWN;
}
static bool none_checked(void)
{
	for (int i = 0; i < N_KINDS; i++)
		if (fb.e[i].health_reason != HEALTH_NOT_CHECKED)
			return false;
	return true;
}

static void test_checks(void **state)
{
	struct err e;

	(void)state;
	loop = loop_new(&e);
	fake_init(&f, "GET", "http://a.test/");
	fake_backend_init(&fb, "default-web-80", N_KINDS, 0);
	f.loc.backend = &fb.b;
	f.set.health_check_path = (char *)(uintptr_t)"/healthz?deep=1";
	f.set.health_check_interval_s = f.set.health_check_timeout_s = 1;
	f.set.health_check_healthy = f.set.health_check_unhealthy = 2;
	for (int i = 0; i < N_KINDS; i++)
		site_listen(&sites[i], &fb.e[i]);
	sites[SAYS_200].status = 200;
	sites[SAYS_500].status = 500;
	sites[SAYS_302].status = 302;
	sites[SAYS_MUCH].status = 200;
	sites[SAYS_MUCH].much = true;

	struct health *h = health_new(loop, NULL);
	health_host(h, &f.host);
	assert_int_equal(fb.e[SAYS_200].health_reason, HEALTH_NOT_CHECKED);
	wait_for(all_known);
	assert_int_equal(fb.e[SAYS_200].health_reason, HEALTH_PASSED);
	assert_int_equal(fb.e[SAYS_302].health_reason, HEALTH_PASSED);
	assert_int_equal(fb.e[SAYS_MUCH].health_reason, HEALTH_PASSED);
	assert_int_equal(fb.e[SAYS_500].health_reason, HEALTH_BAD_STATUS);
	assert_int_equal(fb.e[SAYS_500].health_status, 500);
	assert_int_equal(fb.e[HANGS].health_reason, HEALTH_TIMED_OUT);
	assert_int_equal(fb.e[ABSENT].health_reason, HEALTH_NO_ANSWER);
	assert_true(sites[SAYS_500].asked >= 2);
	assert_string_equal(sites[SAYS_200].host, "a.test");
	assert_string_equal(sites[SAYS_200].path, "/healthz");

	/* Those that are up get the requests. */
	for (int i = 0; i < 60; i++) {
		bool full;
		f.x.n_tried = 0;
		f.x.backend = &fb.b;
		struct endpoint *picked = balance_pick_at(&f.x, &fb.b, 1000, &full);
		assert_int_equal(picked->health, HEALTH_UP);
		balance_done_at(&f.x, picked, false, 1, 1000);
		endpoint_unref(picked);
	}
	/* Back after two successes, away after two failures. */
	sites[SAYS_500].status = 204;
	sites[SAYS_500].asked = 0;
	wait_for(second_up);
	assert_in_range(sites[SAYS_500].asked, 2, 3);
	sites[SAYS_200].status = 503;
	sites[SAYS_200].asked = 0;
	wait_for(first_down);
	assert_in_range(sites[SAYS_200].asked, 2, 3);
	/* Nobody asks for it any more: what was down is usable again. */
	health_host_gone(h, f.host.name);
	wait_for(none_checked);
	assert_int_equal(fb.e[ABSENT].health, HEALTH_UNKNOWN);
	health_host(h, &f.host);
	health_free(h);
	assert_int_equal(fb.b.refs_, 0);
	for (int i = 0; i < N_KINDS; i++) {
		assert_int_equal(fb.e[i].refs_, 0);
		http_server_free(sites[i].server);
	}
	timer_start(loop, &poll_timer, 1); /* what was deferred */
	loop_run(loop);
	loop_free(loop);
	fake_backend_done(&fb);
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_checks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
