/* The API as clients meet it: requests in, statuses and texts out, over TLS and HTTP/2. */
#include "apiserver_harness.h"
#include "quoted_json.h"

#define NS "/api/v1/namespaces/default"

struct row {
	const char *method, *path, *type, *body;
	int status;
	const char *message;	/* exact for errors; NULL: not looked at */
	const char *at, *value; /* a string member of the answer */
};

static void run_rows(struct api_world *w, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		cleanup(json_decrefp) json_t *body = r->body ? J("%s", r->body) : NULL;
		struct api_answer a =
			api_ask(w, r->method, r->path, r->type ? r->type : KUBE_JSON, body);

		if (a.status != r->status || (r->message && strcmp(a.message, r->message) != 0))
			fail_msg("%s %s: %d %s", r->method, r->path, a.status, a.message);
		if (r->at && !c_eq(jx_str(a.body, r->at), r->value))
			fail_msg("%s %s: %s is %s", r->method, r->path, r->at,
				 jx_str(a.body, r->at));
		api_answer_done(&a);
	}
}

#define CM(name)                                                                                   \
	"{'kind':'ConfigMap','apiVersion':'v1','metadata':{'name':'" name "'},'data':{'a':'b'}}"

static void test_life_of_an_object(void **state)
{
	static const struct row rows[] = {
		{ "POST", NS "/configmaps", NULL, CM("c1"), 201, NULL, "metadata.namespace",
		  "default" },
		{ "POST", NS "/configmaps", NULL, CM("c1"), 409,
		  "configmaps \"c1\" already exists" },
		{ "GET", NS "/configmaps/c1", NULL, NULL, 200, NULL, "data.a", "b" },
		{ "GET", NS "/configmaps/nope", NULL, NULL, 404, "configmaps \"nope\" not found",
		  "reason", "NotFound" },
		{ "PATCH", NS "/configmaps/c1", KUBE_MERGE_PATCH, "{'data':{'a':'c','d':'e'}}", 200,
		  NULL, "data.a", "c" },
		{ "PATCH", NS "/configmaps/c1", KUBE_STRATEGIC_PATCH, "{'data':{'d':null}}", 200,
		  NULL, "data.d", NULL },
		{ "PATCH", NS "/configmaps/c1", KUBE_JSON_PATCH,
		  "[{'op':'replace','path':'/data/a','value':'z'}]", 200, NULL, "data.a", "z" },
		{ "PATCH", NS "/configmaps/c1", "application/apply-patch+yaml", "{}", 415, NULL,
		  "reason", "UnsupportedMediaType" },
		{ "PATCH", NS "/configmaps/c1", KUBE_MERGE_PATCH,
		  "{'metadata':{'resourceVersion':'1'}}", 409,
		  "Operation cannot be fulfilled on configmaps \"c1\": the object has been "
		  "modified; please apply your changes to "
		  "the latest version and try again" },
		{ "PUT", NS "/configmaps/c1", NULL, CM("other"), 400,
		  "the name of the object (other) does not match the name on the URL (c1)" },
		{ "POST", NS "/configmaps", NULL,
		  "{'kind':'ConfigMap','apiVersion':'v1','metadata':{'name':'x','namespace':'y'}}",
		  400,
		  "the namespace of the provided object does not match the namespace sent on the "
		  "request" },
		{ "DELETE", NS "/configmaps/c1", NULL, "{'preconditions':{'uid':'nope'}}", 409 },
		{ "DELETE", NS "/configmaps/c1", NULL, "{'propagationPolicy':'Background'}", 200,
		  NULL, "status", "Success" },
		{ "DELETE", NS "/configmaps/c1", NULL, NULL, 404, "configmaps \"c1\" not found" },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

static void test_what_is_not_served(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v1/widgets", NULL, NULL, 404,
		  "the server could not find the requested resource" },
		{ "GET", "/apis/apps/v1/pods", NULL, NULL, 404,
		  "the server could not find the requested resource" },
		{ "GET", "/apis/example.com/v1/widgets", NULL, NULL, 404 },
		{ "POST", "/api/v1/pods", NULL, "{}", 405 },
		{ "PUT", NS "/configmaps", NULL, "{}", 405 },
		{ "POST", NS "/configmaps/x", NULL, "{}", 405 },
		{ "DELETE", "/api/v1/namespaces", NULL, NULL, 405 },
		{ "GET", NS "/pods/x/nothing", NULL, NULL, 404 },
		{ "GET", "/api/v1/namespaces/default/nodes", NULL, NULL, 404 },
		{ "GET", NS "/pods?fieldSelector=spec.bogus%3Dx", NULL, NULL, 400,
		  "field label not supported: spec.bogus" },
		{ "GET", NS "/pods?resourceVersion=x", NULL, NULL, 400 },
		{ "GET", NS "/pods?continue=x", NULL, NULL, 400, "continue key is not valid" },
		{ "GET", NS "/pods?resourceVersion=999999999", NULL, NULL, 504 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

static void test_finalizers(void **state)
{
	static const struct row rows[] = {
		{ "POST", NS "/configmaps", NULL,
		  "{'kind':'ConfigMap','apiVersion':'v1','metadata':{'name':'f','finalizers':['"
		  "example.com/x']}}",
		  201 },
		{ "DELETE", NS "/configmaps/f", NULL, NULL, 200, NULL, "kind", "ConfigMap" },
		{ "GET", NS "/configmaps/f", NULL, NULL, 200, NULL, "metadata.name", "f" },
		{ "PATCH", NS "/configmaps/f", KUBE_MERGE_PATCH, "{'metadata':{'finalizers':null}}",
		  200 },
		{ "GET", NS "/configmaps/f", NULL, NULL, 404 },
		{ "POST", NS "/configmaps", NULL, CM("g"), 201 },
		{ "DELETE", NS "/configmaps/g", NULL, "{'propagationPolicy':'Foreground'}", 200,
		  NULL, "kind", "ConfigMap" },
		{ "PATCH", NS "/configmaps/g", KUBE_JSON_PATCH,
		  "[{'op':'remove','path':'/metadata/finalizers'}]", 200 },
		{ "GET", NS "/configmaps/g", NULL, NULL, 404 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

#define SVC(name, ports)                                                                           \
	"{'kind':'Service','apiVersion':'v1','metadata':{'name':'" name                            \
	"'},'spec':{'type':'NodePort','ports':[" ports "]}}"

static void test_services(void **state)
{
	static const struct row rows[] = {
		{ "GET", NS "/services/kubernetes", NULL, NULL, 200, NULL, "spec.clusterIP",
		  "10.96.0.1" },
		{ "POST", NS "/services", NULL, SVC("one", "{'port':3000,'nodePort':32000}"), 201 },
		{ "POST", NS "/services", NULL, SVC("two", "{'port':3000,'nodePort':32000}"), 422,
		  "Service \"two\" is invalid: spec.ports[0].nodePort: Invalid value: 32000: "
		  "provided port is already allocated" },
		{ "GET", NS "/services/two", NULL, NULL, 404 },
		{ "DELETE", NS "/services/one", NULL, NULL, 200, NULL, "kind", "Service" },
		{ "POST", NS "/services", NULL, SVC("two", "{'port':3000,'nodePort':32000}"), 201 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

static void test_namespaces(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/api/v1/namespaces/nons/configmaps", NULL, CM("c"), 404,
		  "namespaces \"nons\" not found" },
		{ "DELETE", "/api/v1/namespaces/default", NULL, NULL, 403,
		  "namespaces \"default\" is forbidden: this namespace may not be deleted" },
		{ "POST", "/api/v1/namespaces", NULL,
		  "{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'tn'}}", 201, NULL,
		  "status.phase", "Active" },
		{ "DELETE", "/api/v1/namespaces/tn", NULL, NULL, 200, NULL, "status.phase",
		  "Terminating" },
		{ "POST", "/api/v1/namespaces/tn/configmaps", NULL, CM("c8"), 403,
		  "configmaps \"c8\" is forbidden: unable to create new content in namespace tn "
		  "because it is being terminated" },
		{ "PUT", "/api/v1/namespaces/tn/finalize", NULL,
		  "{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'tn'},'spec':{}}",
		  200 },
		{ "GET", "/api/v1/namespaces/tn", NULL, NULL, 404 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

#define DEPLOYMENT                                                                                 \
	"{'kind':'Deployment','apiVersion':'apps/"                                                 \
	"v1','metadata':{'name':'d'},'spec':{'replicas':2,"                                        \
	"'selector':{'matchLabels':{'app':'d'}},'template':{'metadata':{'labels':{'app':'d'}},"    \
	"'spec':{'containers':[{'name':'c','image':'i'}]}}}}"
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"

static void test_scale_and_status(void **state)
{
	struct api_world *w = *state;
	static const struct row rows[] = {
		{ "POST", DEPLOYMENTS, NULL, DEPLOYMENT, 201 },
		{ "GET", DEPLOYMENTS "/d/scale", NULL, NULL, 200, NULL, "status.selector",
		  "app=d" },
		{ "PATCH", DEPLOYMENTS "/d/scale", KUBE_MERGE_PATCH, "{'spec':{'replicas':3}}", 200,
		  NULL, "kind", "Scale" },
		{ "PATCH", DEPLOYMENTS "/d/scale", KUBE_MERGE_PATCH, "{'spec':{'replicas':-1}}",
		  422,
		  "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be "
		  "greater than or equal to 0" },
		/* Each half of an object is deaf to writes of the other. */
		{ "PATCH", DEPLOYMENTS "/d/status", KUBE_MERGE_PATCH,
		  "{'spec':{'replicas':9},'status':{'replicas':7}}", 200 },
		{ "PATCH", DEPLOYMENTS "/d", KUBE_MERGE_PATCH, "{'status':{'replicas':5}}", 200 },
	};

	run_rows(w, rows, ARRAY_LEN(rows));
	struct api_answer a = api_ask(w, "GET", DEPLOYMENTS "/d", NULL, NULL);
	assert_int_equal(jx_int(a.body, "spec.replicas", 0), 3);
	assert_int_equal(jx_int(a.body, "status.replicas", 0), 7);
	assert_int_equal(jx_int(a.body, "metadata.generation", 0), 2);
	api_answer_done(&a);
}

static void test_pages_are_of_one_state(void **state)
{
	struct api_world *w = *state;
	char path[1024] = NS "/configmaps?limit=2";
	size_t seen = 0, pages = 0;

	for (char c = 'a'; c < 'f'; c++) {
		cleanup(freep) char *name = xasprintf("page-%c", c);
		cleanup(json_decrefp) json_t *map =
			json_pack("{s:s,s:s,s:{s:s}}", "kind", "ConfigMap", "apiVersion", "v1",
				  "metadata", "name", name);
		struct api_answer a = api_ask(w, "POST", NS "/configmaps", KUBE_JSON, map);
		assert_int_equal(a.status, 201);
		api_answer_done(&a);
	}
	for (;;) {
		struct api_answer a = api_ask(w, "GET", path, NULL, NULL), gone;
		assert_int_equal(a.status, 200);
		seen += jx_len(a.body, "items");
		const char *token = jx_str(a.body, "metadata.continue");
		if (token)
			snprintf(path, sizeof(path), NS "/configmaps?limit=2&continue=%s", token);
		bool more = token != NULL;
		api_answer_done(&a);
		if (!more)
			break;
		/* What is deleted meanwhile still belongs to the list that was begun. */
		if (pages++ == 0) {
			gone = api_ask(w, "DELETE", NS "/configmaps/page-e", NULL, NULL);
			assert_int_equal(gone.status, 200);
			api_answer_done(&gone);
		}
	}
	assert_int_equal(seen, 5);
}

static void test_tokens_and_reviews(void **state)
{
	struct api_world *w = *state;
	static const struct row rows[] = {
		{ "POST", NS "/serviceaccounts", NULL,
		  "{'kind':'ServiceAccount','apiVersion':'v1','metadata':{'name':'bot'}}", 201 },
		{ "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL,
		  "{'kind':'SelfSubjectAccessReview','apiVersion':'authorization.k8s.io/v1',"
		  "'spec':{'resourceAttributes':{'verb':'get','resource':'pods'}}}",
		  201, NULL, "kind", "SelfSubjectAccessReview" },
		{ "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", NULL,
		  "{'kind':'SelfSubjectReview','apiVersion':'authentication.k8s.io/v1'}", 201, NULL,
		  "status.userInfo.username", "kubernetes-admin" },
		{ "POST", NS "/serviceaccounts/nobody/token", NULL, "{}", 404,
		  "serviceaccounts \"nobody\" not found" },
	};

	run_rows(w, rows, ARRAY_LEN(rows));
	struct api_answer a = api_ask(w, "POST", NS "/serviceaccounts/bot/token", KUBE_JSON, NULL);
	assert_int_equal(a.status, 201);
	cleanup(json_decrefp) json_t *review = json_pack(
		"{s:s,s:s,s:{s:s}}", "kind", "TokenReview", "apiVersion",
		"authentication.k8s.io/v1", "spec", "token", jx_str_or(a.body, "status.token", ""));
	struct api_answer b = api_ask(w, "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
				      KUBE_JSON, review);
	assert_int_equal(b.status, 201);
	assert_true(jx_bool(b.body, "status.authenticated", false));
	assert_string_equal(jx_str(b.body, "status.user.username"),
			    "system:serviceaccount:default:bot");
	api_answer_done(&a);
	api_answer_done(&b);
}

static void test_binding_and_eviction(void **state)
{
	static const struct row rows[] = {
		{ "POST", NS "/serviceaccounts", NULL,
		  "{'kind':'ServiceAccount','apiVersion':'v1','metadata':{'name':'default'}}",
		  201 },
		{ "POST", NS "/pods", NULL,
		  "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'p'},'spec':{'containers':[{'"
		  "name':'c','image':'i'}]}}",
		  201, NULL, "status.phase", "Pending" },
		{ "POST", NS "/pods/p/binding", NULL,
		  "{'kind':'Binding','apiVersion':'v1','metadata':{'name':'p'},'target':{'kind':'"
		  "Node','name':'n0'}}",
		  201 },
		{ "POST", NS "/pods/p/binding", NULL,
		  "{'kind':'Binding','apiVersion':'v1','metadata':{'name':'p'},'target':{'kind':'"
		  "Node','name':'n1'}}",
		  409,
		  "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned "
		  "to node \"n0\"" },
		{ "GET", NS "/pods/p", NULL, NULL, 200, NULL, "spec.nodeName", "n0" },
		{ "GET", NS "/pods?fieldSelector=spec.nodeName%3Dn0", NULL, NULL, 200, NULL, "kind",
		  "PodList" },
		/* Graceful: the pod stays until its node agent deletes it with grace 0. */
		{ "POST", NS "/pods/p/eviction", NULL,
		  "{'kind':'Eviction','apiVersion':'policy/v1','metadata':{'name':'p'}}", 201 },
		{ "GET", NS "/pods/p", NULL, NULL, 200 },
		{ "DELETE", NS "/pods/p", NULL, "{'gracePeriodSeconds':0}", 200, NULL, "kind",
		  "Pod" },
		{ "GET", NS "/pods/p", NULL, NULL, 404 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

static void test_dry_run_leaves_nothing(void **state)
{
	static const struct row rows[] = {
		{ "POST", NS "/configmaps?dryRun=All", NULL, CM("dry"), 201, NULL, "metadata.name",
		  "dry" },
		{ "GET", NS "/configmaps/dry", NULL, NULL, 404 },
		{ "POST", NS "/configmaps", NULL, CM("dry"), 201 },
		{ "DELETE", NS "/configmaps/dry?dryRun=All", NULL, NULL, 200 },
		{ "GET", NS "/configmaps/dry", NULL, NULL, 200 },
		{ "POST", NS "/services?dryRun=All", NULL, SVC("s", "{'port':1,'nodePort':31999}"),
		  201 },
		{ "POST", NS "/services", NULL, SVC("s", "{'port':1,'nodePort':31999}"), 201 },
	};

	run_rows(*state, rows, ARRAY_LEN(rows));
}

static int setup(void **state)
{
	*state = api_world_new();
	return 0;
}

static int teardown(void **state)
{
	api_world_free(*state);
	return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_life_of_an_object),
		T(test_what_is_not_served),
		T(test_finalizers),
		T(test_services),
		T(test_namespaces),
		T(test_scale_and_status),
		T(test_pages_are_of_one_state),
		T(test_tokens_and_reviews),
		T(test_binding_and_eviction),
		T(test_dry_run_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
