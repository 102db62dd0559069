/* What the runtime is asked for, given a pod. */
#include "codec/jx.h"
#include "roles/node/cri_spec.h"
#include "roles/node/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct config config = { .dns_ip = "10.96.0.10", .cluster_domain = "cluster.local" };
static struct node node = { .config = &config,
			    .logs_dir = "/logs",
			    .memory_bytes = (int64_t)1000 << 20 };

struct fixture {
	struct pod pod;
	struct ctr ctr;
	struct env env;
	struct ctr_mounts mounts;
	struct arena arena;
};

static void make(struct fixture *f, const char *pod_spec, const char *ctr_spec)
{
	cleanup(freep) char *text = xasprintf(
		"{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\"},\"spec\":%s}",
		pod_spec);
	struct err e;

	*f = (struct fixture){
		.pod = { .node = &node, .name = "p", .ns = "ns", .uid = "u", .key = "p_ns(u)" }
	};
	f->pod.obj = jx_parse(str_of(text), 65536, &e);
	assert_non_null(f->pod.obj);
	json_t *spec = jx_parse(str_of(ctr_spec), 65536, &e);
	assert_non_null(spec);
	json_object_set_new(json_object_get(f->pod.obj, "spec"), "containers",
			    json_pack("[o]", spec));
	f->ctr = (struct ctr){ .pod = &f->pod,
			       .name = "c",
			       .spec = spec,
			       .attempt = 3,
			       .pulled_image_id = "sha256:1" };
	env_init(&f->env);
	arena_init(&f->arena, CRI_SPEC_BYTES);
}

static void drop(struct fixture *f)
{
	arena_done(&f->arena);
	env_done(&f->env);
	json_decref(f->pod.obj);
}

static Cri__ContainerConfig *config_of(struct fixture *f, int64_t image_uid, struct err *e)
{
	struct ctr_inputs in = { &f->env, &f->mounts, image_uid };

	return cri_ctr_config(&f->ctr, &in, &f->arena, e);
}

static void test_container(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	make(&f, "{}",
	     "{\"command\":[\"run\",\"$(A)\"],\"args\":[\"$$(A)\"],\"workingDir\":\"/"
	     "w\",\"tty\":true,\"resources\":{\"limits\":{"
	     "\"cpu\":\"500m\",\"memory\":\"64Mi\"}},\"securityContext\":{\"runAsUser\":7,"
	     "\"capabilities\":{\"add\":[\"NET_ADMIN\"],"
	     "\"drop\":[\"ALL\"]},\"allowPrivilegeEscalation\":false,\"seccompProfile\":{\"type\":"
	     "\"RuntimeDefault\"}}}");
	env_set(&f.env, "A", "value");
	Cri__ContainerConfig *c = config_of(&f, -1, &e);
	const Cri__LinuxContainerSecurityContext *sc = c->linux_config->security_context;
	assert_string_equal(c->command[1], "value");
	assert_string_equal(c->args[0], "$(A)");
	assert_string_equal(c->working_dir, "/w");
	assert_string_equal(c->log_path, "c/3.log");
	assert_string_equal(c->image->image, "sha256:1");
	assert_true(c->tty);
	assert_int_equal(c->linux_config->resources->cpu_quota, 50000);
	assert_int_equal(c->linux_config->resources->memory_limit_in_bytes, 64 << 20);
	assert_int_equal(sc->run_as_user->value, 7);
	assert_null(sc->run_as_group);
	assert_true(sc->no_new_privs);
	assert_string_equal(sc->capabilities->drop_capabilities[0], "ALL");
	assert_int_equal(sc->seccomp->profile_type, CRI__PROFILE_TYPE__RUNTIME_DEFAULT);
	assert_string_equal(cri_entry(c->labels, c->n_labels, LABEL_CONTAINER_NAME), "c");
	assert_string_equal(cri_entry(c->labels, c->n_labels, LABEL_POD_UID), "u");
	assert_string_equal(cri_entry(c->annotations, c->n_annotations, ANNOTATION_RESTART_COUNT),
			    "3");
	drop(&f);
}

