#include "kube/client/informer.h"
#include "fake_api.h"

static const struct kube_gvr things = { "", "v1", "things" };

struct seen {
	struct loop *loop;
	struct fake_api api;
	struct kube_client *kube;
	struct informer *informer;
	char log[4096]; /* "+a=1 ~a=2 -a synced " */
	const char *expect;
	unsigned progressed;
};

static void note(struct seen *s, char what, const json_t *obj)
{
	size_t n = strlen(s->log);

	snprintf(s->log + n, sizeof(s->log) - n, "%c%s=%s ", what, jx_name(obj),
		 jx_str(obj, "data.v"));
	assert_null(jx_at(obj, "metadata.managedFields"));
	assert_string_equal(jx_str(obj, "kind"), "Thing");
	assert_string_equal(jx_str(obj, "apiVersion"), "v1");
}

static void on_added(void *ctx, const json_t *obj)
{
	struct seen *s = ctx;

	note(s, '+', obj);
	assert_ptr_equal(informer_get(s->informer, "ns", jx_name(obj)), obj);
}

static void on_updated(void *ctx, const json_t *old, const json_t *obj)
{
	assert_string_equal(jx_name(old), jx_name(obj));
	assert_string_not_equal(jx_str(old, "metadata.resourceVersion"),
				jx_str(obj, "metadata.resourceVersion"));
	note(ctx, '~', obj);
}

static void on_deleted(void *ctx, const json_t *obj)
{
	struct seen *s = ctx;

	note(s, '-', obj);
	assert_null(informer_get(s->informer, "ns", jx_name(obj)));
}

static void on_synced(void *ctx)
{
	struct seen *s = ctx;

	strcat(s->log, "synced ");
	assert_true(informer_synced(s->informer));
}

static void on_progressed(void *ctx)
{
	((struct seen *)ctx)->progressed++;
}

static void transform(json_t *obj)
{
	jx_set_bool(obj, "seen", true);
}

static const struct informer_handlers handlers = { .added = on_added,
						   .updated = on_updated,
						   .deleted = on_deleted,
						   .synced = on_synced,
						   .progressed = on_progressed,
						   .transform = transform };

static int setup(void **state)
{
	struct seen *s = xcalloc(1, sizeof(*s));
	struct err e;

	s->loop = loop_new(&e);
	fake_init(&s->api, s->loop);
	s->kube = fake_client(&s->api);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct seen *s = *state;

	informer_free(s->informer);
	kube_client_free(s->kube);
	fake_done(&s->api);
	loop_free(s->loop);
	free(s);
	return 0;
}

static void start(struct seen *s, const struct informer_options *o)
{
	s->informer = informer_new(s->kube, things, o, &handlers, s);
}

static bool log_is(void *ctx)
{
	struct seen *s = ctx;

	return strcmp(s->log, s->expect) == 0;
}

static bool watching(void *ctx)
{
	return ((struct seen *)ctx)->api.watch;
}

static void expect(struct seen *s, const char *log)
{
	s->expect = log;
	if (!fake_run(s->loop, log_is, s, 5000))
		fail_msg("expected '%s', got '%s'", log, s->log);
	s->log[0] = '\0';
}

static void expect_watch(struct seen *s)
{
	assert_true(fake_run(s->loop, watching, s, 5000));
}

static void test_list_and_watch(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	fake_put(&s->api, "b", "1");
	start(s, NULL);
	assert_false(informer_synced(s->informer));
	expect(s, "+a=1 +b=1 synced ");
	assert_int_equal(informer_version(s->informer), 3);
	expect_watch(s);
	assert_non_null(strstr(s->api.last_query, "resourceVersion=3&"));
	assert_non_null(strstr(s->api.last_query, "allowWatchBookmarks=true"));
	fake_put(&s->api, "a", "2");
	fake_put(&s->api, "c", "1");
	fake_delete(&s->api, "b");
	expect(s, "~a=2 +c=1 -b=1 ");
	assert_int_equal(informer_version(s->informer), 6);
	assert_int_equal(informer_count(s->informer), 2);
	assert_true(jx_bool(informer_get(s->informer, "ns", "a"), "seen", false));
}

/* One handler for what is new and what has changed. */
static void test_put(void **state)
{
	static const struct informer_handlers put = { .put = on_added, .deleted = on_deleted, .synced = on_synced };
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	s->informer = informer_new(s->kube, things, NULL, &put, s);
	expect(s, "+a=1 synced ");
	expect_watch(s);
	fake_put(&s->api, "a", "2");
	fake_put(&s->api, "b", "1");
	fake_delete(&s->api, "a");
	expect(s, "+a=2 +b=1 -a=2 ");
}

