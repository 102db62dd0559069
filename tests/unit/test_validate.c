#include "kube/schema/validate.h"

#include "quoted_json.h"

/* What a real kube-apiserver answered, row by row; the inputs are defaulted as it would have them. */

#define SERVICE                                                                                           \
	"{'metadata':{'name':'web','namespace':'default'},'spec':{'type':'ClusterIP','sessionAffinity':'None'," \
	"'internalTrafficPolicy':'Cluster','ports':[{'protocol':'TCP','port':80,'targetPort':80}]}}"
#define CONTAINER                                                                                  \
	"{'name':'a','image':'nginx','imagePullPolicy':'Always','terminationMessagePolicy':'File'," \
	"'terminationMessagePath':'/dev/termination-log'}"
#define POD_SPEC                                                                                          \
	"{'restartPolicy':'Always','dnsPolicy':'ClusterFirst','terminationGracePeriodSeconds':30,'containers':[" \
	CONTAINER "]}"
#define POD "{'metadata':{'name':'px','namespace':'default'},'spec':" POD_SPEC "}"
#define DEPLOYMENT                                                                                          \
	"{'metadata':{'name':'dx','namespace':'default'},'spec':{'replicas':1,'progressDeadlineSeconds':600,"       \
	"'revisionHistoryLimit':10,'selector':{'matchLabels':{'a':'b'}},'strategy':{'type':'RollingUpdate',"        \
	"'rollingUpdate':{'maxSurge':'25%','maxUnavailable':'25%'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':" \
	POD_SPEC "}}}"
#define INGRESS                                                                                             \
	"{'metadata':{'name':'i1','namespace':'default'},'spec':{'rules':[{'host':'a.b','http':{'paths':[{'path':'/'," \
	"'pathType':'Prefix','backend':{'service':{'name':'web','port':{'number':80}}}}]}}]}}"
#define PATHS(entry) "{'spec':{'rules':[{'http':{'paths':[" entry "]}}]}}"
#define BACKEND "'backend':{'service':{'name':'web','port':{'number':80}}}"
#define CONFIGMAP "{'metadata':{'name':'c9','namespace':'default'}}"
#define SECRET "{'metadata':{'name':'g1','namespace':'default'},'type':'Opaque'}"
#define SLICE                                                                                       \
	"{'metadata':{'name':'e1','namespace':'default'},'addressType':'IPv4','ports':[{'name':'','port':80,'protocol':" \
	"'TCP'}],'endpoints':[{'addresses':['10.1.2.3']}]}"
#define LABEL_TEXT                                                                                          \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " \
	"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "          \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_TEXT                                                                                        \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "    \
	"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "             \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define DNS1035_TEXT                                                                                          \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "       \
	"character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "           \
	"validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define WILDCARD_TEXT                                                                                         \
	"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "  \
	"of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "             \
	"'*.example.com', regex used for validation is "                                                              \
	"'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define QUALIFIED_TEXT                                                                                        \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "         \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "          \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_TEXT                                                                                      \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "     \
	"start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "  \
	"validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define KEY_TEXT                                                                                              \
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "          \
	"'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

struct row {
	const char *resource; /* group/version/plural */
	const char *base;     /* JSON with single quotes */
	const char *change;   /* merged into it */
	const char *want;     /* what comes behind "is invalid: "; "" when it is fine */
	const char *old;      /* merged into the base: the object as it was; NULL on create */
};

