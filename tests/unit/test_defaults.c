#include "kube/schema/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static json_t *defaulted(const char *group, const char *version, const char *kind, const char *json)
{
	const struct resource *r = resource_find_kind(str_of(group), str_of(version), str_of(kind));
	json_t *v = json_loads(json, 0, NULL);

	assert_non_null(r);
	assert_non_null(v);
	object_default(r, v);
	return v;
}

/* As kube-apiserver v1.34 answers them, without what its registry adds. */
static const struct {
	const char *group, *version, *kind, *in, *out;
} rows[] = {
	{ "", "v1", "Service",
	  "{\"spec\":{\"ports\":[{\"port\":80},{\"port\":81,\"targetPort\":\"x\",\"protocol\":\"UDP\"}]}}",
	  "{\"metadata\":{},\"spec\":{\"internalTrafficPolicy\":\"Cluster\",\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80},"
	  "{\"port\":81,\"protocol\":\"UDP\",\"targetPort\":\"x\"}],\"sessionAffinity\":\"None\",\"type\":\"ClusterIP\"},\"status\":{\"loadBalancer\":{}}}" },
	{ "", "v1", "Service",
	  "{\"spec\":{\"type\":\"LoadBalancer\",\"sessionAffinity\":\"ClientIP\"},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"},{\"hostname\":\"a\"}]}}}",
	  "{\"metadata\":{},\"spec\":{\"allocateLoadBalancerNodePorts\":true,\"externalTrafficPolicy\":\"Cluster\",\"internalTrafficPolicy\":\"Cluster\","
	  "\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":10800}},\"type\":\"LoadBalancer\"},"
	  "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\",\"ipMode\":\"VIP\"},{\"hostname\":\"a\"}]}}}" },
	{ "", "v1", "Service",
	  "{\"spec\":{\"type\":\"NodePort\",\"externalTrafficPolicy\":\"Local\",\"sessionAffinityConfig\":{\"clientIP\":{}}}}",
	  "{\"metadata\":{},\"spec\":{\"externalTrafficPolicy\":\"Local\",\"internalTrafficPolicy\":\"Cluster\",\"sessionAffinity\":\"None\",\"type\":\"NodePort\"},\"status\":{\"loadBalancer\":{}}}" },
	{ "", "v1", "Service", "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"a.b\"}}",
	  "{\"metadata\":{},\"spec\":{\"externalName\":\"a.b\",\"sessionAffinity\":\"None\",\"type\":\"ExternalName\"},\"status\":{\"loadBalancer\":{}}}" },
	{ "", "v1", "Pod",
	  "{\"spec\":{\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"image\":\"a:1\",\"ports\":[{\"containerPort\":80}],\"resources\":{\"limits\":{\"cpu\":\"1\"}},"
	  "\"livenessProbe\":{\"httpGet\":{\"port\":80}},\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"x\"}}}]}],"
	  "\"volumes\":[{\"name\":\"e\"},{\"name\":\"s\",\"secret\":{}}]}}",
	  "{\"metadata\":{},\"spec\":{\"containers\":[{\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"x\"}}}],"
	  "\"image\":\"a:1\",\"imagePullPolicy\":\"IfNotPresent\",\"livenessProbe\":{\"failureThreshold\":3,\"httpGet\":{\"path\":\"/\",\"port\":80,\"scheme\":\"HTTP\"},"
	  "\"periodSeconds\":10,\"successThreshold\":1,\"timeoutSeconds\":1},\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"hostPort\":80,\"protocol\":\"TCP\"}],"
	  "\"resources\":{\"limits\":{\"cpu\":\"1\"},\"requests\":{\"cpu\":\"1\"}},\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\"}],"
	  "\"dnsPolicy\":\"ClusterFirst\",\"enableServiceLinks\":true,\"hostNetwork\":true,\"restartPolicy\":\"Always\",\"schedulerName\":\"default-scheduler\",\"securityContext\":{},"
	  "\"terminationGracePeriodSeconds\":30,\"volumes\":[{\"emptyDir\":{},\"name\":\"e\"},{\"name\":\"s\",\"secret\":{\"defaultMode\":420}}]},\"status\":{}}" },
	{ "apps", "v1", "Deployment",
	  "{\"spec\":{\"replicas\":0,\"template\":{\"spec\":{\"serviceAccountName\":\"x\",\"containers\":[{\"image\":\"nginx\"}]}}}}",
	  "{\"metadata\":{},\"spec\":{\"progressDeadlineSeconds\":600,\"replicas\":0,\"revisionHistoryLimit\":10,"
	  "\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"25%\",\"maxUnavailable\":\"25%\"},\"type\":\"RollingUpdate\"},"
	  "\"template\":{\"metadata\":{},\"spec\":{\"containers\":[{\"image\":\"nginx\",\"imagePullPolicy\":\"Always\",\"resources\":{},"
	  "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\"}],\"dnsPolicy\":\"ClusterFirst\",\"restartPolicy\":\"Always\","
	  "\"schedulerName\":\"default-scheduler\",\"securityContext\":{},\"serviceAccount\":\"x\",\"serviceAccountName\":\"x\",\"terminationGracePeriodSeconds\":30}}},\"status\":{}}" },
	{ "apps", "v1", "Deployment", "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}",
	  "{\"metadata\":{},\"spec\":{\"progressDeadlineSeconds\":600,\"replicas\":1,\"revisionHistoryLimit\":10,\"strategy\":{\"type\":\"Recreate\"},"
	  "\"template\":{\"metadata\":{},\"spec\":{\"dnsPolicy\":\"ClusterFirst\",\"restartPolicy\":\"Always\",\"schedulerName\":\"default-scheduler\",\"securityContext\":{},"
	  "\"terminationGracePeriodSeconds\":30}}},\"status\":{}}" },
	{ "batch", "v1", "Job",
	  "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"restartPolicy\":\"Never\",\"terminationGracePeriodSeconds\":0}}}}",
	  "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"backoffLimit\":6,\"completionMode\":\"NonIndexed\",\"completions\":1,\"manualSelector\":false,\"parallelism\":1,"
	  "\"podReplacementPolicy\":\"TerminatingOrFailed\",\"suspend\":false,\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"dnsPolicy\":\"ClusterFirst\","
	  "\"restartPolicy\":\"Never\",\"schedulerName\":\"default-scheduler\",\"securityContext\":{},\"terminationGracePeriodSeconds\":0}}},\"status\":{}}" },
	{ "", "v1", "Secret",
	  "{\"stringData\":{\"a\":\"x\"},\"data\":{\"a\":\"AA==\",\"b\":\"AA==\"}}",
	  "{\"data\":{\"a\":\"eA==\",\"b\":\"AA==\"},\"metadata\":{},\"type\":\"Opaque\"}" },
	{ "", "v1", "Namespace", "{\"metadata\":{\"name\":\"n\"}}",
	  "{\"metadata\":{\"labels\":{\"kubernetes.io/metadata.name\":\"n\"},\"name\":\"n\"},\"spec\":{},\"status\":{\"phase\":\"Active\"}}" },
	{ "rbac.authorization.k8s.io", "v1", "RoleBinding",
	  "{\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"name\":\"s\"}],\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"}}",
	  "{\"metadata\":{},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"r\"},"
	  "\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"User\",\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"name\":\"s\"}]}" },
	{ "discovery.k8s.io", "v1", "EndpointSlice",
	  "{\"endpoints\":[{\"addresses\":[\"1.1.1.1\"]}],\"ports\":[{\"port\":80}]}",
	  "{\"endpoints\":[{\"addresses\":[\"1.1.1.1\"],\"conditions\":{}}],\"metadata\":{},\"ports\":[{\"name\":\"\",\"port\":80,\"protocol\":\"TCP\"}]}" },
	{ "networking.k8s.io", "v1", "NetworkPolicy",
	  "{\"spec\":{\"egress\":[{\"ports\":[{\"port\":53}]}]}}",
	  "{\"metadata\":{},\"spec\":{\"egress\":[{\"ports\":[{\"port\":53,\"protocol\":\"TCP\"}]}],\"podSelector\":{},\"policyTypes\":[\"Ingress\",\"Egress\"]}}" },
	{ "networking.k8s.io", "v1beta1", "Ingress",
	  "{\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"backend\":{\"serviceName\":\"s\",\"servicePort\":80}}]}}]}}",
	  "{\"metadata\":{},\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"backend\":{\"serviceName\":\"s\",\"servicePort\":80},\"pathType\":\"ImplementationSpecific\"}]}}]},\"status\":{\"loadBalancer\":{}}}" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *v = defaulted(rows[i].group, rows[i].version, rows[i].kind, rows[i].in);
		cleanup(freep) char *once = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);

		assert_string_equal(once, rows[i].out);
		object_default(resource_find_kind(str_of(rows[i].group), str_of(rows[i].version),
						  str_of(rows[i].kind)),
			       v);
		cleanup(freep) char *twice = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
		assert_string_equal(twice, rows[i].out);
		json_decref(v);
	}
}

