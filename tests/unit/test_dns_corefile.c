/* A Corefile's text: what it is read as, or what is said about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "roles/dns/config/corefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put_line(struct buf *out, const struct corefile_line *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_printf(out, "%s%s", i ? "|" : "", l->words[i]);
}

/* "a.org|b.org{errors;cache|30{success|5,denial|1}}" */
static void put_corefile(struct buf *out, const struct corefile *c)
{
	for (size_t b = 0; b < c->n_blocks; b++) {
		put_line(out, &c->blocks[b].keys);
		buf_puts(out, "{");
		for (size_t i = 0; i < c->blocks[b].n; i++) {
			const struct directive *d = &c->blocks[b].directives[i];
			buf_puts(out, i ? ";" : "");
			put_line(out, &d->head);
			for (size_t j = 0; j < d->n_body; j++) {
				buf_puts(out, j ? "," : "{");
				put_line(out, &d->body[j]);
			}
			buf_puts(out, d->n_body ? "}" : "");
		}
		buf_puts(out, "}");
	}
}

static void read_as(const char *dir, const char *text, const char *expected)
{
	struct err e = { 0 };
	struct corefile *c = corefile_parse(str_of(text), "Corefile", dir, &e);
	struct buf out;

	buf_init(&out, 1 << 20);
	if (c)
		put_corefile(&out, c);
	else
		buf_puts(&out, e.message);
	if (!c_eq(out.ptr ? out.ptr : "", expected))
		fail_msg("%s\n  is read as  %s\n  expected    %s", text, out.ptr, expected);
	buf_done(&out);
	corefile_free(c);
}

static void syntax(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ "", "" },
		{ "# nothing\n\n", "" },
		{ ".:53 {\n errors\n cache 30\n}\n", ".:53{errors;cache|30}" },
		{ "\xef\xbb\xbf.:53 {\r\n    errors\r\n}\r\n", ".:53{errors}" },
		{ ". {\n errors # all of them { }\n#log\n}", ".{errors}" },
		{ ". {\n log#here is why\n}", ".{log}" },
		{ ".\xc2\xa0{\n\xe2\x80\x83log\n}", ".{log}" },
		/* quotes */
		{ ". {\n a \"b c\" \"\" \"d\\\"e\" \"f\\\\\" \"g\\h\"\n}", ".{a|b c||d\"e|f\\\\|g\\h}" },
		{ ". {\n a \"x\ny\" z\n b\n}", ".{a|x\ny|z;b}" },
		{ ". {\n a \"{\" \"}\" \"# no\"\n}", ".{a|{|}|# no}" },
		{ ". {\n a b\"c\n}", ".{a|b\"c}" },
		{ ". {\n template IN A {\n answer \"{{ .Name }} 60 IN A 10.0.0.1\"\n }\n}", ".{template|IN|A{answer|{{ .Name }} 60 IN A 10.0.0.1}}" },
		{ ". {\n a {{x}} {1}-b\n}", ".{a|{{x}}|{1}-b}" },
		/* keys */
		{ "a.org, b.org:1053 c.org {\n log\n}", "a.org|b.org:1053|c.org{log}" },
		{ "a.org,\nb.org {\n log\n}", "a.org|b.org{log}" },
		{ "a.org {\n log\n}\nb.org {\n}\n", "a.org{log}b.org{}" },
		{ "a.org {\n log\n} b.org {\n errors\n}", "a.org{log}b.org{errors}" },
		{ "a.org\n{\n log\n}", "a.org{log}" },
		{ "a.org\nlog\ncache {\n success 5\n}\n", "a.org{log;cache{success|5}}" },
		{ "a.org", "a.org{}" },
		{ "\"\" a.org { log }", "a.org{log}" },
		/* braces */
		{ "a.org:53 { forward . 1.1.1.1 }", "a.org:53{forward|.|1.1.1.1}" },
		{ ". { cache { success 5 } }", ".{cache{success|5}}" },
		{ ". {\n cache\n {\n  success 5\n  denial 1\n }\n log\n}", ".{cache{success|5,denial|1};log}" },
		{ ". {\n health {\n }\n log\n}", ".{health;log}" },
		{ ". {\n x {\n  y {\n   z\n  }\n  w\n }\n log\n}", ".{x{y,{,z,},w};log}" },
		/* snippets */
		{ "(s) {\n errors\n cache 5 {\n  denial 1\n }\n}\n. {\n import s\n log\n}", ".{errors;cache|5{denial|1};log}" },
		{ "(a) {\n x\n}\n(b) {\n import a\n y\n}\n. {\n import b\n import a\n import a\n}", ".{x;y;x;x}" },
		{ "(s) {\n forward . {args[0]} {args.1}:53\n}\n. {\n import s 1.1.1.1 \"8.8.8.8\"\n}", ".{forward|.|1.1.1.1|8.8.8.8:53}" },
		{ "(p) {\n success 5\n}\n. {\n cache {\n  import p\n  denial 1\n }\n}", ".{cache{success|5,denial|1}}" },
		{ "(hosts) { log }\nimport2 {\n import hosts\n}", "import2{log}" },
		{ "(k) {\n a.org { log }\n}\nimport k\nb.org { errors }", "a.org{log}b.org{errors}" },
		/* the environment */
		{ "{$COREFILE_ZONE}:{%COREFILE_PORT%} {\n forward . {$COREFILE_NONE} x{$COREFILE_NONE:8.8.8.8}y\n}",
		  "a.test:1053{forward|.||x8.8.8.8y}" },
		{ ". {\n a {$} {$COREFILE_ZONE {%x\n}", ".{a|{$}|{$COREFILE_ZONE|{%x}" },
		{ ". {\n a {$COREFILE_REF}\n}", ".{a|{$COREFILE_ZONE}}" },
	};

	(void)state;
	setenv("COREFILE_ZONE", "a.test", 1);
	setenv("COREFILE_PORT", "1053", 1);
	setenv("COREFILE_REF", "{$COREFILE_ZONE}", 1);
	unsetenv("COREFILE_NONE");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		read_as(NULL, rows[i].text, rows[i].expected);
}

