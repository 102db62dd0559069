/* The access log: formats, escaping, where lines go, and that nobody waits for its reader. */
#include "roles/ingress/observe/access_log.h"

#include "codec/jx.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/upstream.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingress_fake.h"

static struct fake f;
static struct loop *loop;
static struct access_log *log_;
static struct metrics_shard shard;
static struct err e;
static char dir[] = "/tmp/test_ingress_log.XXXXXX", path[64];
static struct timer stop;

static void stopped(struct timer *t)
{
	loop_stop(t->ctx);
}

static void turn(uint64_t ms)
{
	stop = (struct timer){ .fire = stopped, .ctx = loop };
	timer_start(loop, &stop, ms);
	loop_run(loop);
}

static int setup(void **state)
{
	(void)state;
	fake_init(&f, "GET", "http://a.test/path?x=1");
	loop = f.worker.loop = loop_new(&e);
	shard = (struct metrics_shard){ 0 };
	f.worker.metrics = &shard;
	f.set.enable_access_log = true;
	f.x.ans.status = 200;
	f.x.ended_us = 5000000;
	f.x.started_us = 4500000;
	snprintf(path, sizeof(path), "%s/log", dir);
	f.globals.access_log_path = path;
	log_ = f.shared.access_log = access_log_new(loop, NULL, 1);
	access_log_worker_start(log_, &f.worker);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	access_log_worker_stop(log_, &f.worker);
	access_log_free(log_);
	turn(1);
	loop_free(loop);
	unlink(path);
	fake_done(&f);
	return 0;
}

static void configure(const char *format, bool json)
{
	f.globals.log_format_upstream = (char *)(uintptr_t)format;
	f.globals.log_format_escape_json = json;
	assert_int_equal(access_log_configure(log_, &f.globals, &e), 0);
}