static const struct {
	const char *pod, *ctr;
	int64_t image_uid;
	bool ok;
} non_root[] = {
	{ "{}", "{}", 0, true },
	{ "{}", "{\"securityContext\":{\"runAsNonRoot\":true}}", 0, false },
	{ "{}", "{\"securityContext\":{\"runAsNonRoot\":true}}", 1000, true },
	{ "{}", "{\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":5}}", 0, true },
	{ "{}", "{\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":0}}", 1000, false },
	{ "{\"securityContext\":{\"runAsNonRoot\":true}}", "{}", 0, false },
	{ "{\"securityContext\":{\"runAsNonRoot\":true,\"runAsUser\":5}}", "{}", 0, true },
	{ "{\"securityContext\":{\"runAsNonRoot\":true}}",
	  "{\"securityContext\":{\"runAsNonRoot\":false}}", 0, true },
};

static void test_non_root(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(non_root); i++) {
		struct fixture f;
		struct err e;
		make(&f, non_root[i].pod, non_root[i].ctr);
		assert_int_equal(config_of(&f, non_root[i].image_uid, &e) != NULL, non_root[i].ok);
		drop(&f);
	}
}

static const struct {
	const char *pod;
	Cri__NamespaceMode network, pid, ipc;
	const char *hostname;
} namespaces[] = {
	{ "{}", CRI__NAMESPACE_MODE__POD, CRI__NAMESPACE_MODE__CONTAINER, CRI__NAMESPACE_MODE__POD,
	  "p" },
	{ "{\"hostNetwork\":true,\"hostPID\":true,\"hostIPC\":true}", CRI__NAMESPACE_MODE__NODE,
	  CRI__NAMESPACE_MODE__NODE, CRI__NAMESPACE_MODE__NODE, "" },
	{ "{\"shareProcessNamespace\":true,\"hostname\":\"h\"}", CRI__NAMESPACE_MODE__POD,
	  CRI__NAMESPACE_MODE__POD, CRI__NAMESPACE_MODE__POD, "h" },
};

static void test_sandbox(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		struct fixture f;
		make(&f, namespaces[i].pod, "{}");
		Cri__PodSandboxConfig *c = cri_sandbox_config(&f.pod, 2, &f.arena);
		const Cri__NamespaceOption *n =
			c->linux_config->security_context->namespace_options;
		assert_int_equal(n->network, namespaces[i].network);
		assert_int_equal(n->pid, namespaces[i].pid);
		assert_int_equal(n->ipc, namespaces[i].ipc);
		assert_string_equal(c->hostname, namespaces[i].hostname);
		assert_string_equal(c->log_directory, "/logs/ns_p_u");
		assert_string_equal(c->linux_config->cgroup_parent, "/kubepods/besteffort/podu");
		assert_int_equal(c->metadata->attempt, 2);
		drop(&f);
	}
}

/* An environment that does not fit is an error, not a crash. */
static void test_limit(void **state)
{
	struct fixture f;
	struct err e = { 0 };

	(void)state;
	make(&f, "{}", "{}");
	f.arena.limit = 512;
	assert_null(config_of(&f, -1, &e));
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	assert_null(cri_sandbox_config(&f.pod, 0, &f.arena));
	drop(&f);
}

static void test_hash(void **state)
{
	struct err e;
	cleanup(json_decrefp) json_t *a =
		jx_parse(STR("{\"image\":\"x\",\"name\":\"c\"}"), 4096, &e);
	cleanup(json_decrefp) json_t *b = jx_parse(
		STR("{\"name\":\"c\",\"image\":\"x\",\"resources\":{\"limits\":{}}}"), 4096, &e);
	cleanup(json_decrefp) json_t *c =
		jx_parse(STR("{\"name\":\"c\",\"image\":\"y\"}"), 4096, &e);

	(void)state;
	assert_true(ctr_spec_hash(a) == ctr_spec_hash(b));
	assert_true(ctr_spec_hash(a) != ctr_spec_hash(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container), cmocka_unit_test(test_non_root),
		cmocka_unit_test(test_sandbox),	  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