static void errors(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ ". {\n log\n", "Corefile:1: this { is not closed" },
		{ ". {\n cache {\n  success 5\n}\n", "Corefile:1: this { is not closed" },
		{ ". {\n\n cache {\n", "Corefile:3: this { is not closed" },
		{ ". {\n log\n}\n}\n", "Corefile:4: a } that closes nothing" },
		{ ".\nlog\n}", "Corefile:3: a } that closes nothing" },
		{ "{\n log\n}", "Corefile:1: a block begins with the names it serves: \".\" for all" },
		{ ". {\n {\n }\n}", "Corefile:2: a { that follows no directive" },
		{ ". {\n cache { } log\n}", "Corefile:2: 'log' behind a }: begin a new line" },
		{ "a.org, {\n}", "Corefile:1: a comma, but no further name" },
		{ "# x\na.org{\n log\n}", "Corefile:2: 'a.org{': write a space before the {" },
		{ "a.org,", "Corefile:1: a comma, but no further name" },
		{ "\n\"\" {\n}", "Corefile:2: a block whose names are all empty: is a variable not set?" },
		{ ". {\n log \"x\n}\n", "Corefile:2: a quote (\") that is not closed" },
		{ "(s) {\n}\n(s) {\n}", "Corefile:3: there is a snippet (s) already" },
		{ "(s)\nlog", "Corefile:1: the snippet (s) needs { and }" },
		{ "(s) {\n log\n", "Corefile:1: this { is not closed" },
		{ ". {\n import\n}", "Corefile:2: import: of what? Give the name of a snippet, a file or a pattern of files" },
		{ ". {\n import x\n}", "Corefile:2: import: there is no snippet 'x' above, and files cannot be imported here" },
		{ "(s) {\n a {args[1]}\n}\n. {\n import s b\n}", "Corefile:2: {args[1]}, but the import in line 5 gives 1" },
		{ "(s) {\n import s\n x\n}\n. {\n import s\n}", "Corefile:2: import: more than 50 deep: 's' seems to import itself" },
		{ "(s) {\n x\n import s\n}\n. {\n import s\n}", "Corefile:3: more than 10000 imports: does one import itself?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		read_as(NULL, rows[i].text, rows[i].expected);
}

static void limits(void **state)
{
	struct buf text;
	struct err e;

	(void)state;
	assert_null(corefile_parse((struct str){ ". {\0}", 5 }, "Corefile", NULL, &e));
	assert_string_equal(e.message, "Corefile:1: has zero bytes: it is no text");
	buf_init(&text, 4u << 20);
	buf_puts(&text, ". {\n log");
	for (int i = 0; i < COREFILE_LINE_WORDS_MAX; i++)
		buf_puts(&text, " x");
	read_as(NULL, text.ptr, "Corefile:2: more than 4096 words in a line");
	buf_clear(&text);
	for (int i = 0; i <= COREFILE_BLOCKS_MAX; i++)
		buf_printf(&text, "z%d. {\n}\n", i);
	read_as(NULL, text.ptr, "Corefile:513: more than 256 server blocks");
	buf_clear(&text);
	/* each doubles the one before */
	buf_puts(&text, "(s0) {\n a b c d\n}\n");
	for (int i = 1; i < 30; i++)
		buf_printf(&text, "(s%d) {\n import s%d\n import s%d\n}\n", i, i - 1, i - 1);
	buf_puts(&text, ". {\n import s29\n}");
	assert_null(corefile_parse(buf_str(&text), "Corefile", NULL, &e));
	assert_non_null(strstr(e.message, "more than"));
	buf_clear(&text);
	while (text.len <= COREFILE_BYTES_MAX)
		buf_puts(&text, "################################################################\n");
	read_as(NULL, text.ptr, "Corefile:1: larger than 1048576 bytes");
	buf_done(&text);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
	struct err e;

	assert_int_equal(file_write(path, str_of(text), 0644, &e), 0);
}