static const struct row rows[] = {
	{ "/v1/services", SERVICE, "{}", "", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[{'protocol':'TCP','port':80,'targetPort':80,'nodePort':30080}]}}",
	  "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'", NULL },
	{ "/v1/services", SERVICE,
	  "{'spec':{'ports':[{'protocol':'TCP','port':80,'targetPort':80},{'protocol':'TCP','port':81,'targetPort':81}]}}",
	  "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]", NULL },
	{ "/v1/services", SERVICE,
	  "{'spec':{'ports':[{'name':'a','protocol':'TCP','port':80,'targetPort':80},{'name':'b','protocol':'TCP','port':80,"
	  "'targetPort':80}]}}",
	  "spec.ports[1]: Duplicate value: "
	  "{\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}", NULL },
	{ "/v1/services", SERVICE,
	  "{'spec':{'ports':[{'name':'a','protocol':'TCP','port':80,'targetPort':80},{'name':'a','protocol':'TCP','port':81,"
	  "'targetPort':81}]}}",
	  "spec.ports[1].name: Duplicate value: \"a\"", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[]}}", "spec.ports: Required value", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[{'protocol':'TCP','port':0,'targetPort':0}]}}",
	  "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid "
	  "value: 0: must be between 1 and 65535, inclusive]", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[{'protocol':'TCP','port':70000,'targetPort':70000}]}}",
	  "[spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: "
	  "Invalid value: 70000: must be between 1 and 65535, inclusive]", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[{'protocol':'FOO','port':80,'targetPort':80}]}}",
	  "spec.ports[0].protocol: Unsupported value: \"FOO\": supported values: \"SCTP\", \"TCP\", \"UDP\"", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'ports':[{'protocol':'TCP','port':80,'targetPort':'This_is_bad'}]}}",
	  "spec.ports[0].targetPort: Invalid value: \"This_is_bad\": must contain only alpha-numeric characters (a-z, 0-9), "
	  "and hyphens (-)", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'type':'Foo'}}",
	  "spec.type: Unsupported value: \"Foo\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", "
	  "\"NodePort\"", NULL },
	{ "/v1/services", SERVICE, "{'metadata':{'name':'Web_1'}}", "metadata.name: Invalid value: \"Web_1\": " DNS1035_TEXT, NULL },
	{ "/v1/services", SERVICE, "{'metadata':{'name':'1web'}}", "metadata.name: Invalid value: \"1web\": " DNS1035_TEXT, NULL },
	{ "/v1/services", SERVICE, "{'spec':{'clusterIP':'abc','clusterIPs':['abc']}}",
	  "spec.clusterIPs[0]: Invalid value: \"abc\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'type':'ExternalName','ports':[]}}", "spec.externalName: Required value", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'type':'ExternalName','ports':[],'externalName':'-bad-'}}",
	  "spec.externalName: Invalid value: \"-bad-\": " SUBDOMAIN_TEXT, NULL },
	{ "/v1/services", SERVICE,
	  "{'spec':{'type':'LoadBalancer','clusterIP':'None','clusterIPs':['None'],'externalTrafficPolicy':'Cluster',"
	  "'allocateLoadBalancerNodePorts':true}}",
	  "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'loadBalancerClass':'a.b/c'}}",
	  "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'externalTrafficPolicy':'Local'}}",
	  "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services", NULL },
	{ "/v1/services", SERVICE,
	  "{'spec':{'type':'LoadBalancer','externalTrafficPolicy':'Cluster','allocateLoadBalancerNodePorts':true,"
	  "'loadBalancerSourceRanges':['1.2.3.4']}}",
	  "spec.LoadBalancerSourceRanges[0]: Invalid value: \"1.2.3.4\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or "
	  "2001:db8::/64)", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'clusterIP':'10.96.0.77','clusterIPs':['10.96.0.77']}}",
	  "spec.clusterIPs[0]: Invalid value: [\"10.96.0.77\"]: may not change once set",
	  "{'spec':{'clusterIP':'10.96.0.5','clusterIPs':['10.96.0.5']}}" },
	{ "/v1/services", SERVICE, "{'spec':{'sessionAffinity':'X'}}",
	  "spec.sessionAffinity: Unsupported value: \"X\": supported values: \"ClientIP\", \"None\"", NULL },
	{ "/v1/services", SERVICE, "{'spec':{'type':'ExternalName','externalName':'a.b','ports':[]}}", "",
	  "{'spec':{'clusterIP':'10.96.0.5','clusterIPs':['10.96.0.5']}}" },

	{ "apps/v1/deployments", DEPLOYMENT, "{}", "", NULL },
	{ "apps/v1/deployments", DEPLOYMENT, "{'spec':{'template':{'metadata':{'labels':{'a':'c'}}}}}",
	  "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`", NULL },
	{ "apps/v1/deployments", DEPLOYMENT, "{'spec':{'selector':null,'template':{'metadata':{'labels':{'a':'c'}}}}}",
	  "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not "
	  "match template `labels`]", NULL },
	{ "apps/v1/deployments", DEPLOYMENT, "{'spec':{'selector':{'matchLabels':{'a':'zz'}}}}",
	  "[spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`, "
	  "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"zz\"}}: field is immutable]", "{}" },
	{ "apps/v1/deployments", DEPLOYMENT, "{'spec':{'replicas':-1}}",
	  "spec.replicas: Invalid value: -1: must be greater than or equal to 0", NULL },
	{ "apps/v1/deployments", DEPLOYMENT, "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':0,'maxUnavailable':0}}}}",
	  "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0", NULL },

	{ "/v1/pods", POD, "{}", "", NULL },
	{ "/v1/pods", POD, "{'spec':{'containers':[]}}", "spec.containers: Required value", NULL },
	{ "/v1/pods", POD,
	  "{'spec':{'containers':[{'name':'A','imagePullPolicy':'Always','terminationMessagePolicy':'File'}]}}",
	  "[spec.containers[0].name: Invalid value: \"A\": " LABEL_TEXT ", spec.containers[0].image: Required value]", NULL },
	{ "/v1/pods", POD,
	  "{'spec':{'containers':[{'name':'a','image':'x','imagePullPolicy':'Always','terminationMessagePolicy':'File',"
	  "'resources':{'limits':{'cpu':'1'},'requests':{'cpu':'2'}}}]}}",
	  "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1", NULL },
	{ "/v1/pods", POD,
	  "{'spec':{'containers':[{'name':'a','image':'x','imagePullPolicy':'Always','terminationMessagePolicy':'File',"
	  "'volumeMounts':[{'name':'v','mountPath':'/a'}]}]}}",
	  "spec.containers[0].volumeMounts[0].name: Not found: \"v\"", NULL },
	{ "/v1/pods", POD, "{'spec':{'volumes':[{'name':'v','emptyDir':{},'hostPath':{'path':'/x'}}]}}",
	  "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type", NULL },
	{ "/v1/pods", POD, "{'spec':{'restartPolicy':'Sometimes'}}",
	  "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"", NULL },
	{ "/v1/pods", POD, "{'spec':{'containers':[{'name':'a','image':'nginx:2','imagePullPolicy':'Always',"
	  "'terminationMessagePolicy':'File','terminationMessagePath':'/dev/termination-log'}]}}", "", "{}" },

	{ "networking.k8s.io/v1/ingresses", INGRESS, "{}", "", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, "{'spec':{'rules':null}}",
	  "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS("{'path':'/'," BACKEND "}"),
	  "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS("{'path':'/','pathType':'X'," BACKEND "}"),
	  "spec.rules[0].http.paths[0].pathType: Unsupported value: \"X\": supported values: \"Exact\", "
	  "\"ImplementationSpecific\", \"Prefix\"", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS("{'path':'x','pathType':'Prefix'," BACKEND "}"),
	  "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS("{'path':'/a//b','pathType':'Prefix'," BACKEND "}"),
	  "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, "{'spec':{'rules':[{'host':'1.2.3.4'}]}}",
	  "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, "{'spec':{'rules':[{'host':'Foo_bar'}]}}",
	  "spec.rules[0].host: Invalid value: \"Foo_bar\": " SUBDOMAIN_TEXT, NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, "{'spec':{'rules':[{'host':'*.*.com'}]}}",
	  "spec.rules[0].host: Invalid value: \"*.*.com\": " WILDCARD_TEXT, NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS,
	  PATHS("{'path':'/','pathType':'Prefix','backend':{'service':{'name':'web','port':{'number':80,'name':'a'}}}}"),
	  "spec.rules[0].http.paths[0].backend: Invalid value: \"\": cannot set both port name & port number", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS,
	  PATHS("{'path':'/','pathType':'Prefix','backend':{'service':{'name':'web'}}}"),
	  "spec.rules[0].http.paths[0].backend: Required value: port name or number is required", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS("{'path':'/','pathType':'Prefix','backend':{}}"),
	  "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS, PATHS(""), "spec.rules[0].http.paths: Required value", NULL },
	{ "networking.k8s.io/v1/ingresses", INGRESS,
	  "{'metadata':{'annotations':{'kubernetes.io/ingress.class':'a'}},'spec':{'ingressClassName':'b'}}",
	  "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are "
	  "specified", NULL },
	{ "networking.k8s.io/v1/ingressclasses", "{'metadata':{'name':'c'}}", "{'spec':{'controller':'nodomain'}}",
	  "spec.controller: Invalid value: \"nodomain\": must be a domain-prefixed path (such as \"acme.io/foo\")", NULL },

	{ "/v1/configmaps", CONFIGMAP, "{}", "", NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'labels':{'a':'b c'}}}",
	  "metadata.labels: Invalid value: \"b c\": " LABEL_VALUE_TEXT, NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'labels':{'a b':'c'}}}",
	  "metadata.labels: Invalid value: \"a b\": " QUALIFIED_TEXT, NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'annotations':{'a b':'c'}}}",
	  "metadata.annotations: Invalid value: \"a b\": " QUALIFIED_TEXT, NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'annotations':{'a b':'c'}}}",
	  "metadata.annotations: Invalid value: \"a b\": " QUALIFIED_TEXT, "{}" }, /* told once, though checked twice */
	{ "/v1/configmaps", CONFIGMAP, "{'data':{'a b':'c'}}", "data[a b]: Invalid value: \"a b\": " KEY_TEXT, NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'finalizers':['foo']}}",
	  "metadata.finalizers[0]: Invalid value: \"foo\": name is neither a standard finalizer name nor is it fully qualified",
	  NULL },
	{ "/v1/configmaps", CONFIGMAP, "{'metadata':{'uid':'x'}}", "metadata.uid: Invalid value: \"x\": field is immutable",
	  "{'metadata':{'uid':'y'}}" },
	{ "/v1/configmaps", CONFIGMAP, "{'immutable':true,'data':{'a':'2'}}",
	  "data: Forbidden: field is immutable when `immutable` is set", "{'immutable':true,'data':{'a':'1'}}" },
	{ "/v1/secrets", SECRET, "{'type':'x'}", "type: Invalid value: \"x\": field is immutable", "{}" },
	{ "/v1/secrets", SECRET, "{'type':'kubernetes.io/tls'}",
	  "[data[tls.crt]: Required value, data[tls.key]: Required value]", NULL },

	{ "discovery.k8s.io/v1/endpointslices", SLICE, "{}", "", NULL },
	{ "discovery.k8s.io/v1/endpointslices", SLICE, "{'addressType':'X'}",
	  "addressType: Unsupported value: \"X\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"", NULL },
	{ "discovery.k8s.io/v1/endpointslices", SLICE, "{'endpoints':[{'addresses':['zz']}]}",
	  "endpoints[0].addresses[0]: Invalid value: \"zz\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
	  NULL },
	{ "/v1/endpoints", "{'metadata':{'name':'ep1','namespace':'default'}}",
	  "{'subsets':[{'addresses':[{'ip':'127.0.0.1'}],'ports':[{'port':80,'protocol':'TCP'}]}]}",
	  "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
	  NULL },
	{ "rbac.authorization.k8s.io/v1/clusterroles", "{'metadata':{'name':'a:b'}}", "{'rules':[{'verbs':['get']}]}",
	  "[rules[0].apiGroups: Required value: resource rules must supply at least one api group, rules[0].resources: "
	  "Required value: resource rules must supply at least one resource]", NULL },
	{ "/v1/namespaces", "{'metadata':{'name':'a.b'}}", "{}", "metadata.name: Invalid value: \"a.b\": must not contain dots",
	  NULL },
	{ "/v1/namespaces", "{'metadata':{'name':'a','namespace':'x'}}", "{}",
	  "metadata.namespace: Forbidden: not allowed on this type", NULL },
	{ "coordination.k8s.io/v1/leases", "{'metadata':{'name':'l','namespace':'default'}}",
	  "{'spec':{'leaseDurationSeconds':0}}", "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0", NULL },
};

