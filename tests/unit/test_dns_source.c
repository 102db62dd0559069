/* Where settings come from: what is built in, a file that changes, a ConfigMap that comes, changes, breaks and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "kube/client/client.h"
#include "roles/config.h"
#include "roles/dns/config/source.h"
#include "roles/dns/worker.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_MS 10000

struct rig {
	char dir[32];
	struct config settings;
	struct dns_shared shared;
	struct dns_source *source;
	struct buf told; /* "config 2 blocks\n", "error …\n" */
	size_t told_lines;
	struct timer deadline;
	bool late;
};

static void line_told(struct rig *r)
{
	r->told_lines++;
	loop_stop(r->shared.main_loop);
}

static void on_config(void *ctx, struct dns_config *c)
{
	struct rig *r = ctx;

	buf_printf(&r->told, "%zu blocks, port %u\n", c->n_blocks, c->blocks[0].port);
	dns_config_free(c);
	line_told(r);
}

static void on_error(void *ctx, const char *text)
{
	struct rig *r = ctx;

	buf_printf(&r->told, "error %s\n", text);
	line_told(r);
}

static void on_deadline(struct timer *t)
{
	struct rig *r = t->ctx;

	r->late = true;
	loop_stop(r->shared.main_loop);
}

static const struct plugin_scope scope = { .cluster_domain = "cluster.local", .resolv_conf = "/dev/null", .upstream_port = 53 };
static const struct dns_source_handlers handlers = { on_config, on_error };

static void write_file(const struct rig *r, const char *name, const char *text)
{
	cleanup(freep) char *path = xasprintf("%s/%s", r->dir, name);
	struct err e;

	assert_int_equal(file_write(path, str_of(text), 0644, &e), 0);
}

static void rig_init(struct rig *r)
{
	struct err e;

	*r = (struct rig){ .dir = "/tmp/dnssource.XXXXXX" };
	assert_non_null(mkdtemp(r->dir));
	buf_init(&r->told, 65536);
	config_defaults(&r->settings);
	r->shared.main_loop = loop_new(&e);
	assert_non_null(r->shared.main_loop);
	r->shared.settings = &r->settings;
	r->deadline = (struct timer){ .fire = on_deadline, .ctx = r };
}

static void rig_done(struct rig *r)
{
	struct err e;

	dns_source_free(r->source);
	kube_client_free(r->shared.kube);
	loop_free(r->shared.main_loop);
	config_done(&r->settings);
	buf_done(&r->told);
	assert_int_equal(dir_remove(r->dir, &e), 0);
}

static int start(struct rig *r, struct err *e)
{
	r->source = dns_source_new(&r->shared, &scope, &handlers, r, e);
	return r->source ? 0 : -1;
}

static void expect(struct rig *r, const char *told)
{
	cleanup(freep) char *wanted = xasprintf(told, r->dir);

	timer_start(r->shared.main_loop, &r->deadline, DEADLINE_MS);
	for (r->late = false; !r->late && !r->told_lines;)
		loop_run(r->shared.main_loop);
	timer_stop(&r->deadline);
	if (r->late || strcmp(r->told.ptr, wanted) != 0)
		fail_msg("told: %s  expected: %s", r->told.ptr ? r->told.ptr : "nothing\n", wanted);
	buf_clear(&r->told);
	r->told_lines = 0;
}

/* In one turn of the file's `reload 2s 0s`. */
static void expect_nothing(struct rig *r)
{
	timer_start(r->shared.main_loop, &r->deadline, 2500);
	for (r->late = false; !r->late;)
		loop_run(r->shared.main_loop);
	assert_int_equal(r->told_lines, 0);
}