static void files(void **state)
{
	char dir[] = "/tmp/corefile.XXXXXX";
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	cleanup(freep) char *sub = xasprintf("%s/custom", dir), *deep = xasprintf("%s/custom/deep.override", dir);
	assert_int_equal(dir_make(sub, 0755, &e), 0);
	assert_int_equal(dir_make(deep, 0755, &e), 0); /* a folder that the pattern matches */
	write_file(dir, "custom/b.override", "log\n");
	write_file(dir, "custom/a.override", "errors\nimport more\n");
	write_file(dir, "custom/more", "cache 5 { denial 1 }");
	write_file(dir, "custom/z.server", "z.org { forward . 9.9.9.9 }");
	write_file(dir, "broken", "\n\nlog \"\n");
	write_file(dir, "args", "forward . {args[0]}");
	read_as(dir, ". {\n import custom/*.override\n ready\n}\nimport custom/*.server", ".{errors;cache|5{denial|1};log;ready}z.org{forward|.|9.9.9.9}");
	read_as(dir, ". {\n import custom/*.none\n ready\n}", ".{ready}");
	read_as(dir, ". {\n import args 1.1.1.1\n}", ".{forward|.|1.1.1.1}");
	cleanup(freep) char *missing = xasprintf("Corefile:2: import: open '%s/custom/none': No such file or directory", dir);
	read_as(dir, ". {\n import custom/none\n}", missing);
	cleanup(freep) char *folder = xasprintf("Corefile:2: import: '%s/custom' is not a regular file", dir);
	read_as(dir, ". {\n import custom\n}", folder);
	cleanup(freep) char *broken = xasprintf("%s/broken:3: a quote (\") that is not closed", dir);
	read_as(dir, ". {\n import broken\n}", broken);

	struct corefile *c = corefile_parse(STR(". {\n import custom/*.override\n}"), "Corefile", dir, &e);
	assert_non_null(c);
	assert_string_equal(c->files[0], "Corefile");
	assert_non_null(strstr(c->files[1], "/custom/a.override"));
	assert_non_null(strstr(c->files[2], "/custom/b.override"));
	assert_non_null(strstr(c->files[3], "/custom/more"));
	assert_null(c->files[4]);
	corefile_free(c);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static uint64_t digest_of(const char *text)
{
	struct err e;
	struct corefile *c = corefile_parse(str_of(text), "Corefile", NULL, &e);
	uint64_t d = c ? c->digest : 0;

	assert_non_null(c);
	corefile_free(c);
	return d;
}

static void digests(void **state)
{
	uint64_t d = digest_of(". {\n log\n cache 30\n}\n");

	(void)state;
	assert_true(d == digest_of("# x\n. { # y\n   log\n\n\n\tcache 30\n}"));
	assert_true(d == digest_of("(s) {\n log\n}\n. {\n import s\n cache 30\n}"));
	assert_true(d != digest_of(". {\n log\n cache 31\n}\n"));
	assert_true(d != digest_of(". {\n log cache 30\n}\n"));
	assert_true(d != digest_of(". {\n log\n}\ncache 30 {\n}"));
	assert_true(d != digest_of(". {\n cache 30\n log\n}"));
}

static void numbers(void **state)
{
	static const struct {
		const char *word;
		int64_t ms; /* -1: none */
	} rows[] = {
		{ "5s", 5000 },	 { "1h30m", 5400000 }, { "0.5s", 500 }, { "300ms", 300 }, { "1m0.25s", 60250 }, { ".5s", 500 },
		{ "30", 30000 }, { "1us", 0 },	       { "0", 0 },	{ "0s", 0 },	  { "1500\xc2\xb5s", 1 }, { "24h", 86400000 },
		{ "", -1 },	 { "s", -1 },	       { "-5s", -1 },	{ "5 s", -1 },	  { "5x", -1 },		  { "5s3", -1 },
		{ "1.2.3s", -1 }, { "25h", -1 },       { "1e3s", -1 },	{ ".s", -1 },	  { "99999999999999999999999h", -1 },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		v = 77;
		int64_t got = directive_duration_ms(rows[i].word, 86400000, &v) ? (int64_t)v : -1;
		if (got != rows[i].ms || (got == -1 && v != 77))
			fail_msg("'%s' is %lld", rows[i].word, (long long)got);
	}
	assert_true(directive_number("10", 1, 10, &v) && v == 10);
	assert_false(directive_number("0", 1, 10, &v));
	assert_false(directive_number("11", 1, 10, &v));
	assert_false(directive_number("1x", 1, 10, &v));
	assert_false(directive_number("", 0, 10, &v));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(syntax), cmocka_unit_test(errors),  cmocka_unit_test(limits),
		cmocka_unit_test(files),  cmocka_unit_test(digests), cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
