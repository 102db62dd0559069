/* Informers and requests on a folder of manifests, as files come, change, break and go. */
#include "kube/client/informer.h"

#include "base/file.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIVE_UP_MS 5000

static const struct kube_gvr config_maps = { "", "v1", "configmaps" }, ingresses = { "networking.k8s.io", "v1", "ingresses" },
			     events_gvr = { "", "v1", "events" };

static struct loop *loop;
static struct kube_client *kube;
static struct informer *informer;
static char dir[64];
static char seen[65536], notes[65536]; /* "+a=1 ~a=2 -a " of ConfigMaps; "!…" problems, "?…" warnings, "E…", "S…" */

static void append(char *to, size_t size, const char *fmt, ...) printf_like(3, 4);
static void append(char *to, size_t size, const char *fmt, ...)
{
	size_t n = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to + n, size - n, fmt, ap);
	va_end(ap);
}

static void on_added(void *ctx, const json_t *o)
{
	(void)ctx;
	append(seen, sizeof(seen), "+%s=%s ", jx_name(o), jx_str_or(o, "data.v", ""));
}
static void on_updated(void *ctx, const json_t *old, const json_t *o)
{
	(void)ctx;
	assert_string_equal(jx_uid(old), jx_uid(o));
	assert_true(atoi(jx_str(o, "metadata.resourceVersion")) > atoi(jx_str(old, "metadata.resourceVersion")));
	append(seen, sizeof(seen), "~%s=%s ", jx_name(o), jx_str_or(o, "data.v", ""));
}
static void on_deleted(void *ctx, const json_t *o)
{
	(void)ctx;
	append(seen, sizeof(seen), "-%s ", jx_name(o));
}
static void on_synced(void *ctx)
{
	(void)ctx;
	append(seen, sizeof(seen), "synced ");
}
static const struct informer_handlers handlers = { .added = on_added, .updated = on_updated, .deleted = on_deleted, .synced = on_synced };

static void on_note(void *ctx, enum kube_files_note what, const char *text)
{
	const char *base = strrchr(text, '/');

	(void)ctx;
	append(notes, sizeof(notes), "%c%s;", "!?ES"[what], what < KUBE_FILES_EVENT && base ? base + 1 : text);
}

/* ---- the folder ---- */

