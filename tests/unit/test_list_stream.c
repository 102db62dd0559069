/* A list's items while its text arrives, however it is cut. */
#include "base/limits.h"
#include "kube/client/list_stream.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

struct seen {
	char log[1024]; /* "head Thing; {…}; {…}; " */
	unsigned heads, items, want;
	bool late; /* a head without a kind will not do */
};

static bool on_head(void *ctx, const json_t *list)
{
	struct seen *s = ctx;

	s->heads++;
	if (s->late && !jx_str(list, "kind"))
		return false;
	strcat(s->log, "head ");
	strcat(s->log, jx_str_or(list, "kind", "-"));
	strcat(s->log, "; ");
	return true;
}

static bool on_item(void *ctx, json_t *item)
{
	struct seen *s = ctx;
	cleanup(freep) char *text = jx_dump_text(item);

	if (strlen(s->log) + strlen(text) + 3 < sizeof(s->log)) {
		strcat(s->log, text);
		strcat(s->log, "; ");
	}
	return ++s->items != s->want;
}

static const struct list_stream_ops ops = { .head = on_head, .item = on_item };
static const struct jx_unread unread[] = { { STR("metadata"), STR("managedFields") }, { STR_NONE, STR_NONE } };

/* The text in pieces, each in memory of its own; `cuts` are where they begin. */
static json_t *stream(struct seen *s, struct str text, const size_t *cuts, size_t n_cuts, struct err *e)
{
	struct list_stream l;
	size_t at = 0;
	int rc = 0;

	list_stream_init(&l, &ops, s, unread);
	for (size_t i = 0; i <= n_cuts && rc == 0; i++) {
		size_t end = i < n_cuts ? cuts[i] : text.len;
		cleanup(freep) char *piece = xmalloc(end - at + 1);
		memcpy(piece, text.ptr + at, end - at);
		rc = list_stream_put(&l, (struct str){ piece, end - at }, e);
		at = end;
	}
	json_t *list = rc == 0 ? list_stream_end(&l, e) : NULL;
	list_stream_done(&l);
	return list;
}

struct row {
	const char *text, *log;
	const char *list; /* what is left at the end; NULL: an error */
	const char *error;
	bool late;
};

static const struct row rows[] = {
	{ "{\"kind\":\"L\",\"items\":[]}", "head L; ", "{\"kind\":\"L\",\"items\":[]}" },
	{ "{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"a\":1},{\"b\":[{\"c\":\"]}\\\"\"}]}]}",
	  "head L; {\"a\":1}; {\"b\":[{\"c\":\"]}\\\"\"}]}; ", "{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}" },
	{ " {\n\"items\" :\t[ {\"a\" : \"\\\\\"} , { } ]\r\n, \"kind\":\"L\"} \n", "head -; {\"a\":\"\\\\\"}; {}; ",
	  "{\"items\":[],\"kind\":\"L\"}" },
	{ "{\"items\":[{\"a\":1},{\"b\":2}],\"kind\":\"L\"}", "head L; {\"a\":1}; {\"b\":2}; ", "{\"items\":[],\"kind\":\"L\"}", NULL, true },
	/* not the items: deeper, in a string, another name, no array */
	{ "{\"kind\":\"L\",\"x\":{\"items\":[1]},\"y\":\"\\\"items\\\":[\",\"myitems\":[2],\"items\":[{\"a\":1}]}", "head L; {\"a\":1}; ",
	  "{\"kind\":\"L\",\"x\":{\"items\":[1]},\"y\":\"\\\"items\\\":[\",\"myitems\":[2],\"items\":[]}" },
	{ "{\"kind\":\"L\",\"x\\\"items\":[{\"a\":1}],\"items\":[{\"a\":2}]}", "head L; {\"a\":2}; ",
	  "{\"kind\":\"L\",\"x\\\"items\":[{\"a\":1}],\"items\":[]}" },
	{ "{\"kind\":\"L\",\"items\":null}", "head L; ", "{\"kind\":\"L\",\"items\":null}" },
	{ "{\"kind\":\"L\"}", "head L; ", "{\"kind\":\"L\"}" },
	{ "{\"kind\":\"L\",\"\\u0069tems\":[{\"a\":1}]}", "head L; {\"a\":1}; ", "{\"kind\":\"L\",\"items\":[]}" },
	{ "{\"kind\":\"L\",\"items\":[{\"metadata\":{\"managedFields\":[{\"x\":\"}\"}],\"name\":\"a\"},\"managedFields\":[1]}]}",
	  "head L; {\"metadata\":{\"name\":\"a\"},\"managedFields\":[1]}; ", "{\"kind\":\"L\",\"items\":[]}" },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1}{\"b\":2}]}", "head L; {\"a\":1}; ", NULL, "behind item 1 of the list" },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1},]}", "head L; {\"a\":1}; ", NULL, "behind item 1 of the list" },
	{ "{\"kind\":\"L\",\"items\":[,{\"a\":1}]}", "head L; ", NULL, "behind item 0 of the list" },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1},2]}", "head L; {\"a\":1}; ", NULL, "behind item 1 of the list" },
	{ "{\"items\":[2],\"kind\":\"L\"}", "head L; ", NULL, "item 1 of the list is no object", true },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1},{\"a\":}]}", "head L; {\"a\":1}; ", NULL, "item 2 of the list: " },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1}", "head L; {\"a\":1}; ", NULL, "the list ends behind its item 1" },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":", "head L; ", NULL, "the list ends behind its item 0" },
	{ "{\"kind\":\"L\",\"items\":[{\"a\":1}]", "head L; {\"a\":1}; ", NULL, " at line 1 column " },
	{ "{\"kind\":\"L\",\"items\":[]}}", "head L; ", NULL, " at line 1 column " },
	{ "{kind:\"L\",\"items\":[{}]}", "", NULL, " at line 1 column " },
	{ "[\"items\":[{}]]", "", NULL, " at line 1 column " },
	{ "[]", "", NULL, "the list is no object" },
	{ "", "", NULL, " at line 1 column " },
};

