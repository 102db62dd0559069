/* The API server's store: order, durability, history, restart, and what happens when the disk
 * refuses. */
#include "roles/apiserver/store/snapshot.h"
#include "roles/apiserver/store/store.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	struct loop *loop;
	struct store *store;
	struct table *maps;
	char dir[64], path[96];
	char log[4096]; /* one word per call-back */
	size_t failures;
};

static void note(struct world *w, const char *fmt, ...) printf_like(2, 3);
static void note(struct world *w, const char *fmt, ...)
{
	size_t n = strlen(w->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->log + n, sizeof(w->log) - n, fmt, ap);
	va_end(ap);
}

static void on_changed(void *ctx, struct table *t, struct object *old, struct object *new)
{
	(void)ctx;
	(void)t;
	assert_true(old || new);
}

static void on_durable(void *ctx, const struct event *ev)
{
	static const char *const names[] = { "add", "mod", "del" };

	note(ctx, "%s:%s ", names[ev->type], ev->obj->name);
}

static void on_failed(void *ctx, const struct err *e)
{
	struct world *w = ctx;

	assert_true(e->message[0]);
	w->failures++;
}

static void on_damaged(void *ctx, struct str key, const struct err *e)
{
	(void)e;
	note(ctx, "damaged:" STR_FMT " ", STR_ARG(key));
}

static const struct store_ops ops = {
	.changed = on_changed, .durable = on_durable, .failed = on_failed, .damaged = on_damaged
};

static void open_store(struct world *w)
{
	struct err e;

	w->loop = loop_new(&e);
	assert_non_null(w->loop);
	w->store = store_new(w->loop, w->path, &ops, w, &e);
	if (!w->store)
		fail_msg("%s", e.message);
	w->maps = store_table(w->store, resource_find(STR(""), STR("v1"), STR("configmaps")));
}

static void close_store(struct world *w)
{
	store_free(w->store);
	loop_free(w->loop);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/portico-store-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/store.db", w->dir);
	open_store(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	cleanup(freep) char *command = xasprintf("rm -rf %s", w->dir);

	close_store(w);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static json_t *map_tree(const char *ns, const char *name, const char *value, uint64_t rv)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:{s:s}},s:{s:s}}", "data_before", "x", "kind",
			 "ConfigMap", "metadata", "namespace", ns, "name", name, "resourceVersion",
			 text, "labels", "app", "web", "data", "v", value);
}

static struct object *make_map(struct world *w, const char *ns, const char *name, const char *value)
{
	struct err e;
	cleanup(json_decrefp) json_t *tree = map_tree(ns, name, value, store_next_rv(w->store));
	struct object *o = object_new(w->maps->res, tree, &e);

	assert_non_null(o);
	return o;
}

static uint64_t put(struct world *w, const char *ns, const char *name, const char *value)
{
	store_put(w->store, w->maps, make_map(w, ns, name, value));
	return store_rv(w->store);
}

static uint64_t del(struct world *w, const char *ns, const char *name)
{
	store_remove(w->store, w->maps, make_map(w, ns, name, "gone"));
	return store_rv(w->store);
}

struct waiter {
	struct store_wait wait;
	struct loop *loop;
	int called;
	bool failed;
};

static void waited(struct store_wait *sw, const struct err *e)
{
	struct waiter *wt = container_of(sw, struct waiter, wait);

	wt->called++;
	wt->failed = e != NULL;
	loop_stop(wt->loop);
}

/* true when the version became durable. */
static bool settle(struct world *w, uint64_t rv)
{
	struct waiter wt = { .wait.done = waited, .loop = w->loop };

	store_wait(w->store, &wt.wait, rv);
	if (!wt.called)
		loop_run(w->loop);
	else
		loop_run(w->loop); /* consumes the stop */
	assert_int_equal(wt.called, 1);
	return !wt.failed;
}

static void test_bytes_of_an_object(void **state)
{
	struct world *w = *state;
	struct object *o = make_map(w, "a", "b", "c");

	assert_true(
		str_starts(str_of(o->json),
			   STR("{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{")));
	assert_int_equal(o->json[o->json_len], '\n');
	assert_true(str_starts(object_bare(o), STR("\"metadata\":{")));
	assert_true(str_ends(object_bare(o), STR("}")));
	assert_int_equal(object_metadata(o).ptr[0], '{');
	assert_int_equal(object_metadata(o).ptr[object_metadata(o).len - 1], '}');
	assert_string_equal(o->ns, "a");
	assert_string_equal(o->name, "b");
	assert_int_equal(o->n_labels, 1);
	object_unref(o);
}

static void test_versions_rise_and_events_keep_order(void **state)
{
	struct world *w = *state;
	uint64_t first = put(w, "ns", "a", "1");

	assert_int_equal(put(w, "ns", "b", "1"), first + 1);
	assert_int_equal(put(w, "ns", "a", "2"), first + 2);
	assert_int_equal(del(w, "ns", "b"), first + 3);
	assert_string_equal(w->log, ""); /* nothing is told before it is durable */
	assert_true(store_durable_rv(w->store) < first);
	assert_true(settle(w, first + 3));
	assert_string_equal(w->log, "add:a add:b mod:a del:b ");
	assert_int_equal(store_durable_rv(w->store), first + 3);
	assert_null(table_get(w->maps, "ns", "b"));
}

static void test_tables_are_sorted(void **state)
{
	struct world *w = *state;
	static const char *const names[] = { "m", "a", "z", "c", "b" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		put(w, "two", names[i], "1");
		put(w, "one", names[i], "1");
	}
	assert_int_equal(w->maps->n, 10);
	for (size_t i = 1; i < w->maps->n; i++) {
		int c = strcmp(w->maps->at[i - 1]->ns, w->maps->at[i]->ns);
		assert_true(c < 0 ||
			    (c == 0 && strcmp(w->maps->at[i - 1]->name, w->maps->at[i]->name) < 0));
	}
	assert_int_equal(table_lower(w->maps, "two", ""), 5);
	assert_true(settle(w, store_rv(w->store)));
}