static char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned at;
	char *p = path[at++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

/* In place, as an editor that keeps the inode. */
static void write_file(const char *name, const char *text)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static char *cm(const char *name, const char *v)
{
	static char text[4][300];
	static unsigned at;
	char *p = text[at++ % 4];

	snprintf(p, sizeof(text[0]), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {l%s: x}}\ndata: {v: '%s'}\n---\n", name, name, v);
	return p;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* ---- waiting ---- */

static const char *wanted;
static struct timer poll_timer;
static uint64_t until_ms;

static void on_poll(struct timer *t)
{
	if ((wanted && strstr(seen, wanted)) || loop_now_ms(loop) >= until_ms)
		loop_stop(loop);
	else
		timer_start(loop, t, 5);
}

static void run_ms(uint64_t ms, const char *for_text)
{
	wanted = for_text;
	poll_timer.fire = on_poll;
	timer_start(loop, &poll_timer, 0);
	until_ms = UINT64_MAX;
	until_ms = loop_now_ms(loop) + ms;
	loop_run(loop);
}

/* Until the informer has told `text`, which is all it has told since the last time. */
static void expect(const char *text)
{
	run_ms(GIVE_UP_MS, text);
	run_ms(60, NULL);
	assert_string_equal(seen, text);
	seen[0] = '\0';
}

static void expect_nothing(void)
{
	run_ms(300, NULL);
	assert_string_equal(seen, "");
}

static void start(const struct informer_options *o)
{
	struct err e;

	kube = kube_client_from_files(loop, dir, &e);
	assert_non_null(kube);
	kube_client_on_files_note(kube, on_note, NULL);
	seen[0] = notes[0] = '\0';
	informer = informer_new(kube, config_maps, o, &handlers, NULL);
	assert_false(informer_synced(informer));
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/portico-files-XXXXXX");
	assert_non_null(mkdtemp(dir));
	loop = loop_new(&e);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	informer_free(informer);
	kube_client_free(kube);
	run_ms(1, NULL);
	loop_free(loop);
	informer = NULL;
	kube = NULL;
	nftw(dir, remove_one, 10, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* ---- tests ---- */

static void test_life_of_objects(void **state)
{
	(void)state;
	write_file("a.yaml", cm("a", "1"));
	start(NULL);
	expect("+a=1 synced ");
	assert_true(informer_synced(informer));
	write_file("b.yml", cm("b", "1"));
	expect("+b=1 ");
	write_file("a.yaml", cm("a", "2"));
	expect("~a=2 ");
	write_file("a.yaml", cm("a", "2")); /* the same again */
	expect_nothing();
	write_file("new", cm("b", "3"));
	assert_int_equal(rename(in_dir("new"), in_dir("b.yml")), 0);
	expect("~b=3 ");
	unlink(in_dir("a.yaml"));
	expect("-a ");
	assert_int_equal(informer_count(informer), 1);
	assert_string_equal(notes, "");
}

static void test_empty_folder(void **state)
{
	(void)state;
	start(NULL);
	expect("synced ");
	assert_int_equal(mkdir(in_dir("sub"), 0755), 0);
	run_ms(100, NULL);
	write_file("sub/a.yaml", cm("a", "1"));
	expect("+a=1 ");
	assert_int_equal(rename(in_dir("sub"), in_dir("moved")), 0);
	expect_nothing(); /* the same object, in another file */
	write_file("moved/a.yaml", cm("a", "2"));
	expect("~a=2 ");
	assert_int_equal(rename(in_dir("moved"), "/tmp/portico-files-away"), 0);
	expect("-a ");
	nftw("/tmp/portico-files-away", remove_one, 10, FTW_DEPTH | FTW_PHYS);
}

static void test_ignored_files(void **state)
{
	static const char *const names[] = { ".a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "4913", "README.md", "a.yaml.bak" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		write_file(names[i], cm("ignored", "1"));
	mkdir(in_dir(".git"), 0755);
	write_file(".git/x.yaml", cm("ignored", "1"));
	assert_int_equal(symlink(".", in_dir("loop")), 0);
	assert_int_equal(symlink("nowhere", in_dir("gone.yaml")), 0);
	start(NULL);
	expect("synced ");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		write_file(names[i], cm("ignored", "2"));
	expect_nothing();
	assert_string_equal(notes, "");
}

/* The last good state stays while a document of the file cannot be read; the others of it are taken. */
static void test_broken_file(void **state)
{
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text), "%s%s%s", cm("a", "1"), cm("b", "1"), cm("c", "1"));
	write_file("x.yaml", text);
	start(NULL);
	expect("+a=1 +b=1 +c=1 synced ");
	snprintf(text, sizeof(text), "%sbroken: [\n---\n%s", cm("a", "2"), cm("c", "2"));
	write_file("x.yaml", text);
	expect("~a=2 ~c=2 ");
	assert_non_null(informer_get(informer, "default", "b"));
	assert_string_equal(notes, "!x.yaml:6: yaml: did not find expected node content;");
	notes[0] = '\0';
	write_file("x.yaml", "\tx: 1\n");
	expect_nothing();
	assert_int_equal(informer_count(informer), 3);
	assert_string_equal(notes, "!x.yaml:1: yaml: found character that cannot start any token;");
	write_file("x.yaml", cm("c", "3"));
	run_ms(GIVE_UP_MS, "~c=3");
	run_ms(60, NULL);
	assert_int_equal(informer_count(informer), 1);
	/* an empty file is one without objects */
	write_file("x.yaml", "");
	run_ms(300, NULL);
	assert_int_equal(informer_count(informer), 0);
}

/* Which of two files has an object must not depend on the order of a folder; moving one is no deletion. */
static void test_same_object_twice(void **state)
{
	(void)state;
	write_file("b.yaml", cm("x", "of b"));
	write_file("a.yaml", cm("x", "of a"));
	start(NULL);
	expect("+x=of a synced ");
	assert_non_null(strstr(notes, "a.yaml:1 already: left out"));
	unlink(in_dir("a.yaml"));
	expect("~x=of b ");
	write_file("a.yaml", cm("x", "again")); /* the one that is there stays */
	expect_nothing();
	rename(in_dir("b.yaml"), in_dir("0.yaml"));
	run_ms(300, NULL);
	assert_null(strchr(seen, '-'));
	assert_int_equal(informer_count(informer), 1);
}

static void mount_version(const char *name, const char *v)
{
	char path[128];

	mkdir(in_dir(name), 0755);
	snprintf(path, sizeof(path), "%s/x.yaml", name);
	write_file(path, cm("x", v));
	unlink(in_dir("..data_tmp"));
	assert_int_equal(symlink(name, in_dir("..data_tmp")), 0);
	assert_int_equal(rename(in_dir("..data_tmp"), in_dir("..data")), 0);
}

/* As kubelet mounts ConfigMaps. */
static void test_config_map_mount(void **state)
{
	(void)state;
	mount_version("..2026_1", "1");
	assert_int_equal(symlink("..data/x.yaml", in_dir("x.yaml")), 0);
	start(NULL);
	expect("+x=1 synced ");
	mount_version("..2026_2", "2");
	expect("~x=2 ");
}

/* A writer that takes its time is waited for. */
static void test_half_written(void **state)
{
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text), "%s%s", cm("a", "1"), cm("b", "1"));
	write_file("x.yaml", text);
	start(NULL);
	expect("+a=1 +b=1 synced ");
	int fd = open(in_dir("x.yaml"), O_WRONLY | O_TRUNC);
	assert_true(write(fd, cm("a", "2"), strlen(cm("a", "2"))) > 0);
	write_file("y.yaml", cm("w", "1")); /* something else happens meanwhile */
	run_ms(60, NULL);
	assert_string_equal(seen, "+w=1 ");
	assert_true(write(fd, cm("b", "2"), strlen(cm("b", "2"))) > 0);
	close(fd);
	expect("+w=1 ~a=2 ~b=2 ");
}

static void test_what_objects_have(void **state)
{
	(void)state;
	write_file("a.yaml", cm("a", "1"));
	start(NULL);
	expect("+a=1 synced ");
	const json_t *o = informer_get(informer, "default", "a");
	char uid[64];
	snprintf(uid, sizeof(uid), "%s", jx_uid(o));
	assert_int_equal(strlen(uid), 36);
	assert_int_equal(strlen(jx_str(o, "metadata.creationTimestamp")), 20);
	assert_string_equal(jx_str(o, "kind"), "ConfigMap");
	assert_true(informer_version(informer) > 0);
	unlink(in_dir("a.yaml"));
	expect("-a ");
	write_file("z.yaml", cm("a", "1"));
	expect("+a=1 ");
	assert_string_equal(jx_uid(informer_get(informer, "default", "a")), uid);
}

static void test_selectors_and_late_informers(void **state)
{
	struct informer_options o = { .ns = "default", .label_selector = "lb=x" }, fields = { .field_selector = "metadata.name=a" };

	(void)state;
	write_file("a.yaml", cm("a", "1"));
	write_file("b.yaml", cm("b", "1"));
	start(&o);
	expect("+b=1 synced ");
	write_file("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"); /* its label is gone */
	expect("-b ");
	struct informer *late = informer_new(kube, config_maps, &fields, &handlers, NULL);
	expect("+a=1 synced ");
	assert_int_equal(informer_count(late), 1);
	write_file("a.yaml", cm("a", "2"));
	expect("~a=2 ");
	informer_free(late);
	struct informer_options bad = { .label_selector = "!!" };
	late = informer_new(kube, config_maps, &bad, &handlers, NULL);
	expect_nothing();
	assert_non_null(informer_error(late));
	informer_free(late);
}

/* ---- requests ---- */

static int got_status;
static json_t *got;
static char got_error[ERR_MESSAGE_BYTES];

static void on_answer(void *ctx, int status, const json_t *obj, const struct err *e)
{
	(void)ctx;
	got_status = status;
	json_decref(got);
	got = json_deep_copy(obj);
	snprintf(got_error, sizeof(got_error), "%s", e ? e->message : "");
}

static void ask(const char *method, const char *path, const char *type, const char *body)
{
	cleanup(json_decrefp) json_t *b = body ? json_loads(body, 0, NULL) : NULL;

	got_status = -1;
	kube_request(kube, method, path, type, b, on_answer, NULL);
	assert_int_equal(got_status, -1); /* not before kube_request has returned */
	run_ms(20, NULL);
}

#define ING "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, labels: {app: web}}\nspec: {rules: [{host: a.test}]}\n"
#define ING_PATH "/apis/networking.k8s.io/v1/namespaces/default/ingresses"

static void test_requests(void **state)
{
	(void)state;
	write_file("i.yaml", ING);
	start(NULL);
	struct informer *in = informer_new(kube, ingresses, NULL, NULL, NULL);
	expect("synced ");
	ask("GET", ING_PATH "/web", NULL, NULL);
	assert_int_equal(got_status, 200);
	assert_string_equal(jx_name(got), "web");
	assert_string_equal(jx_uid(got), jx_uid(informer_get(in, "default", "web")));
	ask("GET", ING_PATH "/none", NULL, NULL);
	assert_int_equal(got_status, 404);
	assert_string_equal(got_error, "ingresses.networking.k8s.io \"none\" not found");
	ask("GET", "/apis/x/v1/gadgets", NULL, NULL);
	assert_int_equal(got_status, 404);
	ask("GET", "/apis/networking.k8s.io/v1/ingresses?labelSelector=app%3Dweb", NULL, NULL);
	assert_string_equal(jx_str(got, "kind"), "IngressList");
	assert_int_equal(jx_len(got, "items"), 1);
	ask("GET", ING_PATH "?labelSelector=app%3Dother", NULL, NULL);
	assert_int_equal(jx_len(got, "items"), 0);
	ask("GET", ING_PATH "?watch=true", NULL, NULL);
	assert_int_equal(got_status, 405);
	/* statuses are kept and told, also when the file changes */
	ask("PATCH", ING_PATH "/web/status", KUBE_MERGE_PATCH, "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"}]}}}");
	assert_int_equal(got_status, 200);
	assert_string_equal(notes, "SIngress default/web: {\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"}]}};");
	assert_int_equal(jx_len(informer_get(in, "default", "web"), "status.loadBalancer.ingress"), 1);
	write_file("i.yaml", ING "# changed\n---\n" ING);
	write_file("i.yaml", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: b.test}]}\n");
	run_ms(200, NULL);
	assert_int_equal(jx_len(informer_get(in, "default", "web"), "status.loadBalancer.ingress"), 1);
	assert_null(jx_label(informer_get(in, "default", "web"), "app"));
	ask("PUT", ING_PATH "/web/status", KUBE_JSON, "{\"metadata\":{\"name\":\"other\"},\"status\":{}}");
	assert_int_equal(got_status, 200);
	assert_int_equal(jx_len(informer_get(in, "default", "web"), "status.loadBalancer.ingress"), 0);
	assert_string_equal(jx_name(got), "web");
	ask("PATCH", ING_PATH "/none/status", KUBE_MERGE_PATCH, "{}");
	assert_int_equal(got_status, 404);
	/* nothing else is written */
	static const char *const refused[][2] = { { "POST", ING_PATH }, { "PUT", ING_PATH "/web" }, { "PATCH", ING_PATH "/web" }, { "DELETE", ING_PATH "/web" } };
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		ask(refused[i][0], refused[i][1], KUBE_MERGE_PATCH, "{}");
		assert_int_equal(got_status, 405);
		assert_non_null(strstr(got_error, "only statuses and Events are taken"));
	}
	informer_free(in);
	struct kube_call *c = kube_request(kube, "GET", ING_PATH, NULL, NULL, on_answer, NULL);
	got_status = -1;
	kube_cancel(c);
	run_ms(20, NULL);
	assert_int_equal(got_status, -1);
	json_decref(got);
	got = NULL;
}

