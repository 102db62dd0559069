#include "kube/schema/table.h"

#include "quoted_json.h"

#define NOW_MS 1767225600000LL /* 2026-01-01T00:00:00Z */
#define META "'metadata':{'name':'x','creationTimestamp':'2025-12-31T23:55:00Z'}"
#define CONTAINERS "'containers':[{'name':'a','image':'nginx:1'},{'name':'b','image':'busybox'}]"

static const struct resource *resource_of(const char *path)
{
	struct str plural, version, group = str_cut(str_of(path), '/', &version);

	version = str_cut(version, '/', &plural);
	const struct resource *r = resource_find(group, version, plural);
	assert_non_null(r);
	return r;
}

/* "a;1;true": the cells with semicolons between them. */
static char *joined(const json_t *cells)
{
	struct buf out;
	json_t *v;
	size_t i;

	buf_init(&out, 4096);
	buf_puts(&out, "");
	json_array_foreach((json_t *)cells, i, v) {
		cleanup(freep) char *text = json_is_string(v) ? xstrdup(json_string_value(v)) : jx_dump_text(v);
		buf_printf(&out, "%s%s", i ? ";" : "", text);
	}
	return buf_take(&out);
}

static const struct {
	int64_t s;
	const char *want;
} ages[] = {
	{ -2, "<invalid>" }, { -1, "0s" }, { 0, "0s" }, { 1, "1s" }, { 119, "119s" }, { 120, "2m" }, { 121, "2m1s" },
	{ 599, "9m59s" }, { 600, "10m" }, { 10799, "179m" }, { 10800, "3h" }, { 10860, "3h1m" }, { 28799, "7h59m" },
	{ 28800, "8h" }, { 172799, "47h" }, { 172800, "2d" }, { 176400, "2d1h" }, { 691199, "7d23h" }, { 691200, "8d" },
	{ 365 * 86400, "365d" }, { 2 * 365 * 86400 - 1, "729d" }, { 2 * 365 * 86400, "2y" },
	{ 3 * 365 * 86400 + 86400 * 5, "3y5d" }, { 8LL * 365 * 86400, "8y" }, { 9LL * 365 * 86400 + 86400 * 40, "9y" },
};

static void test_ages(void **state)
{
	char text[AGE_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ages); i++)
		assert_string_equal(age_text(ages[i].s * 1000 - (ages[i].s == -2), text), ages[i].want);
}