static void test_restart_keeps_objects_and_versions(void **state)
{
	struct world *w = *state;

	put(w, "ns", "stays", "1");
	put(w, "ns", "goes", "1");
	uint64_t last = del(w, "ns", "goes");
	assert_true(settle(w, last));
	close_store(w);
	open_store(w);
	assert_int_equal(w->maps->n, 1);
	assert_string_equal(w->maps->at[0]->name, "stays");
	/* The deletion was the newest write and left no row: its version must not be given again.
	 */
	assert_int_equal(store_next_rv(w->store), last + 1);
	assert_int_equal(store_oldest_rv(w->store), last);
}

static void test_closing_finishes_what_was_queued(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++) {
		char name[16];
		snprintf(name, sizeof(name), "m%d", i);
		put(w, "ns", name, "1");
	}
	close_store(w);
	open_store(w);
	assert_int_equal(w->maps->n, 100);
}

static void collect(void *ctx, const struct event *ev)
{
	note(ctx, "%llu:%s ", (unsigned long long)ev->rv, ev->obj->name);
}

static void test_history_is_replayed_from_a_version(void **state)
{
	struct world *w = *state;
	char want[128];
	uint64_t first = put(w, "ns", "a", "1");

	put(w, "ns", "b", "1");
	uint64_t last = put(w, "ns", "c", "1");
	assert_true(settle(w, last));
	w->log[0] = '\0';
	store_replay(w->store, w->maps, first, collect, w);
	snprintf(want, sizeof(want), "%llu:b %llu:c ", (unsigned long long)first + 1,
		 (unsigned long long)last);
	assert_string_equal(w->log, want);
	put(w, "ns", "d", "1"); /* not durable: not replayed */
	w->log[0] = '\0';
	store_replay(w->store, w->maps, last, collect, w);
	assert_string_equal(w->log, "");
}

static void test_snapshot_is_the_past(void **state)
{
	struct world *w = *state;
	struct snapshot sn;

	put(w, "ns", "kept", "1");
	put(w, "ns", "changed", "old");
	uint64_t then = put(w, "ns", "deleted", "1");
	put(w, "ns", "changed", "new");
	del(w, "ns", "deleted");
	put(w, "ns", "added", "1");
	snapshot_take(w->store, w->maps, then, &sn);
	assert_int_equal(sn.n, 3);
	assert_string_equal(sn.at[0]->name, "changed");
	assert_non_null(strstr(sn.at[0]->json, "\"v\":\"old\""));
	assert_string_equal(sn.at[1]->name, "deleted");
	assert_string_equal(sn.at[2]->name, "kept");
	snapshot_done(&sn);
	assert_true(settle(w, store_rv(w->store)));
}

/* The disk refuses: memory goes back, the waiting reply hears of it, and later writes work. */
static void test_failed_commit_is_taken_back(void **state)
{
	struct world *w = *state;
	struct rlimit old, tight = { .rlim_cur = 200 << 10 };
	cleanup(freep) char *big = xmalloc(1 << 20);

	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	put(w, "ns", "kept", "old");
	uint64_t good = put(w, "ns", "victim", "1");
	assert_true(settle(w, good));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	put(w, "ns", "kept", big);
	del(w, "ns", "victim");
	uint64_t bad = put(w, "ns", "new", "1");
	w->log[0] = '\0';
	assert_false(settle(w, bad));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_string_equal(w->log, "");
	assert_true(w->failures >= 1);
	assert_int_equal(store_rv(w->store), good);
	assert_null(table_get(w->maps, "ns", "new"));
	assert_non_null(table_get(w->maps, "ns", "victim"));
	assert_non_null(strstr(table_get(w->maps, "ns", "kept")->json, "\"v\":\"old\""));
	uint64_t again = put(w, "ns", "after", "1");
	assert_true(again > bad);
	assert_true(settle(w, again));
	close_store(w);
	open_store(w);
	assert_int_equal(w->maps->n, 3);
}

static void test_damaged_rows_are_reported(void **state)
{
	struct world *w = *state;
	sqlite3 *db;

	uint64_t rv = put(w, "ns", "good", "1");
	put(w, "ns", "bad", "1");
	assert_true(settle(w, rv + 1));
	close_store(w);
	assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE object SET json=x'7b7b' WHERE key LIKE '%/bad'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	w->log[0] = '\0';
	open_store(w);
	assert_string_equal(w->log, "damaged:configmaps/ns/bad ");
	assert_int_equal(w->maps->n, 1);
}

static void test_a_file_that_is_no_database(void **state)
{
	struct world *w = *state;
	struct err e;

	close_store(w);
	FILE *f = fopen(w->path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	w->loop = loop_new(&e);
	assert_null(store_new(w->loop, w->path, &ops, w, &e));
	assert_non_null(strstr(e.message, "damaged"));
	unlink(w->path);
	loop_free(w->loop);
	open_store(w);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bytes_of_an_object),
		T(test_versions_rise_and_events_keep_order),
		T(test_tables_are_sorted),
		T(test_restart_keeps_objects_and_versions),
		T(test_closing_finishes_what_was_queued),
		T(test_history_is_replayed_from_a_version),
		T(test_snapshot_is_the_past),
		T(test_failed_commit_is_taken_back),
		T(test_damaged_rows_are_reported),
		T(test_a_file_that_is_no_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
