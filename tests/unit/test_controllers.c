/* The controllers' process against the API server's: Deployments to bound pods to endpoints, and back to nothing.
 * The test itself plays the node agent. */
#include "apiserver_harness.h"
#include "kube/client/informer.h"
#include "fake_api.h"

#include <errno.h>

static const struct kube_gvr pods_gvr = { "", "v1", "pods" };

struct world {
	struct api_world *api;
	pid_t controllers;
	struct informer *pods;
	unsigned next_ip;
	bool hold; /* new pods do not become ready */
};

static void start_controllers(struct world *w)
{
	int pair[2];
	char text[256] = "";

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	w->controllers = fork();
	if (w->controllers == 0) {
		char fd[16];
		close(pair[0]);
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		setenv("PORTICO_NOTIFY_FD", fd, 1);
		_exit(role_process(&role_controllers, &w->api->config));
	}
	close(pair[1]);
	ssize_t n = recv(pair[0], text, sizeof(text) - 1, 0);
	close(pair[0]);
	if (n <= 0 || strcmp(text, "READY") != 0)
		fail_msg("the controllers did not become ready: %s", text);
}

static void stop_controllers(struct world *w, int signo)
{
	int status;

	kill(w->controllers, signo);
	assert_int_equal(waitpid(w->controllers, &status, 0), w->controllers);
	if (signo == SIGTERM && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		fail_msg("the controllers ended with status %x", status);
}

/* ---- the node agent ---- */

static void set_ready(struct world *w, const json_t *pod, bool ready)
{
	cleanup(json_decrefp) json_t *patch = NULL;
	char now[TIME_TEXT_BYTES];
	const char *ip = jx_str(pod, "status.podIP");
	cleanup(freep) char *fresh = ip ? NULL : xasprintf("10.244.0.%u", ++w->next_ip);

	time_text(wall_now_ms(), now);
	patch = J("{'status':{'phase':'Running','podIP':'%s','podIPs':[{'ip':'%s'}],'conditions':["
		  "{'type':'Ready','status':'%s','lastTransitionTime':'%s'}]}}",
		  ip ? ip : fresh, ip ? ip : fresh, ready ? "True" : "False", now);
	kube_patch(w->api->kube, pods_gvr, jx_namespace(pod), jx_name(pod), "status", KUBE_STRATEGIC_PATCH, patch,
		   NULL, NULL);
}

static void node_seen(void *ctx, const json_t *pod)
{
	struct world *w = ctx;
	cleanup(json_decrefp) json_t *now = J("{'gracePeriodSeconds':0}");

	if (jx_str(pod, "metadata.deletionTimestamp"))
		kube_delete(w->api->kube, pods_gvr, jx_namespace(pod), jx_name(pod), now, NULL, NULL);
	else if (!jx_str(pod, "status.podIP") && !w->hold)
		set_ready(w, pod, true);
}

static void node_updated(void *ctx, const json_t *old, const json_t *pod)
{
	(void)old;
	node_seen(ctx, pod);
}

/* ---- asking ---- */

static json_t *ask(struct world *w, const char *method, const char *path, const char *type, json_t *body, int status)
{
	struct api_answer a = api_ask(w->api, method, path, type, body);

	json_decref(body);
	if (status && a.status != status)
		fail_msg("%s %s: %d %s", method, path, a.status, a.message);
	return a.body;
}

static void make_node(struct world *w)
{
	json_decref(ask(w, "POST", "/api/v1/nodes", KUBE_JSON, J("{'kind':'Node','apiVersion':'v1','metadata':{'name':'n0'}}"), 201));
	json_decref(ask(w, "PATCH", "/api/v1/nodes/n0/status", KUBE_MERGE_PATCH,
			J("{'status':{'allocatable':{'cpu':'8','memory':'8Gi','pods':'24'},'capacity':{'cpu':'8','memory':'8Gi',"
			  "'pods':'110'},'conditions':[{'type':'Ready','status':'True','reason':'KubeletReady',"
			  "'message':'ok','lastHeartbeatTime':'2026-01-01T00:00:00Z',"
			  "'lastTransitionTime':'2026-01-01T00:00:00Z'}]}}"),
			200));
}

struct check {
	struct world *w;
	const char *path;
	bool (*holds)(const json_t *obj);
	json_t *last;
};

/* Asks until it holds; the loop runs in between, so that the node agent goes on. */
static json_t *until(struct world *w, const char *path, bool (*holds)(const json_t *obj))
{
	json_t *obj = NULL;

	for (int i = 0; i < 1000; i++) {
		json_decref(obj);
		obj = ask(w, "GET", path, NULL, NULL, 0);
		if (holds(obj))
			return obj;
		fake_run(w->api->loop, NULL, NULL, 10);
	}
	char *text = jx_dump_text(obj);
	fail_msg("%s: never as expected; last: %s", path, text);
	return NULL;
}

static bool is_gone(const json_t *obj)
{
	return jx_int(obj, "code", 0) == 404;
}

static bool is_empty(const json_t *list)
{
	return json_is_array(json_object_get(list, "items")) && jx_len(list, "items") == 0;
}

static bool has_pod_range(const json_t *node)
{
	return c_eq(jx_str(node, "spec.podCIDR"), "10.244.0.0/24") && !jx_len(node, "spec.taints");
}

static bool has_ca(const json_t *cm)
{
	return json_object_get(jx_at(cm, "data"), "ca.crt");
}

static bool is_object(const json_t *obj)
{
	return jx_uid(obj);
}

static const json_t *condition(const json_t *obj, const char *type)
{
	const json_t *c;
	size_t i;

	json_array_foreach(jx_at(obj, "status.conditions"), i, c)
		if (c_eq(jx_str(c, "type"), type))
			return c;
	return NULL;
}

static bool rolled_out(const json_t *d)
{
	int64_t n = jx_int(d, "spec.replicas", -1);

	return jx_int(d, "status.observedGeneration", -1) == jx_int(d, "metadata.generation", 0) &&
	       jx_int(d, "status.replicas", 0) == n && jx_int(d, "status.updatedReplicas", 0) == n &&
	       jx_int(d, "status.availableReplicas", 0) == n &&
	       c_eq(jx_str(condition(d, "Progressing"), "reason"), "NewReplicaSetAvailable");
}

static size_t ready_endpoints(const json_t *slices)
{
	const json_t *slice, *ep;
	size_t i, k, n = 0;

	json_array_foreach(json_object_get(slices, "items"), i, slice)
		json_array_foreach(json_object_get(slice, "endpoints"), k, ep)
			n += jx_bool(ep, "conditions.ready", false);
	return n;
}

static bool three_ready(const json_t *slices)
{
	return ready_endpoints(slices) == 3;
}

static bool two_ready(const json_t *slices)
{
	return ready_endpoints(slices) == 2;
}

#define DEPLOYMENT(image)                                                                                              \
	"{'kind':'Deployment','apiVersion':'apps/v1','metadata':{'name':'web'},'spec':{'replicas':3,"                  \
	"'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},"                    \
	"'spec':{'containers':[{'name':'c','image':'" image "','ports':[{'containerPort':8080,'name':'http'}]}]}}}}"
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define SLICES "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb"
#define PODS "/api/v1/namespaces/default/pods"

static bool has_event(struct world *w, const char *reason, const char *text)
{
	cleanup(json_decrefp) json_t *list = ask(w, "GET", "/api/v1/namespaces/default/events", NULL, NULL, 200);
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, e)
		if (c_eq(jx_str(e, "reason"), reason) && strstr(jx_str_or(e, "message", ""), text))
			return true;
	return false;
}