static void test_pull_policy(void **state)
{
	(void)state;
	static const struct {
		const char *image, *policy;
	} images[] = {
		{ "nginx", "Always" },
		{ "nginx:latest", "Always" },
		{ "nginx:1", "IfNotPresent" },
		{ "host:5000/nginx", "Always" },
		{ "host:5000/a/b:1", "IfNotPresent" },
		{ "nginx@sha256:abc", "IfNotPresent" },
		{ "nginx:latest@sha256:abc", "Always" },
		{ "", "IfNotPresent" },
	};

	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		cleanup(freep) char *text = xasprintf(
			"{\"spec\":{\"containers\":[{\"image\":\"%s\"}]}}", images[i].image);
		json_t *v = defaulted("", "v1", "Pod", text);

		assert_string_equal(
			jx_str(json_array_get(jx_at(v, "spec.containers"), 0), "imagePullPolicy"),
			images[i].policy);
		json_decref(v);
	}
}

/* Every kind, given nothing and given wrong shapes: nothing may break. */
static void test_odd_objects(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_resources; i++) {
		json_t *v = json_object();

		object_default(&resources[i], v);
		json_object_set_new(v, "spec", json_array());
		object_default(&resources[i], v);
		json_decref(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_pull_policy),
		cmocka_unit_test(test_odd_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
