/* The words of commands: what is taken out, what is left, and what is said about the rest. */
#include "roles/args.h"

#include "base/buf.h"
#include "base/file.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#define WORDS_MAX 8
struct row {
	const char *words[WORDS_MAX];
	int (*take)(struct args *a, struct buf *out); /* what it found goes to `out`; -1 after a message */
	const char *want;			      /* of `out`, and "|" before each word that is left */
	const char *said;			      /* in place of `want`: on standard error */
};

static int flag(struct args *a, struct buf *out)
{
	buf_puts(out, args_flag(a, "--once") ? "yes" : "no");
	return 0;
}

static int value(struct args *a, struct buf *out)
{
	const char *v = "none";
	int rc = args_value(a, "--name", "-n", &v);

	buf_puts(out, v);
	return rc;
}

static int output(struct args *a, struct buf *out)
{
	static const char *const forms[] = { "text", "json", "markdown", NULL };
	int form = args_output(a, forms);

	buf_printf(out, "%d", form);
	return form;
}

static int json(struct args *a, struct buf *out)
{
	bool is = false;
	int rc = args_json(a, &is);

	buf_puts(out, is ? "json" : "text");
	return rc;
}

static int seconds(struct args *a, struct buf *out)
{
	unsigned n = 2;
	int rc = args_seconds(a, 60, &n);

	buf_printf(out, "%u", n);
	return rc;
}

static int one_word(struct args *a, struct buf *out)
{
	(void)out;
	return args_words(a, 1);
}

static int words(struct args *a, struct buf *out)
{
	(void)out;
	return args_words(a, INT_MAX);
}

#define USAGE "\nUsage: portico dns log NAME [settings]; `portico dns log --help` tells more.\n"
static const struct row rows[] = {
	{ { "log", "a", "b" }, flag, "no|log|a|b" },
	{ { "log", "--once", "b", "--once" }, flag, "yes|log|b" },
	{ { "log", "--once=1" }, flag, "no|log|--once=1" },
	{ { "log", "a", "--name", "x", "b" }, value, "x|log|a|b" },
	{ { "log", "--name=x", "-n", "y" }, value, "y|log" },
	{ { "log", "--name=", "b" }, value, "|log|b" },
	{ { "log", "--names", "b" }, value, "none|log|--names|b" },
	{ { "log", "b", "--name" }, value, .said = "portico dns log: --name needs a value" USAGE },
	{ { "log", "-n" }, value, .said = "portico dns log: -n needs a value" USAGE },
	{ { "log" }, output, "0|log" },
	{ { "log", "-o", "markdown", "b" }, output, "2|log|b" },
	{ { "log", "--output=json" }, output, "1|log" },
	{ { "log", "--output", "xml" }, output, .said = "portico dns log: --output is text, json or markdown, not 'xml'" USAGE },
	{ { "log", "--output" }, output, .said = "portico dns log: --output needs a value" USAGE },
	{ { "log", "-o", "json" }, json, "json|log" },
	{ { "log", "-o", "markdown" }, json, .said = "portico dns log: --output is text or json, not 'markdown'" USAGE },
	{ { "log", "-n", "60" }, seconds, "60|log" },
	{ { "log" }, seconds, "2|log" },
	{ { "log", "-n", "61" }, seconds, .said = "portico dns log: -n takes seconds from 1 to 60, not '61'" USAGE },
	{ { "log", "-n", "0" }, seconds, .said = "portico dns log: -n takes seconds from 1 to 60, not '0'" USAGE },
	{ { "log", "a" }, one_word, "|log|a" },
	{ { "log", "a", "b" }, one_word, .said = "portico dns log: unknown argument 'b'" USAGE },
	{ { "log", "-" }, one_word, "|log|-" },
	{ { "log", "a", "-b" }, words, .said = "portico dns log: unknown argument '-b'" USAGE },
};

/* What `r` writes to standard error. */
static int run(const struct row *r, struct args *a, struct buf *out, struct buf *said)
{
	char path[] = "/tmp/portico-test-XXXXXX";
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	struct err e;

	assert_true(fd >= 0 && saved >= 0);
	dup2(fd, STDERR_FILENO);
	int rc = r->take(a, out);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	assert_int_equal(file_read(path, said, &e), 0);
	unlink(path);
	return rc;
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		char *argv[WORDS_MAX + 1] = { NULL };
		struct args a = { .role = "dns", .usage = "NAME", .argv = argv };
		struct buf out, said;

		buf_init(&out, 1000);
		buf_init(&said, 1000);
		for (; r->words[a.argc]; a.argc++)
			argv[a.argc] = (char *)(uintptr_t)r->words[a.argc];
		int rc = run(r, &a, &out, &said);
		for (int k = 0; k < a.argc; k++)
			buf_printf(&out, "|%s", argv[k]);
		assert_null(argv[a.argc]);
		if (r->want ? rc < 0 || !str_eq(buf_str(&out), str_of(r->want)) || said.len : rc >= 0 || !str_eq(buf_str(&said), str_of(r->said)))
			fail_msg("row %zu: %d, '%.*s', '%.*s'", i, rc, (int)out.len, out.ptr, (int)said.len, said.ptr ? said.ptr : "");
		buf_done(&out);
		buf_done(&said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