static void test_namespace_defaults_and_node(void **state)
{
	struct world *w = *state;

	json_decref(until(w, "/api/v1/namespaces/default/serviceaccounts/default", is_object));
	json_decref(until(w, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", has_ca));
	make_node(w);
	json_decref(until(w, "/api/v1/nodes/n0", has_pod_range));
}

static void test_deployment_to_endpoints(void **state)
{
	struct world *w = *state;

	json_decref(ask(w, "POST", "/api/v1/namespaces/default/services", KUBE_JSON,
			J("{'kind':'Service','apiVersion':'v1','metadata':{'name':'web'},'spec':{'selector':{'app':'web'},"
			  "'ports':[{'port':80,'targetPort':'http'}]}}"),
			201));
	json_decref(ask(w, "POST", DEPLOYMENTS, KUBE_JSON, J(DEPLOYMENT("a")), 201));
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	json_decref(until(w, SLICES, three_ready));
	cleanup(json_decrefp) json_t *ep = ask(w, "GET", "/api/v1/namespaces/default/endpoints/web", NULL, NULL, 200);
	assert_int_equal(jx_len(json_array_get(jx_at(ep, "subsets"), 0), "addresses"), 3);
	assert_true(has_event(w, "ScalingReplicaSet", "Scaled up replica set web-"));
	assert_true(has_event(w, "SuccessfulCreate", "Created pod: web-"));
	assert_true(has_event(w, "Scheduled", "Successfully assigned default/web-"));
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);
	assert_int_equal(jx_len(pods, "items"), 3);
	assert_string_equal(jx_str(condition(json_array_get(json_object_get(pods, "items"), 0), "PodScheduled"), "status"), "True");
}

static void test_a_readiness_flip_is_fast(void **state)
{
	struct world *w = *state;
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);
	const json_t *pod = json_array_get(json_object_get(pods, "items"), 0);
	uint64_t start = loop_now_ms(w->api->loop);

	set_ready(w, pod, false);
	for (int i = 0; i < 2000; i++) {
		cleanup(json_decrefp) json_t *slices = ask(w, "GET", SLICES, NULL, NULL, 200);
		if (two_ready(slices))
			break;
	}
	uint64_t took = loop_now_ms(w->api->loop) - start;
	print_message("readiness to EndpointSlice: %d ms\n", (int)took);
	assert_in_range(took, 0, 500);
	set_ready(w, pod, true);
	json_decref(until(w, SLICES, three_ready));
}