static void drop_nulls(json_t *v)
{
	const char *key;
	json_t *m;
	void *tmp;

	json_object_foreach_safe(v, tmp, key, m) {
		if (json_is_null(m))
			json_object_del(v, key);
		else
			drop_nulls(m);
	}
}

static json_t *object_of(const struct row *r, const char *change)
{
	cleanup(json_decrefp) json_t *c = J("%s", change);
	json_t *obj = J("%s", r->base);

	json_object_update_recursive(obj, c);
	drop_nulls(obj);
	return obj;
}

static const struct resource *resource_of(const char *path)
{
	struct str plural, version, group = str_cut(str_of(path), '/', &version);

	version = str_cut(version, '/', &plural);
	const struct resource *r = resource_find(group, version, plural);
	assert_non_null(r);
	return r;
}

static void test_recorded_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *obj = object_of(&rows[i], rows[i].change);
		cleanup(json_decrefp) json_t *old = rows[i].old ? object_of(&rows[i], rows[i].old) : NULL;
		struct field_errors fe = { 0 };

		object_validate(resource_of(rows[i].resource), obj, old, &fe);
		cleanup(freep) char *text = fe.n ? field_errors_text(&fe) : xstrdup("");
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("row %zu %s\n got  %s\n want %s", i, rows[i].change, text, rows[i].want);
		field_errors_done(&fe);
	}
}