static void test_pages(void **state)
{
	struct seen *s = *state;
	char name[8];

	s->api.page_size = 2;
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		fake_put(&s->api, name, "1");
	}
	start(s, NULL);
	expect(s, "+p0=1 +p1=1 +p2=1 +p3=1 +p4=1 synced ");
	assert_int_equal(s->api.pages, 3);
}

static void test_expired_page(void **state)
{
	struct seen *s = *state;

	s->api.page_size = 1;
	s->api.expire_pages = 1;
	fake_put(&s->api, "a", "1");
	fake_put(&s->api, "b", "1");
	start(s, NULL);
	expect(s, "+a=1 +b=1 synced ");
	assert_int_equal(s->api.lists, 2);
}

static void test_bookmark(void **state)
{
	struct seen *s = *state;

	start(s, NULL);
	expect(s, "synced ");
	expect_watch(s);
	fake_write(
		&s->api,
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"77\"}}}\n");
	fake_put(&s->api, "x", "1");
	expect(s, "+x=1 ");
	assert_int_equal(s->progressed, 2); /* the list and the bookmark */
	fake_write(
		&s->api,
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"78\"}}}\n");
	fake_run(s->loop, NULL, NULL, 50);
	/* The server ends the watch: it goes on from the bookmark, without a list. */
	http_reply_end(s->api.watch);
	s->api.watch = NULL;
	expect_watch(s);
	assert_non_null(strstr(s->api.last_query, "resourceVersion=78&"));
	assert_int_equal(s->api.lists, 1);
}

static void test_gone_relists_with_the_difference(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "kept", "1");
	fake_put(&s->api, "changed", "1");
	fake_put(&s->api, "removed", "1");
	start(s, NULL);
	expect(s, "+kept=1 +changed=1 +removed=1 synced ");
	expect_watch(s);
	struct http_exchange *old = s->api.watch;
	s->api.watch = NULL; /* what follows is missed */
	fake_put(&s->api, "changed", "2");
	fake_delete(&s->api, "removed");
	fake_put(&s->api, "new", "1");
	s->api.oldest_version = s->api.version;
	http_reply_end(old);
	expect(s, "~changed=2 +new=1 -removed=1 ");
	expect_watch(s);
	assert_int_equal(s->api.lists, 2);
}

static void test_broken_connection(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	start(s, NULL);
	expect(s, "+a=1 synced ");
	expect_watch(s);
	fake_close(&s->api);
	fake_run(s->loop, NULL, NULL, 300);
	assert_non_null(informer_error(s->informer));
	assert_true(informer_failed_ms(s->informer) > 0);
	assert_int_equal(informer_count(s->informer), 1); /* the cache stays */
	fake_open(&s->api);
	expect_watch(s);
	fake_put(&s->api, "a", "2");
	expect(s, "~a=2 ");
	assert_null(informer_error(s->informer));
	assert_int_equal(s->api.lists, 1);
}

static void test_refused_lists(void **state)
{
	struct seen *s = *state;

	s->api.refuse_lists = 2;
	start(s, NULL);
	fake_run(s->loop, NULL, NULL, 30);
	assert_string_equal(informer_error(s->informer), "not today");
	assert_false(informer_forbidden(s->informer));
	expect(s, "synced ");
}

static void test_forbidden(void **state)
{
	struct seen *s = *state;

	s->api.forbid_lists = true;
	start(s, NULL);
	fake_run(s->loop, NULL, NULL, 30);
	assert_true(informer_forbidden(s->informer));
	s->api.forbid_lists = false;
	expect(s, "synced ");
	assert_false(informer_forbidden(s->informer));
}

/* What came before the mistake is there already, and comes once. */
static void test_broken_list(void **state)
{
	struct seen *s = *state;

	s->api.break_lists = 2;
	fake_put(&s->api, "a", "1");
	fake_put(&s->api, "b", "1");
	start(s, NULL);
	expect(s, "+a=1 ");
	assert_non_null(strstr(informer_error(s->informer), "behind item 1 of the list"));
	assert_false(informer_synced(s->informer));
	expect(s, "+b=1 synced ");
	assert_null(informer_error(s->informer));
}