static void test_rolling_update_and_rollback(void **state)
{
	struct world *w = *state;
	cleanup(json_decrefp) json_t *before = until(w, DEPLOYMENTS "/web", rolled_out);
	json_t *d;

	json_decref(ask(w, "PATCH", DEPLOYMENTS "/web", KUBE_STRATEGIC_PATCH,
			J("{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'b'}]}}}}"), 200));
	d = until(w, DEPLOYMENTS "/web", rolled_out);
	assert_string_equal(jx_annotation(d, "deployment.kubernetes.io/revision"), "2");
	json_decref(d);
	json_decref(until(w, SLICES, three_ready));
	/* As `kubectl rollout undo` does. */
	json_t *template = json_deep_copy(jx_at(before, "spec.template")), *ops = J("[{'op':'replace','path':'/spec/template'}]");
	json_object_set_new(json_array_get(ops, 0), "value", template);
	json_decref(ask(w, "PATCH", DEPLOYMENTS "/web", KUBE_JSON_PATCH, ops, 200));
	d = until(w, DEPLOYMENTS "/web", rolled_out);
	assert_string_equal(jx_annotation(d, "deployment.kubernetes.io/revision"), "3");
	json_decref(d);
	cleanup(json_decrefp) json_t *rs = ask(w, "GET", "/apis/apps/v1/namespaces/default/replicasets", NULL, NULL, 200);
	assert_int_equal(jx_len(rs, "items"), 2);
}

static bool five_pods(const json_t *list)
{
	return jx_len(list, "items") == 5;
}

static bool one_pod(const json_t *list)
{
	return jx_len(list, "items") == 1;
}

