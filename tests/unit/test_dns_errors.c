/* What failing questions leave in the log: a line each, counted when they match, never a flood. */
#include "roles/dns/plugin/errors.h"
#include "roles/dns/serve/request.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

extern const struct plugin plugin_errors;

struct rig {
	struct loop *loop;
	struct dns_shared shared;
	struct plugin_instance instance;
	struct request *r;
	uint8_t answer[DNS_HEADER_BYTES];
	int fds[2], before;
	struct buf text;
};

static void stop_loop(struct timer *t)
{
	loop_stop(t->ctx);
}

static void run_for(struct rig *r, uint64_t ms)
{
	struct timer t = { .fire = stop_loop, .ctx = r->loop };
	char part[65536];
	ssize_t n;

	timer_start(r->loop, &t, ms);
	loop_run(r->loop);
	while ((n = read(r->fds[0], part, sizeof(part))) > 0)
		buf_put(&r->text, part, (size_t)n);
}

static void setup(struct rig *r, const char *const *consolidate)
{
	struct corefile_line body = { .file = "Corefile", .line = 2, .words = consolidate };
	struct directive d = { .head = { .file = "Corefile", .line = 1, .words = (const char *const[]){ "errors", NULL }, .n = 1 } };
	struct err e;

	*r = (struct rig){ 0 };
	while (consolidate && consolidate[body.n])
		body.n++;
	if (consolidate) {
		d.body = &body;
		d.n_body = 1;
	}
	r->loop = loop_new(&e);
	r->shared.main_loop = r->loop;
	r->instance.plugin = &plugin_errors;
	assert_int_equal(plugin_errors.parse(&d, NULL, &r->instance.settings, &e), 0);
	assert_int_equal(plugin_errors.start(&r->instance, &r->shared, &e), 0);
	r->r = xcalloc(1, sizeof(*r->r));
	assert_true(dns_name_from_text(STR("www.example.org"), &r->r->asked.name));
	r->r->asked.type = DNS_A;
	r->answer[3] = DNS_SERVFAIL;
	r->r->answer.bytes = r->answer;
	r->r->answer.len = sizeof(r->answer);
	buf_init(&r->text, 1u << 20);
	buf_puts(&r->text, "");
	assert_int_equal(pipe2(r->fds, O_CLOEXEC | O_NONBLOCK), 0);
	r->before = dup(STDERR_FILENO);
	dup2(r->fds[1], STDERR_FILENO);
}

static void teardown(struct rig *r)
{
	plugin_errors.stop(&r->instance, &r->shared);
	run_for(r, 1);
	dup2(r->before, STDERR_FILENO);
	close(r->before);
	close(r->fds[0]);
	close(r->fds[1]);
	plugin_errors.free_settings(r->instance.settings);
	loop_free(r->loop);
	free(r->r);
}

static void fail_with(struct rig *r, const char *text, unsigned times)
{
	snprintf(r->r->failure, sizeof(r->r->failure), "%s", text);
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(plugin_errors.answer(r->r, &r->instance), PLUGIN_NEXT);
}

static size_t count(const struct rig *r, const char *what)
{
	size_t n = 0;

	for (const char *p = r->text.len ? r->text.ptr : ""; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void test_line(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, NULL);
	fail_with(&r, "", 1); /* an upstream's own SERVFAIL: nothing failed here */
	run_for(&r, 200);
	assert_int_equal(r.text.len, 0);
	fail_with(&r, "forward: no answer after 4 tries", 1);
	run_for(&r, 250);
	teardown(&r);
	assert_int_equal(count(&r, "plugin/errors: 2 www.example.org. A: forward: no answer after 4 tries\n"), 1);
	buf_done(&r.text);
}

static void test_consolidate(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, (const char *const[]){ "consolidate", "400ms", "no answer .* tries$", "warning", "show_first", NULL });
	fail_with(&r, "forward: no answer after 4 tries", 5);
	fail_with(&r, "forward: too many", 1);
	run_for(&r, 900);
	fail_with(&r, "forward: no answer after 2 tries", 1);
	teardown(&r); /* what is counted by then is told */
	assert_int_equal(count(&r, "A: forward: no answer after 4 tries\n"), 1);
	assert_int_equal(count(&r, "A: forward: no answer after 2 tries\n"), 1);
	assert_int_equal(count(&r, "A: forward: too many\n"), 1);
	assert_int_equal(count(&r, "5 errors like 'no answer .* tries$' occurred in last 1 s"), 1);
	assert_int_equal(count(&r, "errors like"), 1);
	buf_done(&r.text);
}

static void test_flood(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, NULL);
	fail_with(&r, "forward: down", 1000);
	run_for(&r, 1500);
	teardown(&r);
	assert_int_equal(count(&r, "A: forward: down\n"), 20);
	assert_int_equal(count(&r, "more errors in the last second"), 1);
	buf_done(&r.text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_consolidate),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