/* What is in the file, after everything buffered was written. */
static char *content(const char *of)
{
	static char text[1 << 20];

	access_log_worker_stop(log_, &f.worker);
	access_log_worker_start(log_, &f.worker);
	FILE *in = fopen(of, "re");
	assert_non_null(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	return text;
}

static void default_format(void **state)
{
	struct backend b = { .name = (char *)"default-shop-80" };
	struct endpoint ep = { .text = "10.0.0.1:80" }, ep2 = { .text = "10.0.0.2:80" };

	(void)state;
	configure(NULL, false);
	fake_header(&f, "user-agent", "curl/8");
	f.loc.backend = f.x.backend = &b;
	f.x.started_us = x_now_us(&f.x) - 500000;
	f.x.endpoint = &ep;
	f.x.try_us = 4510000;
	access_log_try(&f.x);
	access_log_try_done(&f.x, 502);
	f.x.endpoint = &ep2;
	access_log_try(&f.x);
	f.x.head_us = 4520000;
	f.x.up_answer_bytes = 12;
	access_log_try_done(&f.x, 200);
	list_entry(f.x.tries_log.next, struct access_try, link)->ended_us = 4511000;
	list_entry(f.x.tries_log.prev, struct access_try, link)->ended_us = 4533000;
	f.x.answer_body_bytes = 12;
	f.x.req.bytes = 77;
	snprintf(f.x.request_id, sizeof(f.x.request_id), "0123456789abcdef0123456789abcdef");
	access_log_exchange(&f.x);
	char *line = content(path), *at = strchr(line, '[');
	assert_true(strncmp(line, "192.0.2.1 - - [", 15) == 0);
	assert_string_equal(strstr(at, "] \""),
			    "] \"GET /path?x=1 HTTP/1.1\" 200 12 \"-\" \"curl/8\" 77 0.500 [default-shop-80] [] "
			    "10.0.0.1:80, 10.0.0.2:80 0, 12 0.001, 0.023 502, 200 0123456789abcdef0123456789abcdef\n");
}

static void no_injection(void **state)
{
	(void)state;
	configure("$http_user_agent|$remote_user", false);
	fake_header(&f, "user-agent", "a\r\nb\" \\ \x01\x7f\xc3\xa9");
	f.x.remote_user = STR("eve\n1.2.3.4 - - \"GET");
	access_log_exchange(&f.x);
	char *line = content(path);
	assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
	assert_null(strpbrk(line, "\r\"\x01\x7f"));
	assert_non_null(strstr(line, "a\\x0D\\x0Ab\\x22 \\x5C \\x01\\x7F\\xC3\\xA9|eve\\x0A1.2.3.4"));
}

static void json(void **state)
{
	(void)state;
	configure("{\"ua\": \"$http_user_agent\", \"user\": \"$remote_user\", \"status\": $status}", true);
	fake_header(&f, "user-agent", "a\r\nb\"\\\x01\t");
	access_log_exchange(&f.x);
	cleanup(json_decrefp) json_t *v = jx_parse(str_of(content(path)), 1 << 16, &e);
	assert_non_null(v);
	assert_string_equal(jx_str(v, "ua"), "a\r\nb\"\\\x01\t");
	assert_string_equal(jx_str(v, "user"), "");
	assert_int_equal(jx_int(v, "status", 0), 200);
}

static void switched_off(void **state)
{
	char *skip[] = { (char *)"/PATH?x=1", (char *)"~^/he.*z", (char *)"~*^/UP" };

	(void)state;
	f.globals.skip_access_log_urls = (struct str_list){ skip, 3 };
	configure("$request_uri", false);
	access_log_exchange(&f.x);
	f.x.req.target = STR("/healthz");
	access_log_exchange(&f.x);
	f.x.req.target = STR("/HEALTHZ");
	access_log_exchange(&f.x);
	f.x.req.target = STR("/up");
	access_log_exchange(&f.x);
	f.x.req.target = STR("/path");
	access_log_exchange(&f.x);
	f.set.enable_access_log = false;
	access_log_exchange(&f.x);
	f.x.loc = NULL; /* 404s have no Ingress to switch them off */
	f.x.req.target = STR("/none");
	access_log_exchange(&f.x);
	assert_string_equal(content(path), "/HEALTHZ\n/path\n/none\n");
	f.globals.disable_access_log = true;
	configure("$request_uri", false);
	access_log_exchange(&f.x);
	assert_string_equal(content(path), "/HEALTHZ\n/path\n/none\n");
}

static void bad_format(void **state)
{
	char *skip[] = { (char *)"~(" };

	(void)state;
	configure("$status", false);
	f.globals.log_format_upstream = (char *)(uintptr_t)"$no_such_variable";
	assert_int_equal(access_log_configure(log_, &f.globals, &e), -1);
	assert_non_null(strstr(e.message, "no_such_variable"));
	f.globals.log_format_upstream = NULL;
	f.globals.skip_access_log_urls = (struct str_list){ skip, 1 };
	assert_int_equal(access_log_configure(log_, &f.globals, &e), -1);
	access_log_exchange(&f.x); /* as before */
	assert_string_equal(content(path), "200\n");
}

static void reopen(void **state)
{
	char moved[64];

	(void)state;
	snprintf(moved, sizeof(moved), "%s/log.1", dir);
	configure("$status", false);
	access_log_exchange(&f.x);
	content(path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(access_log_reopen(log_, &e), 0);
	f.x.ans.status = 404;
	access_log_exchange(&f.x);
	assert_string_equal(content(path), "404\n");
	assert_string_equal(content(moved), "200\n");
	unlink(moved);
}

/* By the timer, on a thread. */
static void written_soon(void **state)
{
	struct stat st;

	(void)state;
	configure("$status", false);
	access_log_exchange(&f.x);
	for (int i = 0; i < 100; i++) {
		turn(50);
		if (stat(path, &st) == 0 && st.st_size > 0)
			break;
	}
	assert_int_equal(st.st_size, 4);
}

/* Nobody reads: requests go on, lines are dropped whole and counted. */
static void full_pipe(void **state)
{
	size_t got = 0, lines = 0;
	char buf[65536], last = '\n', first_of_line = 0;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	configure("<$request_uri>", false);
	for (int i = 0; i < 100000; i++)
		access_log_exchange(&f.x);
	uint64_t kept = shard.count[METRIC_LOG_LINES], dropped = shard.count[METRIC_LOG_DROPPED];
	assert_true(dropped > 1000);
	assert_int_equal(kept + dropped, 100000);
	for (int i = 0; i < 200; i++) {
		ssize_t n = read(reader, buf, sizeof(buf));
		for (ssize_t k = 0; k < n; k++) {
			if (last == '\n')
				first_of_line = buf[k];
			if (buf[k] == '\n') {
				assert_true(first_of_line == '<' && last == '>');
				lines++;
			}
			last = buf[k];
		}
		got += n > 0 ? (size_t)n : 0;
		if (n <= 0 && lines == kept)
			break;
		turn(20);
	}
	assert_int_equal(lines, kept);
	assert_int_equal(last, '\n');
	assert_int_equal(got, kept * strlen("</path?x=1>\n"));
	close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(default_format, setup, teardown),
		cmocka_unit_test_setup_teardown(no_injection, setup, teardown),
		cmocka_unit_test_setup_teardown(json, setup, teardown),
		cmocka_unit_test_setup_teardown(switched_off, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_format, setup, teardown),
		cmocka_unit_test_setup_teardown(reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(written_soon, setup, teardown),
		cmocka_unit_test_setup_teardown(full_pipe, setup, teardown),
	};

	if (!mkdtemp(dir))
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