static void scale(struct world *w, int n)
{
	json_decref(ask(w, "PATCH", DEPLOYMENTS "/web/scale", KUBE_MERGE_PATCH, J("{'spec':{'replicas':%d}}", n), 200));
}

static void test_scaling(void **state)
{
	struct world *w = *state;

	scale(w, 5);
	json_decref(until(w, PODS, five_pods));
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	scale(w, 1);
	json_decref(until(w, PODS, one_pod));
	scale(w, 3);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
}

static void test_a_deleted_pod_is_replaced_once(void **state)
{
	struct world *w = *state;
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);

	for (int i = 0; i < 2; i++) {
		cleanup(freep) char *path = xasprintf(PODS "/%s", jx_name(json_array_get(json_object_get(pods, "items"), (size_t)i)));
		json_decref(ask(w, "DELETE", path, NULL, NULL, 200));
	}
	fake_run(w->api->loop, NULL, NULL, 300);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	cleanup(json_decrefp) json_t *after = ask(w, "GET", PODS, NULL, NULL, 200);
	assert_int_equal(jx_len(after, "items"), 3);
}

static void test_controllers_killed_in_the_middle(void **state)
{
	struct world *w = *state;

	scale(w, 20);
	stop_controllers(w, SIGKILL);
	start_controllers(w);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);
	assert_int_equal(jx_len(pods, "items"), 20);
	scale(w, 3);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
}

static void test_api_server_killed_in_the_middle(void **state)
{
	struct world *w = *state;

	scale(w, 12);
	api_kill(w->api, SIGKILL);
	api_start(w->api);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	fake_run(w->api->loop, NULL, NULL, 300);
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);
	assert_int_equal(jx_len(pods, "items"), 12);
	scale(w, 3);
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
}

static bool unschedulable(const json_t *pod)
{
	return c_eq(jx_str(condition(pod, "PodScheduled"), "reason"), "Unschedulable");
}

static bool bound(const json_t *pod)
{
	return jx_str(pod, "spec.nodeName");
}

