#include "base/file.h"
#include "roles/node/log_line.h"
#include "roles/node/log_reader.h"
#include "roles/node/log_tail.h"

#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *line, *content; /* NULL: not a log line */
	bool partial;
} lines[] = {
	{ "2016-10-06T00:17:09.669794202Z stdout F The content", "The content", false },
	{ "2016-10-06T00:17:09.669794202Z stderr P part", "part", true },
	{ "2016-10-06T00:17:09.669794202Z stdout F ", "", false },
	{ "2016-10-06T00:17:09.669794202Z stdout F", "", false },
	{ "2016-10-06T00:17:09.669794202Z stdout F:tag x", "x", false },
	{ "2016-10-06T00:17:09.669794202Z stdout Full x", NULL, false },
	{ "2016-10-06T00:17:09.669794202Z stdin F x", NULL, false },
	{ "2016-10-06T00:17:09.669794202Z stdout", NULL, false },
	{ "x", NULL, false },
	{ "", NULL, false },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct log_line l;
		int rc = log_line_parse(str_of(lines[i].line), &l);
		assert_int_equal(rc, lines[i].content ? 0 : -1);
		if (rc < 0)
			continue;
		assert_true(str_eq_c(l.content, lines[i].content));
		assert_int_equal(l.partial, lines[i].partial);
	}
}

static void test_times(void **state)
{
	int64_t ns;

	(void)state;
	assert_int_equal(log_time_parse(STR("1970-01-01T00:00:01.000000002Z"), &ns), 0);
	assert_int_equal(ns, 1000000002);
	assert_int_equal(log_time_parse(STR("1970-01-01T00:00:01Z"), &ns), 0);
	assert_int_equal(ns, 1000000000);
	assert_int_equal(log_time_parse(STR("1970-01-01T00:00:01.5Z"), &ns), 0);
	assert_int_equal(ns, 1500000000);
	assert_int_equal(log_time_parse(STR("yesterday"), &ns), -1);
	assert_int_equal(log_time_parse(STR(""), &ns), -1);
}

static const char log_text[] = "1970-01-01T00:00:01.000000000Z stdout F one\n"
			       "1970-01-01T00:00:02.000000000Z stdout P tw\n"
			       "1970-01-01T00:00:02.100000000Z stdout F o\n"
			       "garbage\n"
			       "1970-01-01T00:00:03.000000000Z stderr F three\n"
			       "1970-01-01T00:00:04.000000000Z stdout F unfini";
static const struct {
	struct log_options o;
	const char *text;
} reads[] = {
	{ { .tail_lines = -1, .limit_bytes = -1 }, "one\ntwo\nthree\n" },
	{ { .tail_lines = 2, .limit_bytes = -1 },
	  "three\n" }, /* the unfinished line is the last of two */
	{ { .tail_lines = 4, .limit_bytes = -1 }, "o\nthree\n" },
	{ { .tail_lines = 0, .limit_bytes = -1 }, "" },
	{ { .tail_lines = 100, .limit_bytes = -1 }, "one\ntwo\nthree\n" },
	{ { .tail_lines = -1, .limit_bytes = 6 }, "one\ntw" },
	{ { .tail_lines = -1, .limit_bytes = 0 }, "" },
	{ { .tail_lines = -1, .limit_bytes = -1, .since_unix_ns = 2050000000 }, "o\nthree\n" },
	{ { .tail_lines = -1, .limit_bytes = -1, .since_unix_ns = 3000000000, .timestamps = true },
	  "1970-01-01T00:00:03.000000000Z three\n" },
};

static char *write_log(char path[64])
{
	snprintf(path, 64, "/tmp/test_node_logs.XXXXXX");
	int fd = mkstemp(path);
	assert_int_equal(write(fd, log_text, sizeof(log_text) - 1), sizeof(log_text) - 1);
	close(fd);
	return path;
}

static void test_reader(void **state)
{
	char path[64];

	(void)state;
	write_log(path);
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		struct log_reader r;
		struct buf out;
		struct err e;
		buf_init(&out, 65536);
		buf_puts(&out, "");
		assert_int_equal(log_reader_open(&r, path, &reads[i].o, &e), 0);
		while (log_reader_next(&r, &out) == LOG_MORE)
			continue;
		assert_true(str_eq_c(buf_str(&out), reads[i].text));
		log_reader_done(&r);
		buf_done(&out);
	}
	unlink(path);
}

/* What is written later is read later; a line that was cut is put together. */
static void test_reader_goes_on(void **state)
{
	struct log_options o = { .tail_lines = -1, .limit_bytes = -1 };
	struct log_reader r;
	struct buf out;
	struct err e;
	char path[64];

	(void)state;
	write_log(path);
	buf_init(&out, 65536);
	assert_int_equal(log_reader_open(&r, path, &o, &e), 0);
	while (log_reader_next(&r, &out) == LOG_MORE)
		continue;
	buf_clear(&out);
	FILE *f = fopen(path, "a");
	fputs("shed\n", f);
	fclose(f);
	assert_int_equal(log_reader_next(&r, &out), LOG_MORE);
	assert_true(str_eq_c(buf_str(&out), "unfinished\n"));
	log_reader_done(&r);
	buf_done(&out);
	unlink(path);
}

static void test_tail(void **state)
{
	struct buf out;
	char path[64];

	(void)state;
	write_log(path);
	buf_init(&out, 65536);
	log_tail(path, 2, 1000, &out);
	assert_true(str_eq_c(buf_str(&out), "three\nunfini\n"));
	buf_clear(&out);
	log_tail(path, 100, 4, &out);
	assert_int_equal(out.len, 4);
	buf_clear(&out);
	log_tail("/nonexistent", 100, 4, &out);
	assert_int_equal(out.len, 0);
	buf_done(&out);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),  cmocka_unit_test(test_times),
		cmocka_unit_test(test_reader), cmocka_unit_test(test_reader_goes_on),
		cmocka_unit_test(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
