#include "roles/apiserver/admission_int.h"
#include "roles/apiserver/uid.h"

/* Pods: service account, its token, tolerations, priority. k8s.io/kubernetes
 * plugin/pkg/admission/{serviceaccount, defaulttolerationseconds,priority}. */

#define TOKEN_MOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_VOLUME "kube-api-access-"
#define TOKEN_EXPIRATION_S 3607 /* an hour, and a little that tells automatic tokens from requested ones */
#define TOLERATION_S 300

static json_t *list_of(json_t *obj, const char *path)
{
	json_t *list = jx_at(obj, path);

	if (!json_is_array(list)) {
		list = json_array();
		jx_set(obj, path, list);
	}
	return list;
}

static bool has_token_mount(const json_t *container)
{
	json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(container, "volumeMounts"), i, mount)
		if (c_eq(jx_str(mount, "mountPath"), TOKEN_MOUNT))
			return true;
	return false;
}

static bool mount_in(json_t *containers, const char *volume)
{
	bool any = false;
	json_t *c;
	size_t i;

	json_array_foreach(containers, i, c) {
		if (has_token_mount(c))
			continue;
		json_array_append_new(
			list_of(c, "volumeMounts"),
			json_pack("{s:s,s:b,s:s}", "name", volume, "readOnly", 1, "mountPath", TOKEN_MOUNT));
		any = true;
	}
	return any;
}

static json_t *token_volume(const char *name)
{
	return json_pack(
		"{s:s,s:{s:[{s:{s:i,s:s}},{s:{s:s,s:[{s:s,s:s}]}},{s:{s:[{s:s,s:{s:s,s:s}}]}}],s:i}}", "name",
		name, "projected", "sources", "serviceAccountToken", "expirationSeconds", TOKEN_EXPIRATION_S,
		"path", "token", "configMap", "name", "kube-root-ca.crt", "items", "key", "ca.crt", "path",
		"ca.crt", "downwardAPI", "items", "path", "namespace", "fieldRef", "apiVersion", "v1",
		"fieldPath", "metadata.namespace", "defaultMode", 0644);
}

/* The name of a token volume that the pod has already, or a new one; on the heap. */
static char *token_volume_name(const json_t *volumes, bool *ret_exists)
{
	char suffix[SUFFIX_TEXT_BYTES];
	json_t *volume;
	size_t i;

	*ret_exists = true;
	json_array_foreach((json_t *)volumes, i, volume)
		if (str_starts(str_of(jx_str_or(volume, "name", "")), STR(TOKEN_VOLUME)))
			return xstrdup(jx_str(volume, "name"));
	*ret_exists = false;
	return xasprintf(TOKEN_VOLUME "%s", name_suffix_make(suffix));
}

static void mount_token(json_t *pod)
{
	bool exists;
	cleanup(freep) char *name = token_volume_name(jx_at(pod, "spec.volumes"), &exists);
	bool needed = mount_in(jx_at(pod, "spec.initContainers"), name);

	needed |= mount_in(jx_at(pod, "spec.containers"), name);
	if (needed && !exists)
		json_array_append_new(list_of(pod, "spec.volumes"), token_volume(name));
}

/* Of two spellings of the same field the newer one counts; both are kept, since old clients read the older.
 */
static const char *account_name(json_t *pod)
{
	const char *name = jx_str_or(pod, "spec.serviceAccountName", "");

	if (!name[0])
		name = jx_str_or(pod, "spec.serviceAccount", "");
	cleanup(freep) char *copy = xstrdup(name[0] ? name : "default");
	jx_set_str(pod, "spec.serviceAccountName", copy);
	jx_set_str(pod, "spec.serviceAccount", copy);
	return jx_str(pod, "spec.serviceAccountName");
}

static int admit_account(const struct admission_view *v, const struct admission_request *q, struct err *e)
{
	const char *name = account_name(q->obj);
	cleanup(json_decrefp) json_t *account = admission_get(v, "", "serviceaccounts", q->ns, name);

	if (!account)
		return admission_forbid(
			q, e, "error looking up service account %s/%s: serviceaccount \"%s\" not found",
			q->ns, name, name);
	if (jx_bool(q->obj, "spec.automountServiceAccountToken",
		    jx_bool(account, "automountServiceAccountToken", true)))
		mount_token(q->obj);
	if (!jx_len(q->obj, "spec.imagePullSecrets") && jx_len(account, "imagePullSecrets"))
		jx_set(q->obj, "spec.imagePullSecrets",
		       json_deep_copy(json_object_get(account, "imagePullSecrets")));
	return 0;
}

static bool tolerates(const json_t *list, const char *taint)
{
	json_t *t;
	size_t i;

	json_array_foreach((json_t *)list, i, t) {
		const char *key = jx_str_or(t, "key", ""), *effect = jx_str_or(t, "effect", "");

		if ((!key[0] || strcmp(key, taint) == 0) && (!effect[0] || strcmp(effect, "NoExecute") == 0))
			return true;
	}
	return false;
}

