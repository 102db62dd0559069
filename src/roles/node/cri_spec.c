#include "roles/node/cri_spec.h"

#include "base/fnv.h"
#include "codec/jx.h"
#include "roles/node/node.h"
#include "roles/node/resources.h"

#include <stdio.h>

/* protobuf-c's initialisers take memory of the right size; this gives it from an arena. */
#define NEW(a, name)                                                                               \
	({                                                                                         \
		__typeof__(name##__descriptor) *d_ = &name##__descriptor;                          \
		void *m_ = arena_alloc((a), d_->sizeof_message);                                   \
		if (m_)                                                                            \
			name##__init(m_);                                                          \
		m_;                                                                                \
	})

struct spec {
	struct arena *a;
	bool failed; /* the arena's limit was reached */
};

static void *spec_check(struct spec *s, void *p)
{
	s->failed = s->failed || !p;
	return p;
}

/* The fallback keeps the code free of NULL checks: the result is thrown away when failed is set. */
#define SPEC_NEW(s, name)                                                                          \
	({                                                                                         \
		static char spare_[1024] __attribute__((aligned(16)));                             \
		void *n_ = spec_check((s), NEW((s)->a, name));                                     \
		if (!n_)                                                                           \
			name##__init((void *)(n_ = spare_));                                       \
		n_;                                                                                \
	})

static void put_entry(struct spec *s, Cri__StringEntry ***list, size_t *n, size_t cap,
		      const char *key, const char *value)
{
	if (!*list)
		*list = spec_check(s, arena_alloc(s->a, cap * sizeof(**list)));
	if (!*list || *n == cap)
		return;
	Cri__StringEntry *en = SPEC_NEW(s, cri__string_entry);
	en->key = (char *)key;
	en->value = (char *)value;
	(*list)[(*n)++] = en;
}

static char **borrow_list(struct spec *s, const struct string_list *l, size_t *ret_n)
{
	char **out = spec_check(s, arena_alloc(s->a, (l->n + 1) * sizeof(*out)));

	*ret_n = 0;
	for (size_t i = 0; out && i < l->n; i++)
		out[(*ret_n)++] = spec_check(s, arena_strndup(s->a, l->at[i], strlen(l->at[i])));
	return out;
}

static char **borrow_strings(struct spec *s, const json_t *array, size_t *ret_n)
{
	char **out = spec_check(s, arena_alloc(s->a, (json_array_size(array) + 1) * sizeof(*out)));
	size_t i;
	const json_t *v;

	*ret_n = 0;
	json_array_foreach(array, i, v) if (out && json_is_string(v)) out[(*ret_n)++] =
		(char *)json_string_value(v);
	return out;
}

static Cri__Int64Value *optional_int(struct spec *s, int64_t v)
{
	if (v < 0)
		return NULL;
	Cri__Int64Value *out = SPEC_NEW(s, cri__int64_value);
	out->value = v;
	return out;
}

static Cri__NamespaceOption *namespaces(struct spec *s, const json_t *pod)
{
	Cri__NamespaceOption *n = SPEC_NEW(s, cri__namespace_option);

	if (jx_bool(pod, "spec.hostNetwork", false))
		n->network = CRI__NAMESPACE_MODE__NODE;
	if (jx_bool(pod, "spec.hostIPC", false))
		n->ipc = CRI__NAMESPACE_MODE__NODE;
	n->pid = jx_bool(pod, "spec.hostPID", false) ? CRI__NAMESPACE_MODE__NODE
		 : jx_bool(pod, "spec.shareProcessNamespace", false)
			 ? CRI__NAMESPACE_MODE__POD
			 : CRI__NAMESPACE_MODE__CONTAINER;
	return n;
}

static int64_t *supplemental_groups(struct spec *s, const json_t *pod, size_t *ret_n)
{
	const json_t *groups = jx_at(pod, "spec.securityContext.supplementalGroups"), *g;
	int64_t fs_group = jx_int(pod, "spec.securityContext.fsGroup", -1);
	int64_t *out =
		spec_check(s, arena_alloc(s->a, (json_array_size(groups) + 1) * sizeof(*out)));
	size_t i;

	*ret_n = 0;
	json_array_foreach(groups, i, g) if (out) out[(*ret_n)++] = json_integer_value(g);
	if (out && fs_group >= 0)
		out[(*ret_n)++] = fs_group;
	return out;
}

/* The container's profile, or else the pod's; none is unconfined, as kubelet's default. */
static Cri__SecurityProfile *seccomp(struct spec *s, const json_t *container, const json_t *pod)
{
	const json_t *own = jx_at(container, "securityContext.seccompProfile");
	const json_t *p = own ? own : jx_at(pod, "spec.securityContext.seccompProfile");
	Cri__SecurityProfile *out = SPEC_NEW(s, cri__security_profile);
	const char *type = jx_str_or(p, "type", "Unconfined");

	out->profile_type = c_eq(type, "RuntimeDefault") ? CRI__PROFILE_TYPE__RUNTIME_DEFAULT
			    : c_eq(type, "Localhost")	 ? CRI__PROFILE_TYPE__LOCALHOST
							 : CRI__PROFILE_TYPE__UNCONFINED;
	out->localhost_ref = (char *)jx_str_or(p, "localhostProfile", "");
	return out;
}

static bool any_privileged(const json_t *pod)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	size_t i;
	const json_t *c;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		json_array_foreach(
			jx_at(pod, lists[l]), i,
			c) if (jx_bool(c, "securityContext.privileged", false)) return true;
	return false;
}