static void test_event_in_pieces(void **state)
{
	struct seen *s = *state;
	static const char line[] =
		"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Thing\",\"apiVersion\":\"v1\","
		"\"metadata\":"
		"{\"name\":\"z\",\"namespace\":\"ns\",\"resourceVersion\":\"9\"},"
		"\"data\":{\"v\":\"1\"}}}\n";
	char byte[2] = "";

	start(s, NULL);
	expect(s, "synced ");
	expect_watch(s);
	for (const char *p = line; *p; p++) {
		byte[0] = *p;
		fake_write(&s->api, byte);
		if ((p - line) % 16 == 0)
			fake_run(s->loop, NULL, NULL, 2);
	}
	expect(s, "+z=1 ");
}

static void test_garbage_relists(void **state)
{
	struct seen *s = *state;

	start(s, NULL);
	expect(s, "synced ");
	expect_watch(s);
	struct http_exchange *old = s->api.watch;
	s->api.watch = NULL;
	fake_put(&s->api, "missed", "1");
	s->api.watch = old;
	fake_write(&s->api, "{\"type\":\"ADDED\",\"object\":\n");
	expect(s, "+missed=1 ");
	assert_int_equal(s->api.lists, 2);
}

static void test_replaced_object(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	start(s, NULL);
	expect(s, "+a=1 synced ");
	expect_watch(s);
	json_t *twin = fake_object("a", "2", ++s->api.version);
	jx_set_str(twin, "metadata.uid", "another");
	fake_event(&s->api, "MODIFIED", twin);
	json_decref(twin);
	expect(s, "-a=1 +a=2 ");
}

static void test_selectors_and_accept(void **state)
{
	struct seen *s = *state;

	start(s, &(struct informer_options){ .label_selector = "a in (b,c)",
					     .field_selector = "metadata.name=x",
					     .metadata_only = true });
	expect(s, "synced ");
	expect_watch(s);
	assert_non_null(strstr(s->api.last_query, "labelSelector=a%20in%20%28b%2Cc%29"));
	assert_non_null(strstr(s->api.last_query, "fieldSelector=metadata.name%3Dx"));
	assert_non_null(strstr(s->api.last_accept, "as=PartialObjectMetadata;"));
}

static void free_informer(void *ctx, const json_t *obj)
{
	struct seen *s = ctx;

	(void)obj;
	informer_free(s->informer);
	s->informer = NULL;
	strcat(s->log, "freed ");
}

static void test_freed_in_handler(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	fake_put(&s->api, "b", "1");
	s->informer = informer_new(s->kube, things, NULL,
				   &(struct informer_handlers){ .added = free_informer }, s);
	expect(s, "freed ");
	fake_run(s->loop, NULL, NULL, 20);
	assert_string_equal(s->log, "");
}

static void cut_added(void *ctx, const json_t *obj)
{
	note(ctx, '+', obj);
}

static void cut_updated(void *ctx, const json_t *old, const json_t *obj)
{
	assert_null(jx_at(old, "data"));
	note(ctx, '~', obj);
}

static void cut_deleted(void *ctx, const json_t *obj)
{
	strcat(((struct seen *)ctx)->log, "-");
	strcat(((struct seen *)ctx)->log, jx_name(obj));
}

static void test_handlers_only(void **state)
{
	struct seen *s = *state;

	fake_put(&s->api, "a", "1");
	fake_put(&s->api, "b", "1");
	s->informer = informer_new(s->kube, things, &(struct informer_options){ .handlers_only = true },
				   &(struct informer_handlers){ .added = cut_added,
								.updated = cut_updated,
								.deleted = cut_deleted,
								.synced = on_synced },
				   s);
	expect(s, "+a=1 +b=1 synced ");
	json_t *cut = J("{'metadata':{'name':'a','namespace':'ns','uid':'uid-a','resourceVersion':'2'}}");
	assert_true(json_equal(cut, informer_get(s->informer, "ns", "a")));
	json_decref(cut);
	expect_watch(s);
	/* What was missed is still found: nothing for b, which is as it was. */
	struct http_exchange *old = s->api.watch;
	s->api.watch = NULL;
	fake_put(&s->api, "a", "2");
	s->api.oldest_version = s->api.version;
	http_reply_end(old);
	expect(s, "~a=2 ");
	expect_watch(s);
	fake_delete(&s->api, "a");
	expect(s, "-a");
	assert_int_equal(informer_count(s->informer), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_list_and_watch),
		T(test_put),
		T(test_pages),
		T(test_expired_page),
		T(test_bookmark),
		T(test_gone_relists_with_the_difference),
		T(test_broken_connection),
		T(test_forbidden),
		T(test_refused_lists),
		T(test_broken_list),
		T(test_event_in_pieces),
		T(test_garbage_relists),
		T(test_replaced_object),
		T(test_selectors_and_accept),
		T(test_freed_in_handler),
		T(test_handlers_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