static void test_status(void **state)
{
	cleanup(json_decrefp) json_t *svc = J("%s", SERVICE);
	struct field_errors fe = { 0 };

	(void)state;
	jx_set(svc, "status.loadBalancer.ingress", json_pack("[{s:s}]", "ip", "1.2.3.4"));
	object_validate_status(resource_of("/v1/services"), svc, svc, &fe);
	assert_int_equal(fe.n, 1);
	assert_string_equal(fe.at[0].field, "status.loadBalancer.ingress");
	assert_string_equal(fe.at[0].type, "FieldValueForbidden");
	assert_string_equal(fe.at[0].message, "Forbidden: may only be used when `spec.type` is 'LoadBalancer'");
	field_errors_done(&fe);
}

static void test_pod_update_shows_difference(void **state)
{
	cleanup(json_decrefp) json_t *old = J("%s", POD), *pod = J("%s", POD);
	struct field_errors fe = { 0 };

	(void)state;
	json_object_set_new(json_array_get(jx_at(pod, "spec.containers"), 0), "ports",
			    json_pack("[{s:i,s:s}]", "containerPort", 81, "protocol", "TCP"));
	object_validate(resource_of("/v1/pods"), pod, old, &fe);
	assert_int_equal(fe.n, 1);
	assert_string_equal(fe.at[0].field, "spec");
	assert_non_null(strstr(fe.at[0].message,
			       "Forbidden: pod updates may not change fields other than "
			       "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
			       "`spec.tolerations` (only additions to existing tolerations),"
			       "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"));
	assert_non_null(strstr(fe.at[0].message, "+     \"containerPort\": 81,\n"));
	field_errors_done(&fe);
}