static void a_file(void **state)
{
	struct rig r;
	struct err e;

	(void)state;
	rig_init(&r);
	write_file(&r, "extra", "a.org { }\n");
	write_file(&r, "Corefile", ".:5353 {\n bind 127.0.0.1\n reload 2s 0s\n}\nimport extra\n");
	r.settings.corefile = xasprintf("%s/Corefile", r.dir);
	assert_int_equal(start(&r, &e), 0);
	expect(&r, "2 blocks, port 5353\n");
	write_file(&r, "extra", "# no change\na.org {\n}\n"); /* tells nothing */
	write_file(&r, "Corefile", "# neither\n.:5353 {\n bind 127.0.0.1\n reload 2s 0s\n}\nimport extra\n");
	expect_nothing(&r);
	write_file(&r, "extra", "a.org {\n bind nowhere0\n}\n");
	expect(&r, "error %s/extra:2: bind: 'nowhere0' is neither an IP address nor an interface of this machine\n");
	expect_nothing(&r); /* it is told once */
	write_file(&r, "extra", "a.org { }\nb.org { }\n");
	expect(&r, "3 blocks, port 5353\n");
	rig_done(&r);
}

static void wrong_at_first(void **state)
{
	struct rig r;
	struct err e;

	(void)state;
	rig_init(&r);
	r.settings.corefile = xasprintf("%s/Corefile", r.dir);
	assert_int_equal(start(&r, &e), -1);
	assert_non_null(strstr(e.message, "No such file"));
	write_file(&r, "Corefile", ". {\n nosuch\n}\n");
	assert_int_equal(start(&r, &e), -1);
	assert_non_null(strstr(e.message, "/Corefile:2: plug-in 'nosuch' is not part of portico"));
	r.settings.dns_configmap = xstrdup("a/b");
	assert_int_equal(start(&r, &e), -1);
	assert_string_equal(e.message, "--corefile and --dns-configmap: give one of them");
	free(TAKE_PTR(r.settings.corefile));
	assert_int_equal(start(&r, &e), -1);
	assert_string_equal(e.message, "--dns-configmap needs a cluster, or --from with the ConfigMap among its manifests");
	static const char *const bad[] = { "a", "a/", "/b", "a/b/c" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		free(r.settings.dns_configmap);
		r.settings.dns_configmap = xstrdup(bad[i]);
		assert_int_equal(start(&r, &e), -1);
		assert_non_null(strstr(e.message, "is not NAMESPACE/NAME"));
	}
	rig_done(&r);
}

#define MAP(name, body) "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: " name ", namespace: kube-system }\ndata:\n" body

static void a_config_map(void **state)
{
	struct rig r;
	struct err e;

	(void)state;
	rig_init(&r);
	write_file(&r, "other.yaml", MAP("other", "  Corefile: \". { nosuch }\"\n"));
	write_file(&r, "map.yaml", MAP("coredns", "  Corefile: |\n    .:5354 {\n        bind ::1\n    }\n"));
	r.settings.dns_configmap = xstrdup("kube-system/coredns");
	r.shared.kube = kube_client_from_files(r.shared.main_loop, r.dir, &e);
	assert_non_null(r.shared.kube);
	assert_int_equal(start(&r, &e), 0);
	expect(&r, "1 blocks, port 5354\n");
	write_file(&r, "map.yaml", MAP("coredns", "  Corefile: |\n    .:5354 {\n        bind\n    }\n"));
	expect(&r, "error ConfigMap kube-system/coredns:2: bind: needs at least one address or interface\n");
	write_file(&r, "map.yaml", MAP("coredns", "  corefile: x\n"));
	expect(&r, "error ConfigMap kube-system/coredns has no key Corefile\n");
	write_file(&r, "map.yaml", MAP("coredns", "  Corefile: |\n    .:5355 { }\n    a.org { }\n"));
	expect(&r, "2 blocks, port 5355\n");
	cleanup(freep) char *path = xasprintf("%s/map.yaml", r.dir);
	assert_int_equal(remove(path), 0);
	expect(&r, "error ConfigMap kube-system/coredns is gone: its settings stay in use\n");
	rig_done(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file),
		cmocka_unit_test(wrong_at_first),
		cmocka_unit_test(a_config_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