static void add_tolerations(json_t *pod)
{
	static const char *const taints[] = { "node.kubernetes.io/not-ready",
					      "node.kubernetes.io/unreachable" };

	for (size_t i = 0; i < ARRAY_LEN(taints); i++)
		if (!tolerates(jx_at(pod, "spec.tolerations"), taints[i]))
			json_array_append_new(list_of(pod, "spec.tolerations"),
					      json_pack("{s:s,s:s,s:s,s:i}", "key", taints[i], "operator",
							"Exists", "effect", "NoExecute", "tolerationSeconds",
							TOLERATION_S));
}

/* Every cluster has these two, stored or not. */
static const struct {
	const char *name;
	int64_t value;
} system_classes[] = {
	{ "system-cluster-critical", 2000000000 },
	{ "system-node-critical", 2000001000 },
};

struct priority {
	char *name; /* of the class; owned, NULL if there is none */
	char *policy;
	int64_t value;
};

static void priority_done(struct priority *p)
{
	free(p->name);
	free(p->policy);
}

static void priority_of_class(struct priority *p, const json_t *class)
{
	priority_done(p);
	p->name = xstrdup(jx_name(class));
	p->policy = xstrdup(jx_str_or(class, "preemptionPolicy", "PreemptLowerPriority"));
	p->value = jx_int(class, "value", 0);
}

/* Of several default classes the lowest counts. */
static bool consider_class(void *arg, const json_t *class)
{
	struct priority *p = arg;

	if (jx_bool(class, "globalDefault", false) && (!p->name || jx_int(class, "value", 0) < p->value))
		priority_of_class(p, class);
	return true;
}

static int find_priority(const struct admission_view *v, const struct admission_request *q,
			 struct priority *ret_priority, struct err *e)
{
	const char *name = jx_str_or(q->obj, "spec.priorityClassName", "");

	if (!name[0]) {
		admission_each(v, "scheduling.k8s.io", "priorityclasses", consider_class, ret_priority);
		return 0;
	}
	cleanup(json_decrefp) json_t *class =
		admission_get(v, "scheduling.k8s.io", "priorityclasses", NULL, name);
	if (class) {
		priority_of_class(ret_priority, class);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(system_classes); i++) {
		if (strcmp(name, system_classes[i].name) == 0) {
			ret_priority->value = system_classes[i].value;
			return 0;
		}
	}
	return admission_forbid(q, e, "no PriorityClass with name %s was found", name);
}

static int set_priority(const struct admission_request *q, const struct priority *p, struct err *e)
{
	const char *policy = p->policy ? p->policy : "PreemptLowerPriority",
		   *given = jx_str(q->obj, "spec.preemptionPolicy");
	int64_t asked = jx_int(q->obj, "spec.priority", p->value);

	if (asked != p->value)
		return admission_forbid(
			q, e,
			"the integer value of priority (%lld) must not be provided in pod spec; priority "
			"admission controller computed %lld from the given PriorityClass name",
			(long long)asked, (long long)p->value);
	if (given && strcmp(given, policy) != 0)
		return admission_forbid(
			q, e,
			"the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority "
			"admission controller computed %s from the given PriorityClass name",
			given, policy);
	if (p->name)
		jx_set_str(q->obj, "spec.priorityClassName", p->name);
	jx_set_int(q->obj, "spec.priority", p->value);
	jx_set_str(q->obj, "spec.preemptionPolicy", policy);
	return 0;
}

static int admit_priority(const struct admission_view *v, const struct admission_request *q, struct err *e)
{
	struct priority p = { 0 };
	int r = find_priority(v, q, &p, e);

	if (r == 0)
		r = set_priority(q, &p, e);
	priority_done(&p);
	return r;
}

int admission_pod_create(const struct admission_view *v, const struct admission_request *q, struct err *e)
{
	if (!json_is_object(json_object_get(q->obj, "spec")))
		return 0; /* validation says what is missing */
	if (!jx_annotation(q->obj, "kubernetes.io/config.mirror") && admit_account(v, q, e) < 0)
		return -1;
	if (admit_priority(v, q, e) < 0)
		return -1;
	add_tolerations(q->obj);
	return 0;
}

int admission_pod_update(const struct admission_request *q)
{
	static const char *const kept[] = { "spec.priority", "spec.preemptionPolicy",
					    "spec.serviceAccountName", "spec.serviceAccount" };

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (json_object_get(q->obj, "spec") && !jx_at(q->obj, kept[i]) && jx_at(q->old, kept[i]))
			jx_set(q->obj, kept[i], json_deep_copy(jx_at(q->old, kept[i])));
	if (json_object_get(q->obj, "spec"))
		add_tolerations(q->obj);
	return 0;
}