static const struct {
	const char *resource, *obj, *want;
} rows[] = {
	/* pods: Name, Ready, Status, Restarts, Age, IP, Node, Nominated Node, Readiness Gates */
	{ "/v1/pods", "{" META ",'spec':{" CONTAINERS "},'status':{'phase':'Pending'}}",
	  "x;0/2;Pending;0;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS ",'nodeName':'n'},'status':{'phase':'Pending','containerStatuses':[{'name':'a','state':"
	  "{'waiting':{'reason':'ContainerCreating'}}},{'name':'b','state':{'waiting':{'reason':'ContainerCreating'}}}]}}",
	  "x;0/2;ContainerCreating;0;5m;<none>;n;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS "},'status':{'phase':'Running','podIP':'10.1.1.1','containerStatuses':[{'name':'a',"
	  "'ready':true,'restartCount':3,'state':{'running':{}},'lastState':{'terminated':{'finishedAt':"
	  "'2025-12-31T23:55:00Z'}}},{'name':'b','ready':true,'state':{'running':{}}}]}}",
	  "x;2/2;Running;3 (5m ago);5m;10.1.1.1;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS "},'status':{'phase':'Running','containerStatuses':[{'name':'a','restartCount':2,'state':"
	  "{'waiting':{'reason':'CrashLoopBackOff'}}},{'name':'b','ready':true,'state':{'running':{}}}]}}",
	  "x;1/2;CrashLoopBackOff;2;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS ",'initContainers':[{'name':'i'},{'name':'j'}]},'status':{'phase':'Pending',"
	  "'initContainerStatuses':[{'name':'i','state':{'terminated':{'exitCode':0}}},{'name':'j','state':{'running':{}}}]}}",
	  "x;0/2;Init:1/2;0;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS ",'initContainers':[{'name':'i'}]},'status':{'phase':'Pending','initContainerStatuses':"
	  "[{'name':'i','restartCount':4,'state':{'terminated':{'exitCode':3}}}]}}",
	  "x;0/2;Init:ExitCode:3;4;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS ",'initContainers':[{'name':'i','restartPolicy':'Always'}]},'status':{'phase':'Running',"
	  "'conditions':[{'type':'Initialized','status':'True'}],'initContainerStatuses':[{'name':'i','ready':true,"
	  "'started':true,'restartCount':1,'state':{'running':{}}}],'containerStatuses':[{'name':'a','ready':true,'state':"
	  "{'running':{}}}]}}",
	  "x;2/3;Running;1;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{'containers':[{'name':'a'}]},'status':{'phase':'Succeeded','containerStatuses':[{'name':'a','state':"
	  "{'terminated':{'exitCode':0,'reason':'Completed'}}}]}}",
	  "x;0/1;Completed;0;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{'containers':[{'name':'a'}]},'status':{'phase':'Failed','containerStatuses':[{'name':'a','state':"
	  "{'terminated':{'exitCode':137,'signal':9}}}]}}",
	  "x;0/1;Signal:9;0;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{'metadata':{'name':'x','creationTimestamp':'2025-12-31T23:55:00Z','deletionTimestamp':'2026-01-01T00:00:00Z'},'spec':"
	  "{'containers':[{'name':'a'}]},'status':{'phase':'Running','containerStatuses':[{'name':'a','ready':true,'state':"
	  "{'running':{}}}]}}",
	  "x;1/1;Terminating;0;5m;<none>;<none>;<none>;<none>" },
	{ "/v1/pods",
	  "{" META ",'spec':{" CONTAINERS ",'readinessGates':[{'conditionType':'g'},{'conditionType':'h'}]},'status':{'phase':"
	  "'Failed','reason':'Evicted','conditions':[{'type':'g','status':'True'}]}}",
	  "x;0/2;Evicted;0;5m;<none>;<none>;<none>;1/2" },
	{ "/v1/services",
	  "{" META ",'spec':{'type':'ClusterIP','clusterIP':'10.96.0.1','selector':{'b':'2','a':'1'},'ports':[{'port':443,"
	  "'protocol':'TCP'}]}}",
	  "x;ClusterIP;10.96.0.1;<none>;443/TCP;5m;a=1,b=2" },
	{ "/v1/services",
	  "{" META ",'spec':{'type':'NodePort','clusterIP':'10.96.0.1','externalIPs':['1.2.3.4'],'ports':[{'port':80,"
	  "'nodePort':30080,'protocol':'TCP'},{'port':53,'protocol':'UDP'}]}}",
	  "x;NodePort;10.96.0.1;1.2.3.4;80:30080/TCP,53/UDP;5m;<none>" },
	{ "/v1/services", "{" META ",'spec':{'type':'LoadBalancer','clusterIP':'10.96.0.1'}}",
	  "x;LoadBalancer;10.96.0.1;<pending>;<none>;5m;<none>" },
	{ "/v1/services",
	  "{" META ",'spec':{'type':'LoadBalancer','clusterIP':'10.96.0.1'},'status':{'loadBalancer':{'ingress':[{'ip':'9.9.9.9'},"
	  "{'ip':'1.1.1.1'},{'hostname':'h'}]}}}",
	  "x;LoadBalancer;10.96.0.1;1.1.1.1,9.9.9.9,h;<none>;5m;<none>" },
	{ "/v1/services", "{" META ",'spec':{'type':'ExternalName','externalName':'a.b'}}",
	  "x;ExternalName;<none>;a.b;<none>;5m;<none>" },
	{ "networking.k8s.io/v1/ingresses",
	  "{" META ",'spec':{'rules':[{'host':'a'},{'host':'b'},{'host':'c'},{'host':'d'},{'host':'e'}],'tls':[{}]},'status':"
	  "{'loadBalancer':{'ingress':[{'ip':'1.1.1.1'}]}}}",
	  "x;<none>;a,b,c + 2 more...;1.1.1.1;80, 443;5m" },
	{ "networking.k8s.io/v1/ingresses", "{" META ",'spec':{'ingressClassName':'nginx','rules':[{}]}}", "x;nginx;*;;80;5m" },
	{ "apps/v1/deployments",
	  "{" META ",'spec':{'replicas':3,'selector':{'matchLabels':{'app':'web'}},'template':{'spec':{" CONTAINERS "}}},'status':"
	  "{'readyReplicas':2,'updatedReplicas':3,'availableReplicas':1}}",
	  "x;2/3;3;1;5m;a,b;nginx:1,busybox;app=web" },
	{ "apps/v1/replicasets", "{" META ",'spec':{'replicas':3,'selector':{'matchLabels':{'app':'web'}}}}",
	  "x;3;0;0;5m;;;app=web" },
	{ "/v1/nodes",
	  "{'metadata':{'name':'n','creationTimestamp':'2025-12-31T23:55:00Z','labels':{'node-role.kubernetes.io/worker':'',"
	  "'node-role.kubernetes.io/control-plane':''}},'spec':{'unschedulable':true},'status':{'conditions':[{'type':'Ready',"
	  "'status':'True'}],'nodeInfo':{'kubeletVersion':'v1'},'addresses':[{'type':'InternalIP','address':'1.1.1.1'}]}}",
	  "n;Ready,SchedulingDisabled;control-plane,worker;5m;v1;1.1.1.1;<none>;<unknown>;<unknown>;<unknown>" },
	{ "/v1/nodes", "{" META ",'status':{'conditions':[{'type':'Ready','status':'Unknown'}]}}",
	  "x;NotReady;<none>;5m;;<none>;<none>;<unknown>;<unknown>;<unknown>" },
	{ "/v1/endpoints",
	  "{" META ",'subsets':[{'addresses':[{'ip':'1.1.1.1'},{'ip':'1.1.1.2'}],'ports':[{'port':80},{'port':81}]}]}",
	  "x;1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 1 more...;5m" },
	{ "/v1/endpoints", "{" META "}", "x;<none>;5m" },
	{ "discovery.k8s.io/v1/endpointslices",
	  "{" META ",'addressType':'IPv4','ports':[{'port':80},{'name':'a'}],'endpoints':[{'addresses':['1.1.1.1']}]}",
	  "x;IPv4;80,a;1.1.1.1;5m" },
	{ "discovery.k8s.io/v1/endpointslices", "{" META ",'addressType':'IPv4'}", "x;IPv4;<unset>;<unset>;5m" },
	{ "/v1/events",
	  "{" META ",'type':'Warning','reason':'BackOff','involvedObject':{'kind':'Pod','name':'p','fieldPath':'f'},'message':' m\\n',"
	  "'source':{'component':'kubelet','host':'n'},'firstTimestamp':'2025-12-31T23:50:00Z','lastTimestamp':"
	  "'2025-12-31T23:59:59Z','count':4}",
	  "1s;Warning;BackOff;pod/p;f;kubelet, n;m;10m;4;x" },
	{ "/v1/namespaces", "{" META ",'status':{'phase':'Active'}}", "x;Active;5m" },
	{ "/v1/secrets", "{" META ",'type':'Opaque','data':{'a':'','b':''}}", "x;Opaque;2;5m" },
	{ "/v1/configmaps", "{" META ",'data':{'a':''},'binaryData':{'b':''}}", "x;2;5m" },
	{ "batch/v1/jobs",
	  "{" META ",'spec':{'completions':2},'status':{'succeeded':1,'startTime':'2025-12-31T23:59:00Z'}}",
	  "x;Running;1/2;60s;5m;;;<none>" },
	{ "batch/v1/cronjobs", "{" META ",'spec':{'schedule':'* * * * *','suspend':false}}",
	  "x;* * * * *;<none>;False;0;<none>;5m;;;<none>" },
	{ "/v1/persistentvolumeclaims",
	  "{" META ",'spec':{'volumeName':'v','storageClassName':'s'},'status':{'phase':'Bound','accessModes':['ReadWriteMany',"
	  "'ReadWriteOnce'],'capacity':{'storage':'1Gi'}}}",
	  "x;Bound;v;1Gi;RWO,RWX;s;<unset>;5m;<unset>" },
	{ "autoscaling/v2/horizontalpodautoscalers",
	  "{" META ",'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'maxReplicas':5,'metrics':[{'type':'Resource',"
	  "'resource':{'name':'cpu','target':{'averageUtilization':80}}}]}}",
	  "x;Deployment/d;cpu: <unknown>/80%;<unset>;5;0;5m" },
	{ "rbac.authorization.k8s.io/v1/rolebindings",
	  "{" META ",'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'u'},{'kind':'ServiceAccount','name':'s',"
	  "'namespace':'n'}]}",
	  "x;Role/r;5m;u;;n/s" },
	{ "rbac.authorization.k8s.io/v1/roles", "{" META "}", "x;2025-12-31T23:55:00Z" },
	{ "coordination.k8s.io/v1/leases", "{" META ",'spec':{'holderIdentity':'me'}}", "x;me;5m" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *obj = J("%s", rows[i].obj);
		cleanup(json_decrefp) json_t *cells = table_cells(resource_of(rows[i].resource), obj, NOW_MS);
		cleanup(freep) char *text = joined(cells);

		if (strcmp(text, rows[i].want) != 0)
			fail_msg("row %zu %s\n got  %s\n want %s", i, rows[i].resource, text, rows[i].want);
	}
}

static void test_columns(void **state)
{
	static const char *const shapes[] = { "{}", "{'spec':1,'status':[],'metadata':'x','data':3}",
					      "{'spec':{'template':[],'ports':{},'rules':1,'selector':'x'},'status':{'conditions':{}}}" };

	(void)state;
	for (size_t r = 0; r < n_resources; r++) {
		cleanup(json_decrefp) json_t *columns = table_columns(&resources[r]);

		assert_true(json_array_size(columns) >= 2);
		for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
			cleanup(json_decrefp) json_t *obj = J("%s", shapes[s]);
			cleanup(json_decrefp) json_t *cells = table_cells(&resources[r], obj, NOW_MS);

			assert_int_equal(json_array_size(cells), json_array_size(columns));
		}
	}
}

static void test_wide_columns(void **state)
{
	cleanup(json_decrefp) json_t *columns = table_columns(resource_of("/v1/pods"));

	(void)state;
	assert_string_equal(jx_str(json_array_get(columns, 0), "format"), "name");
	assert_int_equal(jx_int(json_array_get(columns, 4), "priority", -1), 0);
	assert_int_equal(jx_int(json_array_get(columns, 5), "priority", -1), 1);
	assert_string_equal(jx_str(json_array_get(columns, 7), "name"), "Nominated Node");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_wide_columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