static void test_ephemeral_containers(void **state)
{
	static const char *const ephemeral = "[{'name':'e','image':'x','imagePullPolicy':'Always','terminationMessagePolicy':'File'}]";
	cleanup(json_decrefp) json_t *old = J("%s", POD), *pod = J("%s", POD);
	const struct resource *r = resource_of("/v1/pods");
	struct field_errors fe = { 0 };

	(void)state;
	jx_set(pod, "spec.ephemeralContainers", J("%s", ephemeral));
	object_validate_update(r, pod, old, "ephemeralcontainers", &fe);
	assert_int_equal(fe.n, 0);
	object_validate_update(r, pod, old, NULL, &fe);
	assert_int_equal(fe.n, 1);
	field_errors_done(&fe);
	object_validate_update(r, old, pod, "ephemeralcontainers", &fe);
	assert_int_equal(fe.n, 1);
	assert_string_equal(fe.at[0].message, "Forbidden: existing ephemeral containers \"e\" may not be removed\n");
	field_errors_done(&fe);
}

static void test_large_annotations(void **state)
{
	cleanup(json_decrefp) json_t *cm = J("%s", CONFIGMAP);
	struct field_errors fe = { 0 };

	(void)state;
	cleanup(freep) char *big = xcalloc(1, 300 << 10);
	memset(big, 'x', (300 << 10) - 1);
	jx_set(cm, "metadata.annotations", json_pack("{s:s}", "a", big));
	object_validate(resource_of("/v1/configmaps"), cm, NULL, &fe);
	assert_int_equal(fe.n, 1);
	assert_string_equal(fe.at[0].message, "Too long: may not be more than 262144 bytes");
	field_errors_done(&fe);
}