static void check(const struct row *r, const size_t *cuts, size_t n)
{
	struct seen s = { .late = r->late };
	struct err e = { 0 };
	cleanup(json_decrefp) json_t *list = stream(&s, str_of(r->text), cuts, n, &e);
	cleanup(freep) char *left = list ? jx_dump_text(list) : NULL;

	if (strcmp(s.log, r->log) != 0 || !c_eq(left, r->list) || (r->error && !strstr(e.message, r->error)))
		fail_msg("'%s' cut at %zu, %zu: '%s', then '%s', '%s'", r->text, n ? cuts[0] : 0, n ? cuts[n - 1] : 0, s.log,
			 left ? left : "", e.message);
}

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].text);
		check(&rows[i], NULL, 0);
		for (size_t a = 0; a <= len; a++)
			for (size_t b = a; b <= len; b++)
				check(&rows[i], (size_t[]){ a, b }, 2);
	}
}

static void test_every_byte_alone(void **state)
{
	size_t cuts[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
		cuts[i] = i + 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].text[0])
			check(&rows[i], cuts, strlen(rows[i].text) - 1);
}

static void test_enough(void **state)
{
	static const char text[] = "{\"kind\":\"L\",\"items\":[{\"a\":1},{\"a\":2},{\"a\":3}]}";
	struct list_stream l;
	struct seen s = { .want = 2 };
	struct err e;

	(void)state;
	list_stream_init(&l, &ops, &s, NULL);
	assert_int_equal(list_stream_put(&l, STR(text), &e), 0);
	assert_int_equal(list_stream_put(&l, STR("and more"), &e), 0);
	assert_int_equal(s.items, 2);
	list_stream_done(&l);
}

static int put_long(struct list_stream *l, size_t bytes, struct err *e)
{
	static char filler[1 << 16];

	memset(filler, 'x', sizeof(filler));
	for (size_t n = 0; n < bytes; n += sizeof(filler))
		if (list_stream_put(l, (struct str){ filler, sizeof(filler) }, e) < 0)
			return -1;
	return 0;
}

/* What a limit refuses, and where; the second is just let through. */
static void test_limits(void **state)
{
	static const struct {
		const char *before;
		size_t fits, too_long;
		const char *error;
		bool late;
	} limits[] = {
		{ "{\"kind\":\"L\",\"items\":[{\"a\":\"", LIST_ITEM_BYTES_MAX - (2u << 16), 3u << 16, "item 1 of the list is larger" },
		{ "{\"kind\":\"L\",\"x\":\"", LIST_HEAD_BYTES_MAX - (2u << 16), 3u << 16, "beside its items is larger" },
		{ "{\"items\":[{\"a\":\"", LIMIT_RESPONSE_BODY_BYTES - (2u << 16), 3u << 16, "is larger", true },
	};
	struct list_stream l;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct seen s = { .late = limits[i].late };
		list_stream_init(&l, &ops, &s, NULL);
		assert_int_equal(list_stream_put(&l, str_of(limits[i].before), &e), 0);
		assert_int_equal(put_long(&l, limits[i].fits, &e), 0);
		assert_int_equal(put_long(&l, limits[i].too_long, &e), -1);
		assert_int_equal(e.reason, ERR_TOO_LARGE);
		assert_non_null(strstr(e.message, limits[i].error));
		list_stream_done(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_byte_alone),
		cmocka_unit_test(test_enough),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