static void test_unschedulable_pod(void **state)
{
	struct world *w = *state;

	json_decref(ask(w, "POST", PODS, KUBE_JSON,
			J("{'kind':'Pod','apiVersion':'v1','metadata':{'name':'picky'},'spec':{'nodeSelector':{'disk':'ssd'},"
			  "'containers':[{'name':'c','image':'a'}]}}"),
			201));
	cleanup(json_decrefp) json_t *pod = until(w, PODS "/picky", unschedulable);
	assert_string_equal(jx_str(condition(pod, "PodScheduled"), "message"),
			    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
	json_decref(ask(w, "PATCH", "/api/v1/nodes/n0", KUBE_MERGE_PATCH, J("{'metadata':{'labels':{'disk':'ssd'}}}"), 200));
	json_decref(until(w, PODS "/picky", bound));
	assert_true(has_event(w, "FailedScheduling", "0/1 nodes are available"));
	json_decref(ask(w, "DELETE", PODS "/picky", NULL, NULL, 200));
	json_decref(until(w, PODS "/picky", is_gone));
}

static void test_background_deletion(void **state)
{
	struct world *w = *state;

	json_decref(ask(w, "DELETE", DEPLOYMENTS "/web", KUBE_JSON, J("{'propagationPolicy':'Background'}"), 200));
	json_decref(until(w, "/apis/apps/v1/namespaces/default/replicasets", is_empty));
	json_decref(until(w, PODS, is_empty));
	json_decref(ask(w, "DELETE", "/api/v1/namespaces/default/services/web", NULL, NULL, 200));
	json_decref(until(w, SLICES, is_empty));
	json_decref(until(w, "/api/v1/namespaces/default/endpoints/web", is_gone));
}

static void test_foreground_and_orphan_deletion(void **state)
{
	struct world *w = *state;

	json_decref(ask(w, "POST", DEPLOYMENTS, KUBE_JSON, J(DEPLOYMENT("a")), 201));
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	json_decref(ask(w, "DELETE", DEPLOYMENTS "/web", KUBE_JSON, J("{'propagationPolicy':'Foreground'}"), 200));
	json_decref(until(w, DEPLOYMENTS "/web", is_gone));
	json_decref(ask(w, "GET", PODS, NULL, NULL, 200));
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", PODS, NULL, NULL, 200);
	assert_true(is_empty(pods)); /* the owner went last */

	json_decref(ask(w, "POST", DEPLOYMENTS, KUBE_JSON, J(DEPLOYMENT("a")), 201));
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	json_decref(ask(w, "DELETE", DEPLOYMENTS "/web", KUBE_JSON, J("{'propagationPolicy':'Orphan'}"), 200));
	json_decref(until(w, DEPLOYMENTS "/web", is_gone));
	cleanup(json_decrefp) json_t *rs = ask(w, "GET", "/apis/apps/v1/namespaces/default/replicasets", NULL, NULL, 200);
	assert_int_equal(jx_len(rs, "items"), 1);
	const json_t *one = json_array_get(json_object_get(rs, "items"), 0);
	assert_int_equal(jx_len(one, "metadata.ownerReferences"), 0);
	/* A new Deployment of the same selector adopts it. */
	json_decref(ask(w, "POST", DEPLOYMENTS, KUBE_JSON, J(DEPLOYMENT("a")), 201));
	json_decref(until(w, DEPLOYMENTS "/web", rolled_out));
	cleanup(json_decrefp) json_t *again = ask(w, "GET", "/apis/apps/v1/namespaces/default/replicasets", NULL, NULL, 200);
	assert_int_equal(jx_len(again, "items"), 1);
	json_decref(ask(w, "DELETE", DEPLOYMENTS "/web", NULL, NULL, 200));
	json_decref(until(w, PODS, is_empty));
}

static void test_namespace_deletion(void **state)
{
	struct world *w = *state;

	json_decref(ask(w, "POST", "/api/v1/namespaces", KUBE_JSON, J("{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'tmp'}}"), 201));
	json_decref(until(w, "/api/v1/namespaces/tmp/serviceaccounts/default", is_object));
	json_decref(ask(w, "POST", "/apis/apps/v1/namespaces/tmp/deployments", KUBE_JSON, J(DEPLOYMENT("a")), 201));
	json_decref(until(w, "/apis/apps/v1/namespaces/tmp/deployments/web", rolled_out));
	json_decref(ask(w, "DELETE", "/api/v1/namespaces/tmp", NULL, NULL, 200));
	json_decref(until(w, "/api/v1/namespaces/tmp", is_gone));
	cleanup(json_decrefp) json_t *pods = ask(w, "GET", "/api/v1/namespaces/tmp/pods", NULL, NULL, 200);
	assert_true(is_empty(pods));
}

static int group_setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->api = api_world_new();
	start_controllers(w);
	w->pods = informer_new(w->api->kube, pods_gvr, &(struct informer_options){ .field_selector = "spec.nodeName=n0" },
			       &(struct informer_handlers){ .added = node_seen, .updated = node_updated }, w);
	*state = w;
	return 0;
}

static int group_teardown(void **state)
{
	struct world *w = *state;

	stop_controllers(w, SIGTERM);
	informer_free(w->pods);
	api_world_free(w->api);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace_defaults_and_node),
		cmocka_unit_test(test_deployment_to_endpoints),
		cmocka_unit_test(test_a_readiness_flip_is_fast),
		cmocka_unit_test(test_rolling_update_and_rollback),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_a_deleted_pod_is_replaced_once),
		cmocka_unit_test(test_controllers_killed_in_the_middle),
		cmocka_unit_test(test_api_server_killed_in_the_middle),
		cmocka_unit_test(test_unschedulable_pod),
		cmocka_unit_test(test_background_deletion),
		cmocka_unit_test(test_foreground_and_orphan_deletion),
		cmocka_unit_test(test_namespace_deletion),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