static Cri__LinuxPodSandboxConfig *sandbox_linux(struct spec *s, const struct pod *p)
{
	Cri__LinuxPodSandboxConfig *l = SPEC_NEW(s, cri__linux_pod_sandbox_config);
	Cri__LinuxSandboxSecurityContext *sc = SPEC_NEW(s, cri__linux_sandbox_security_context);
	const json_t *sysctls = jx_at(p->obj, "spec.securityContext.sysctls"), *sysctl;
	cleanup(freep) char *cgroup = pod_cgroup_path(p->obj);
	size_t i;

	l->cgroup_parent = spec_check(s, arena_strndup(s->a, cgroup, strlen(cgroup)));
	l->security_context = sc;
	sc->namespace_options = namespaces(s, p->obj);
	sc->run_as_user = optional_int(s, jx_int(p->obj, "spec.securityContext.runAsUser", -1));
	sc->run_as_group =
		sc->run_as_user
			? optional_int(s, jx_int(p->obj, "spec.securityContext.runAsGroup", -1))
			: NULL;
	sc->supplemental_groups = supplemental_groups(s, p->obj, &sc->n_supplemental_groups);
	sc->privileged = any_privileged(p->obj);
	sc->seccomp = seccomp(s, NULL, p->obj);
	json_array_foreach(sysctls, i, sysctl)
		put_entry(s, &l->sysctls, &l->n_sysctls, json_array_size(sysctls),
			  jx_str_or(sysctl, "name", ""), jx_str_or(sysctl, "value", ""));
	return l;
}

static Cri__DNSConfig *dns(struct spec *s, const struct pod *p)
{
	const struct node *n = p->node;
	struct pod_dns_cluster cluster = { n->config->dns_ip, n->config->cluster_domain, &n->host_dns };
	Cri__DNSConfig *out = SPEC_NEW(s, cri__dnsconfig);
	struct pod_dns d;

	pod_dns_of(p->obj, &cluster, &d);
	out->servers = borrow_list(s, &d.servers, &out->n_servers);
	out->searches = borrow_list(s, &d.searches, &out->n_searches);
	out->options = borrow_list(s, &d.options, &out->n_options);
	pod_dns_done(&d);
	return out;
}

char *pod_log_dir(const struct pod *p)
{
	return xasprintf("%s/%s_%s_%s", p->node->logs_dir, p->ns, p->name, p->uid);
}

char *ctr_log_path(const struct ctr *c, unsigned attempt)
{
	cleanup(freep) char *dir = pod_log_dir(c->pod);

	return xasprintf("%s/%s/%u.log", dir, c->name, attempt);
}

static void put_labels(struct spec *s, const struct pod *p, Cri__StringEntry ***list, size_t *n)
{
	size_t cap = 4;

	put_entry(s, list, n, cap, LABEL_POD_NAME, p->name);
	put_entry(s, list, n, cap, LABEL_POD_NAMESPACE, p->ns);
	put_entry(s, list, n, cap, LABEL_POD_UID, p->uid);
}