static void test_events(void **state)
{
	(void)state;
	write_file("i.yaml", ING);
	start(NULL);
	struct informer *in = informer_new(kube, ingresses, NULL, NULL, NULL);
	struct informer *events = informer_new(kube, events_gvr, NULL, NULL, NULL);
	expect("synced ");
	const json_t *web = informer_get(in, "default", "web");
	for (int i = 0; i < 3; i++)
		kube_event(kube, web, "test", "Warning", "Rejected", "host %s\nis taken", "a.test");
	run_ms(50, NULL);
	assert_string_equal(notes, "EWarning Rejected Ingress default/web: host a.test is taken;");
	assert_int_equal(informer_count(events), 1);
	ask("GET", "/api/v1/namespaces/default/events", NULL, NULL);
	assert_int_equal(jx_len(got, "items"), 1);
	assert_int_equal(jx_int(json_array_get(jx_at(got, "items"), 0), "count", 0), 3);
	/* not without end */
	for (int i = 0; i < 1100; i++)
		kube_event(kube, web, "test", "Normal", "Many", "number %d", i);
	run_ms(200, NULL);
	assert_int_equal(informer_count(events), 1000);
	ask("GET", "/api/v1/events", NULL, NULL);
	assert_int_equal(jx_len(got, "items"), 1000);
	informer_free(in);
	informer_free(events);
	json_decref(got);
	got = NULL;
}

static void test_no_folder(void **state)
{
	struct err e;

	(void)state;
	assert_null(kube_client_from_files(loop, in_dir("none"), &e));
	assert_non_null(strstr(e.message, "none': No such file"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_life_of_objects), T(test_empty_folder), T(test_ignored_files), T(test_broken_file),
		T(test_same_object_twice), T(test_config_map_mount), T(test_half_written), T(test_what_objects_have),
		T(test_selectors_and_late_informers), T(test_requests), T(test_events), T(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