/* Whatever shapes a client sends, the rules only read: nothing may crash on the wrong type. */
static void test_wrong_shapes(void **state)
{
	static const char *const shapes[] = { "1", "'x'", "[]", "[1]", "{}", "{'a':1}", "[[{}]]", "true" };
	static const char *const members[] = { "spec", "metadata", "data", "rules", "subjects", "subsets", "endpoints", "ports",
					       "roleRef" };

	(void)state;
	for (size_t r = 0; r < n_resources; r++) {
		for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
			cleanup(json_decrefp) json_t *obj = json_object();
			struct field_errors fe = { 0 };

			for (size_t m = 0; m < ARRAY_LEN(members); m++) {
				cleanup(freep) char *text = xasprintf("{'v':%s}", shapes[s]);
				cleanup(json_decrefp) json_t *v = J("%s", text);
				json_object_set(obj, members[m], json_object_get(v, "v"));
			}
			object_validate(&resources[r], obj, NULL, &fe);
			object_validate(&resources[r], obj, obj, &fe);
			object_validate_status(&resources[r], obj, obj, &fe);
			field_errors_done(&fe);
		}
	}
}

static void test_formats(void **state)
{
	(void)state;
	assert_true(is_dns1123_label("a-1"));
	assert_false(is_dns1123_label("-a"));
	assert_false(is_dns1123_label("a.b"));
	assert_false(is_dns1123_label(""));
	assert_true(is_dns1123_subdomain("a.b-c.d"));
	assert_false(is_dns1123_subdomain("a..b"));
	assert_false(is_dns1035_label("1a"));
	assert_true(is_dns1035_label("a1"));
	assert_true(is_qualified_name("example.com/My_name"));
	assert_false(is_qualified_name("a/b/c"));
	assert_false(is_qualified_name("/b"));
	assert_true(is_label_value(""));
	assert_false(is_label_value("a b"));
	assert_false(is_label_value("0123456789012345678901234567890123456789012345678901234567890123"));
}

/* Changes the rules for the whole process: the last of all. */
static void test_relaxed_service_names(void **state)
{
	static const struct {
		const char *resource, *base, *change;
		size_t errors;
	} names[] = {
		{ "/v1/services", SERVICE, "{'metadata':{'name':'1web'}}", 0 },
		{ "/v1/services", SERVICE, "{'metadata':{'name':'Web'}}", 1 },
		{ "/v1/services", SERVICE, "{'metadata':{'name':'1.web'}}", 1 },
		{ "networking.k8s.io/v1/ingresses", INGRESS, "{'spec':{'defaultBackend':{'service':{'name':'1web','port':{'number':80}}}}}", 0 },
	};

	(void)state;
	validate_relax_service_names();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct row r = { names[i].resource, names[i].base, names[i].change, NULL, NULL };
		cleanup(json_decrefp) json_t *obj = object_of(&r, r.change);
		struct field_errors fe = { 0 };

		object_validate(resource_of(r.resource), obj, NULL, &fe);
		if (fe.n != names[i].errors)
			fail_msg("%s: %zu errors", r.change, fe.n);
		field_errors_done(&fe);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_messages),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_pod_update_shows_difference),
		cmocka_unit_test(test_ephemeral_containers),
		cmocka_unit_test(test_large_annotations),
		cmocka_unit_test(test_wrong_shapes),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_relaxed_service_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