static Cri__PodSandboxConfig *sandbox_config(struct spec *s, const struct pod *p, unsigned attempt)
{
	Cri__PodSandboxConfig *c = SPEC_NEW(s, cri__pod_sandbox_config);
	cleanup(freep) char *logs = pod_log_dir(p);
	char hostname[64];

	c->metadata = SPEC_NEW(s, cri__pod_sandbox_metadata);
	c->metadata->name = p->name;
	c->metadata->uid = p->uid;
	c->metadata->namespace_ = p->ns;
	c->metadata->attempt = attempt;
	pod_hostname(p->obj, hostname);
	/* On the host's network the host's name holds. */
	if (!jx_bool(p->obj, "spec.hostNetwork", false))
		c->hostname = spec_check(s, arena_strndup(s->a, hostname, strlen(hostname)));
	c->log_directory = spec_check(s, arena_strndup(s->a, logs, strlen(logs)));
	c->dns_config = dns(s, p);
	put_labels(s, p, &c->labels, &c->n_labels);
	c->linux_config = sandbox_linux(s, p);
	return c;
}

Cri__PodSandboxConfig *cri_sandbox_config(const struct pod *p, unsigned attempt, struct arena *a)
{
	struct spec s = { a, false };
	Cri__PodSandboxConfig *c = sandbox_config(&s, p, attempt);

	return s.failed ? NULL : c;
}

uint64_t ctr_spec_hash(const json_t *spec)
{
	cleanup(json_decrefp) json_t *copy = json_copy((json_t *)spec);

	/* Sizes can change in place; probes are the node's own business. */
	json_object_del(copy, "resources");
	json_object_del(copy, "resizePolicy");
	cleanup(freep) char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
	return text ? fnv1a_64_text(text) : FNV1A_64; /* must be the same after a restart */
}

static char **expand_list(struct spec *s, const json_t *array, const struct env *env, size_t *ret_n)
{
	char **out = spec_check(s, arena_alloc(s->a, (json_array_size(array) + 1) * sizeof(*out)));
	size_t i;
	const json_t *v;

	*ret_n = 0;
	json_array_foreach(array, i, v)
	{
		cleanup(freep) char *text =
			json_is_string(v) ? env_expand(json_string_value(v), env, NULL) : NULL;
		if (out && text)
			out[(*ret_n)++] = spec_check(s, arena_strndup(s->a, text, strlen(text)));
	}
	return out;
}

static void put_env(struct spec *s, Cri__ContainerConfig *c, const struct env *env)
{
	c->envs = spec_check(s, arena_alloc(s->a, (env->n + 1) * sizeof(*c->envs)));
	for (size_t i = 0; c->envs && i < env->n; i++) {
		Cri__KeyValue *kv = SPEC_NEW(s, cri__key_value);
		kv->key = env->at[i].name;
		kv->value = env->at[i].value;
		c->envs[c->n_envs++] = kv;
	}
}

static void put_mounts(struct spec *s, Cri__ContainerConfig *c, const struct ctr_mounts *mounts)
{
	c->mounts = spec_check(s, arena_alloc(s->a, (mounts->n + 1) * sizeof(*c->mounts)));
	for (size_t i = 0; c->mounts && i < mounts->n; i++) {
		Cri__Mount *m = SPEC_NEW(s, cri__mount);
		m->container_path = mounts->at[i].container_path;
		m->host_path = mounts->at[i].host_path;
		m->readonly = mounts->at[i].readonly;
		m->propagation = (Cri__MountPropagation)mounts->at[i].propagation;
		c->mounts[c->n_mounts++] = m;
	}
}

static Cri__LinuxContainerResources *ctr_resources(struct spec *s, const struct ctr *c)
{
	struct cpu_memory r = container_resources(c->pod->obj, c->spec, c->pod->node->memory_bytes);
	Cri__LinuxContainerResources *out = SPEC_NEW(s, cri__linux_container_resources);

	out->cpu_shares = r.cpu_shares;
	out->cpu_quota = r.cpu_quota_us;
	out->cpu_period = r.cpu_quota_us ? r.cpu_period_us : 0;
	out->memory_limit_in_bytes = r.memory_limit_bytes;
	out->oom_score_adj = r.oom_score_adj;
	return out;
}

/* The container's own setting, or else the pod's. */
static int64_t security_int(const struct ctr *c, const char *name)
{
	cleanup(freep) char *own = xasprintf("securityContext.%s", name);
	cleanup(freep) char *pod = xasprintf("spec.securityContext.%s", name);

	return jx_int(c->spec, own, jx_int(c->pod->obj, pod, -1));
}

static Cri__LinuxContainerSecurityContext *ctr_security(struct spec *s, const struct ctr *c)
{
	Cri__LinuxContainerSecurityContext *sc = SPEC_NEW(s, cri__linux_container_security_context);
	const json_t *caps = jx_at(c->spec, "securityContext.capabilities");

	sc->namespace_options = namespaces(s, c->pod->obj);
	sc->privileged = jx_bool(c->spec, "securityContext.privileged", false);
	sc->readonly_rootfs = jx_bool(c->spec, "securityContext.readOnlyRootFilesystem", false);
	sc->no_new_privs = !jx_bool(c->spec, "securityContext.allowPrivilegeEscalation", true);
	sc->run_as_user = optional_int(s, security_int(c, "runAsUser"));
	sc->run_as_group = optional_int(s, security_int(c, "runAsGroup"));
	sc->supplemental_groups = supplemental_groups(s, c->pod->obj, &sc->n_supplemental_groups);
	sc->seccomp = seccomp(s, c->spec, c->pod->obj);
	if (caps) {
		sc->capabilities = SPEC_NEW(s, cri__capability);
		sc->capabilities->add_capabilities = borrow_strings(
			s, json_object_get(caps, "add"), &sc->capabilities->n_add_capabilities);
		sc->capabilities->drop_capabilities = borrow_strings(
			s, json_object_get(caps, "drop"), &sc->capabilities->n_drop_capabilities);
	}
	return sc;
}

/* The image's user must be known not to be root, if nothing else says who runs. */
static int check_non_root(const struct ctr *c, int64_t image_uid, struct err *e)
{
	bool wanted = jx_bool(c->spec, "securityContext.runAsNonRoot",
			      jx_bool(c->pod->obj, "spec.securityContext.runAsNonRoot", false));
	int64_t user = security_int(c, "runAsUser");

	if (!wanted || user > 0)
		return 0;
	if (user == 0)
		return err_set(
			e, ERR_INVALID,
			"container's runAsUser breaks non-root policy (pod: \"%s\", container: %s)",
			c->pod->key, c->name);
	if (image_uid <= 0)
		return err_set(e, ERR_INVALID,
			       "container has runAsNonRoot and image will run as root (pod: "
			       "\"%s\", container: %s)",
			       c->pod->key, c->name);
	return 0;
}

static void put_identity(struct spec *s, const struct ctr *c, Cri__ContainerConfig *out)
{
	char *attempt = arena_printf(s->a, "%u", c->attempt);
	char *hash = arena_printf(s->a, "%llx", (unsigned long long)c->spec_hash);

	out->metadata = SPEC_NEW(s, cri__container_metadata);
	out->metadata->name = c->name;
	out->metadata->attempt = c->attempt;
	out->log_path = spec_check(s, arena_printf(s->a, "%s/%u.log", c->name, c->attempt));
	put_labels(s, c->pod, &out->labels, &out->n_labels);
	put_entry(s, &out->labels, &out->n_labels, 4, LABEL_CONTAINER_NAME, c->name);
	put_entry(s, &out->annotations, &out->n_annotations, 2, ANNOTATION_RESTART_COUNT,
		  spec_check(s, attempt));
	put_entry(s, &out->annotations, &out->n_annotations, 2, ANNOTATION_HASH,
		  spec_check(s, hash));
}

Cri__ContainerConfig *cri_ctr_config(const struct ctr *c, const struct ctr_inputs *in,
				     struct arena *a, struct err *e)
{
	struct spec s = { a, false };
	Cri__ContainerConfig *out = SPEC_NEW(&s, cri__container_config);

	if (check_non_root(c, in->image_uid, e) < 0)
		return NULL;
	put_identity(&s, c, out);
	out->image = SPEC_NEW(&s, cri__image_spec);
	out->image->image = c->pulled_image_id;
	out->command =
		expand_list(&s, json_object_get(c->spec, "command"), in->env, &out->n_command);
	out->args = expand_list(&s, json_object_get(c->spec, "args"), in->env, &out->n_args);
	out->working_dir = (char *)jx_str_or(c->spec, "workingDir", "");
	put_env(&s, out, in->env);
	put_mounts(&s, out, in->mounts);
	out->stdin = jx_bool(c->spec, "stdin", false);
	out->stdin_once = jx_bool(c->spec, "stdinOnce", false);
	out->tty = jx_bool(c->spec, "tty", false);
	out->linux_config = SPEC_NEW(&s, cri__linux_container_config);
	out->linux_config->resources = ctr_resources(&s, c);
	out->linux_config->security_context = ctr_security(&s, c);
	if (s.failed) {
		err_set(e, ERR_TOO_LARGE, "the container's configuration is larger than %u bytes",
			CRI_SPEC_BYTES);
		return NULL;
	}
	return out;
}
