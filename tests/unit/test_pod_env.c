#include "codec/jx.h"
#include "kube/object/pod_env.h"
#include "kube/object/pod_field.h"
#include "kube/object/service_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *text, *expanded;
} expansions[] = {
	/* rows of third_party/forked/golang/expansion's behaviour */
	{ "", "" },	      { "plain", "plain" },
	{ "$(A)", "a" },      { "x$(A)y$(B)z", "xaybz" },
	{ "$(SECOND)", "s" }, { "$(A)$(A)", "aa" },
	{ "$$(A)", "$(A)" },  { "$$$(A)", "$a" },
	{ "$$$$", "$$" },     { "$(MISSING)", "$(MISSING)" },
	{ "$(A", "$(A" },     { "$A", "$A" },
	{ "$", "$" },	      { "$()", "$()" },
	{ "$(EMPTY)|", "|" }, { "$(A)$(", "a$(" },
};

static void test_expand(void **state)
{
	struct env first, second;

	(void)state;
	env_init(&first);
	env_init(&second);
	env_set(&first, "A", "x");
	env_set(&first, "B", "b");
	env_set(&first, "EMPTY", "");
	env_set(&first, "A", "a");
	env_set(&second, "A", "not me");
	env_set(&second, "SECOND", "s");
	assert_int_equal(first.n, 3);
	for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
		cleanup(freep) char *out = env_expand(expansions[i].text, &first, &second);
		assert_string_equal(out, expansions[i].expanded);
	}
	env_done(&first);
	env_done(&second);
}

static void test_expand_limit(void **state)
{
	struct env v;
	cleanup(freep) char *big = xcalloc(1, ENV_BYTES_MAX);

	(void)state;
	memset(big, 'x', ENV_BYTES_MAX / 2);
	env_init(&v);
	env_set(&v, "BIG", big);
	assert_null(env_expand("$(BIG)$(BIG)$(BIG)", &v, NULL));
	env_done(&v);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(env_name_valid("a.b-c"));
	assert_false(env_name_valid(""));
	assert_false(env_name_valid("a=b"));
	assert_false(env_name_valid("a b"));
	assert_false(env_name_valid("\xc3\xa4"));
}

static const struct {
	const char *text, *name;
	bool refers;
} references[] = {
	{ "$(A)", "A", true },	  { "x$(A)y", "A", true }, { "$(AB)", "A", false }, { "$$(A)", "A", false },
	{ "$$$(A)", "A", true },  { "$(A", "A", false },   { "$A", "A", false },    { "", "A", false },
	{ "$(B)$(A)", "A", true }, { "$$", "A", false },
};

static void test_refers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(references); i++)
		assert_int_equal(env_refers(references[i].text, references[i].name), references[i].refers);
}

static json_t *parse(const char *text)
{
	struct err e;
	json_t *v;

	cleanup(freep) char *strict = xstrdup(text);
	for (char *p = strict; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = jx_parse(str_of(strict), 1u << 16, &e);
	if (!v)
		fail_msg("%s: %s", text, e.message);
	return v;
}

/* "A=1\nB=2\n" */
static char *lines(const struct env *v)
{
	struct buf b;

	buf_init(&b, 1u << 16);
	buf_puts(&b, "");
	for (size_t i = 0; i < v->n; i++)
		buf_printf(&b, "%s=%s\n", v->at[i].name, v->at[i].value);
	return buf_take(&b);
}

#define SERVICE(ns, name, ip, ports) "{'metadata':{'name':'" name "','namespace':'" ns "'},'spec':{'clusterIP':'" ip "','ports':[" ports "]}}"
#define MASTER SERVICE("default", "kubernetes", "10.96.0.1", "{'name':'https','port':443,'protocol':'TCP'}")
#define MASTER_LINES                                                                                                  \
	"KUBERNETES_SERVICE_HOST=10.96.0.1\nKUBERNETES_SERVICE_PORT=443\nKUBERNETES_SERVICE_PORT_HTTPS=443\n"        \
	"KUBERNETES_PORT=tcp://10.96.0.1:443\nKUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443\n"                          \
	"KUBERNETES_PORT_443_TCP_PROTO=tcp\nKUBERNETES_PORT_443_TCP_PORT=443\nKUBERNETES_PORT_443_TCP_ADDR=10.96.0.1\n"
#define WEB SERVICE("ns", "web", "10.0.0.1", "{'port':80}")
#define WEB_LINES                                                                                                     \
	"WEB_SERVICE_HOST=10.0.0.1\nWEB_SERVICE_PORT=80\nWEB_PORT=tcp://10.0.0.1:80\nWEB_PORT_80_TCP=tcp://10.0.0.1:80\n" \
	"WEB_PORT_80_TCP_PROTO=tcp\nWEB_PORT_80_TCP_PORT=80\nWEB_PORT_80_TCP_ADDR=10.0.0.1\n"

static const struct {
	const char *what, *services, *lines;
	bool no_links;
} service_rows[] = {
	{ "no Service", "", "" },
	{ "an unnamed port, no protocol", WEB, WEB_LINES },
	{ "two ports of two protocols on one number: the first decides",
	  SERVICE("ns", "abc-123", "5.6.7.8", "{'name':'u-d-p','port':8081,'protocol':'UDP'},{'name':'t-c-p','port':8081,'protocol':'TCP'}"),
	  "ABC_123_SERVICE_HOST=5.6.7.8\nABC_123_SERVICE_PORT=8081\nABC_123_SERVICE_PORT_U_D_P=8081\nABC_123_SERVICE_PORT_T_C_P=8081\n"
	  "ABC_123_PORT=udp://5.6.7.8:8081\nABC_123_PORT_8081_UDP=udp://5.6.7.8:8081\nABC_123_PORT_8081_UDP_PROTO=udp\n"
	  "ABC_123_PORT_8081_UDP_PORT=8081\nABC_123_PORT_8081_UDP_ADDR=5.6.7.8\nABC_123_PORT_8081_TCP=tcp://5.6.7.8:8081\n"
	  "ABC_123_PORT_8081_TCP_PROTO=tcp\nABC_123_PORT_8081_TCP_PORT=8081\nABC_123_PORT_8081_TCP_ADDR=5.6.7.8\n" },
	{ "a port whose name is a number",
	  SERVICE("ns", "q-u-u-x", "9.8.7.6", "{'port':8082,'protocol':'TCP'},{'name':'8083','port':8083,'protocol':'TCP'}"),
	  "Q_U_U_X_SERVICE_HOST=9.8.7.6\nQ_U_U_X_SERVICE_PORT=8082\nQ_U_U_X_SERVICE_PORT_8083=8083\nQ_U_U_X_PORT=tcp://9.8.7.6:8082\n"
	  "Q_U_U_X_PORT_8082_TCP=tcp://9.8.7.6:8082\nQ_U_U_X_PORT_8082_TCP_PROTO=tcp\nQ_U_U_X_PORT_8082_TCP_PORT=8082\n"
	  "Q_U_U_X_PORT_8082_TCP_ADDR=9.8.7.6\nQ_U_U_X_PORT_8083_TCP=tcp://9.8.7.6:8083\nQ_U_U_X_PORT_8083_TCP_PROTO=tcp\n"
	  "Q_U_U_X_PORT_8083_TCP_PORT=8083\nQ_U_U_X_PORT_8083_TCP_ADDR=9.8.7.6\n" },
	{ "an IPv6 address is in brackets within a URL, and only there",
	  SERVICE("ns", "six", "2001:db8::1", "{'name':'s','port':9000,'protocol':'SCTP'}"),
	  "SIX_SERVICE_HOST=2001:db8::1\nSIX_SERVICE_PORT=9000\nSIX_SERVICE_PORT_S=9000\nSIX_PORT=sctp://[2001:db8::1]:9000\n"
	  "SIX_PORT_9000_SCTP=sctp://[2001:db8::1]:9000\nSIX_PORT_9000_SCTP_PROTO=sctp\nSIX_PORT_9000_SCTP_PORT=9000\n"
	  "SIX_PORT_9000_SCTP_ADDR=2001:db8::1\n" },
	{ "headless, without an address, ExternalName, another namespace's",
	  SERVICE("ns", "headless", "None", "{'port':1}") "," SERVICE("ns", "empty", "", "{'port':1}") ","
	  "{'metadata':{'name':'ext','namespace':'ns'},'spec':{'type':'ExternalName','externalName':'x.example'}},"
	  SERVICE("other", "web", "10.0.0.9", "{'port':80}") "," SERVICE("default", "web", "10.0.0.8", "{'port':80}"), "" },
	{ "the master service is everybody's, Services come in the order of names", WEB "," MASTER, MASTER_LINES WEB_LINES },
	{ "without links only the master service", WEB "," MASTER, MASTER_LINES, true },
	{ "a namespace's own \"kubernetes\" takes the master's place as a whole",
	  MASTER "," SERVICE("ns", "kubernetes", "10.0.0.3", "{'port':80}"),
	  "KUBERNETES_SERVICE_HOST=10.0.0.3\nKUBERNETES_SERVICE_PORT=80\nKUBERNETES_PORT=tcp://10.0.0.3:80\n"
	  "KUBERNETES_PORT_80_TCP=tcp://10.0.0.3:80\nKUBERNETES_PORT_80_TCP_PROTO=tcp\nKUBERNETES_PORT_80_TCP_PORT=80\n"
	  "KUBERNETES_PORT_80_TCP_ADDR=10.0.0.3\n" },
	{ "but not without links", MASTER "," SERVICE("ns", "kubernetes", "10.0.0.3", "{'port':80}"), MASTER_LINES, true },
	{ "nor when it has no address", MASTER "," SERVICE("ns", "kubernetes", "None", "{'port':80}"), MASTER_LINES },
};

/* jansson's arrays hold the Services; the builder sorts pointers. */
static size_t pointers(const json_t *array, const json_t *ret[16])
{
	for (size_t i = 0; i < json_array_size(array); i++)
		ret[i] = json_array_get(array, i);
	return json_array_size(array);
}

static void test_services(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(service_rows); i++) {
		cleanup(freep) char *text = xasprintf("[%s]", service_rows[i].services);
		cleanup(json_decrefp) json_t *array = parse(text);
		const json_t *at[16];
		size_t n = pointers(array, at);
		struct env v;

		env_init(&v);
		service_env_build(at, n, "ns", !service_rows[i].no_links, &v);
		cleanup(freep) char *got = lines(&v);
		if (strcmp(got, service_rows[i].lines) != 0)
			fail_msg("%s:\n%snot\n%s", service_rows[i].what, got, service_rows[i].lines);
		env_done(&v);
	}
}

#define CONTAINER(members) "{'name':'c'," members "}"
static const char objects_text[] =
	"{'configmaps/cm':{'metadata':{'name':'cm'},'data':{'A':'a','WEB_PORT':'mine','X Y':'space'}},"
	"'configmaps/cm2':{'metadata':{'name':'cm2'},'data':{'A':'second'}},"
	"'secrets/s':{'metadata':{'name':'s'},'data':{'P':'cMOkc3M=','E':''}}}";
static const char pod_text[] = "{'metadata':{'name':'p','namespace':'ns','uid':'u','labels':{'app':'x'}},'spec':{'nodeName':'n','containers':["
			       "{'name':'other','resources':{'limits':{'memory':'64Mi'}}}]},'status':{'podIP':'10.1.0.9','podIPs':["
			       "{'ip':'10.1.0.9'},{'ip':'fd00::9'}],'hostIP':'192.0.2.1'}}";

static const struct {
	const char *what, *container, *lines, *error;
} pods[] = {
	{ "nothing declared", CONTAINER("'env':[]"), MASTER_LINES WEB_LINES, NULL },
	{ "env keeps its order, the later of one name wins in the earlier's place",
	  CONTAINER("'env':[{'name':'Z','value':'1'},{'name':'B','value':'2'},{'name':'Z','value':'3'}]"),
	  "Z=3\nB=2\n" MASTER_LINES WEB_LINES, NULL },
	{ "envFrom: later sources win over earlier, env over both, names that are none are left out",
	  CONTAINER("'envFrom':[{'configMapRef':{'name':'cm'},'prefix':'X_'},{'configMapRef':{'name':'cm'}},"
		    "{'configMapRef':{'name':'cm2'}}],'env':[{'name':'X_A','value':'own'}]"),
	  "X_A=own\nX_WEB_PORT=mine\nA=second\nWEB_PORT=mine\n" MASTER_LINES
	  "WEB_SERVICE_HOST=10.0.0.1\nWEB_SERVICE_PORT=80\nWEB_PORT_80_TCP=tcp://10.0.0.1:80\n"
	  "WEB_PORT_80_TCP_PROTO=tcp\nWEB_PORT_80_TCP_PORT=80\nWEB_PORT_80_TCP_ADDR=10.0.0.1\n", NULL },
	{ "references see what is before, then Services; a name that comes later stays as written",
	  CONTAINER("'env':[{'name':'URL','value':'http://$(WEB_SERVICE_HOST):$(WEB_SERVICE_PORT)$$(X)$(LATER)'},"
		    "{'name':'LATER','value':'l'},{'name':'WEB_SERVICE_HOST','value':'mine'},{'name':'H','value':'$(WEB_SERVICE_HOST)'}]"),
	  "URL=http://10.0.0.1:80$(X)$(LATER)\nLATER=l\nWEB_SERVICE_HOST=mine\nH=mine\n" MASTER_LINES
	  "WEB_SERVICE_PORT=80\nWEB_PORT=tcp://10.0.0.1:80\nWEB_PORT_80_TCP=tcp://10.0.0.1:80\n"
	  "WEB_PORT_80_TCP_PROTO=tcp\nWEB_PORT_80_TCP_PORT=80\nWEB_PORT_80_TCP_ADDR=10.0.0.1\n", NULL },
	{ "keys, fields, resources; what is optional and missing is left out",
	  CONTAINER("'resources':{'limits':{'cpu':'1500m'}},'env':["
		    "{'name':'K','valueFrom':{'configMapKeyRef':{'name':'cm','key':'A'}}},"
		    "{'name':'P','valueFrom':{'secretKeyRef':{'name':'s','key':'P'}}},"
		    "{'name':'E','valueFrom':{'secretKeyRef':{'name':'s','key':'E'}}},"
		    "{'name':'N1','valueFrom':{'configMapKeyRef':{'name':'cm','key':'none','optional':true}}},"
		    "{'name':'N2','valueFrom':{'secretKeyRef':{'name':'none','key':'P','optional':true}}},"
		    "{'name':'IPS','valueFrom':{'fieldRef':{'fieldPath':'status.podIPs'}}},"
		    "{'name':'HOST','valueFrom':{'fieldRef':{'fieldPath':'status.hostIP'}}},"
		    "{'name':'APP','valueFrom':{'fieldRef':{'fieldPath':\"metadata.labels[\\u0027app\\u0027]\"}}},"
		    "{'name':'CPU','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}},"
		    "{'name':'MCPU','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu','divisor':'1m'}}},"
		    "{'name':'MEM','valueFrom':{'resourceFieldRef':{'resource':'limits.memory','divisor':'1Gi'}}},"
		    "{'name':'DISK','valueFrom':{'resourceFieldRef':{'resource':'limits.ephemeral-storage'}}},"
		    "{'name':'RQ','valueFrom':{'resourceFieldRef':{'resource':'requests.memory'}}},"
		    "{'name':'OTHER','valueFrom':{'resourceFieldRef':{'resource':'limits.memory','containerName':'other','divisor':'1Mi'}}}]"),
	  "K=a\nP=p\xc3\xa4ss\nE=\nIPS=10.1.0.9,fd00::9\nHOST=192.0.2.1\nAPP=x\nCPU=2\nMCPU=1500\nMEM=4\nDISK=1000\nRQ=0\nOTHER=64\n" MASTER_LINES
	  WEB_LINES, NULL },
	{ "a missing ConfigMap", CONTAINER("'envFrom':[{'configMapRef':{'name':'none'}}]"), NULL, "configmap \"none\" not found" },
	{ "unless it is optional", CONTAINER("'envFrom':[{'secretRef':{'name':'none','optional':true}}]"), MASTER_LINES WEB_LINES, NULL },
	{ "a missing key", CONTAINER("'env':[{'name':'K','valueFrom':{'secretKeyRef':{'name':'s','key':'none'}}}]"), NULL,
	  "couldn't find key none in Secret ns/s" },
	{ "not known yet", CONTAINER("'env':[{'name':'K','valueFrom':{'secretKeyRef':{'name':'later','key':'k'}}}]"), NULL,
	  "secret \"later\" is not known yet" },
	{ "no such container",
	  CONTAINER("'env':[{'name':'K','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu','containerName':'none'}}}]"), NULL,
	  "valueFrom: limits.cpu cannot be resolved" },
};

static const json_t *find_object(void *ctx, const char *resource, const char *name, bool *ret_known)
{
	cleanup(freep) char *key = xasprintf("%s/%s", resource, name);

	*ret_known = strcmp(name, "later") != 0;
	return json_object_get(ctx, key);
}

struct fixture {
	json_t *objects, *pod, *services, *allocatable;
	const json_t *at[16];
	struct pod_env_input in;
};

static void fixture_init(struct fixture *f)
{
	f->objects = parse(objects_text);
	f->pod = parse(pod_text);
	f->services = parse("[" WEB "," MASTER "]");
	f->allocatable = parse("{'cpu':'4','memory':'4Gi','ephemeral-storage':'1000'}");
	f->in = (struct pod_env_input){ .pod = f->pod, .services = f->at, .n_services = pointers(f->services, f->at),
					.allocatable = f->allocatable, .ctx = f->objects, .object = find_object };
}

static void fixture_done(struct fixture *f)
{
	json_decref(f->objects);
	json_decref(f->pod);
	json_decref(f->services);
	json_decref(f->allocatable);
}

static void test_pods(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
		cleanup(json_decrefp) json_t *container = parse(pods[i].container);
		struct env v;
		struct err e = { 0 };

		f.in.container = container;
		if (pod_env_build(&f.in, &v, &e) < 0) {
			if (!pods[i].error)
				fail_msg("%s: %s", pods[i].what, e.message);
			assert_string_equal(e.message, pods[i].error);
			continue;
		}
		cleanup(freep) char *got = lines(&v);
		if (!pods[i].lines || strcmp(got, pods[i].lines) != 0)
			fail_msg("%s:\n%snot\n%s", pods[i].what, got, pods[i].lines ? pods[i].lines : "an error");
		env_done(&v);
	}
	fixture_done(&f);
}

/* Where variables come from, and what they hide. */
static void test_origins(void **state)
{
	cleanup(json_decrefp) json_t *container = parse(
		CONTAINER("'envFrom':[{'configMapRef':{'name':'cm'}}],'env':[{'name':'A','value':'own'}]"));
	struct fixture f;
	struct env v;
	struct err e;

	(void)state;
	fixture_init(&f);
	f.in.container = container;
	assert_int_equal(pod_env_build(&f.in, &v, &e), 0);
	const struct env_var *a = env_find(&v, "A"), *port = env_find(&v, "WEB_PORT"), *host = env_find(&v, "WEB_SERVICE_HOST"),
			     *number = env_find(&v, "WEB_SERVICE_PORT");
	assert_int_equal(a->origin.kind, ENV_VALUE);
	assert_string_equal(jx_str(a->origin.part, "name"), "A");
	assert_int_equal(a->hides.kind, ENV_CONFIG_MAP);
	assert_int_equal(port->origin.kind, ENV_CONFIG_MAP);
	assert_string_equal(jx_name(port->origin.object), "cm");
	assert_int_equal(port->hides.kind, ENV_SERVICE);
	assert_int_equal(host->origin.kind, ENV_SERVICE);
	assert_string_equal(jx_name(host->origin.object), "web");
	assert_null(host->origin.part);
	assert_null(host->hides.object);
	assert_int_equal(jx_int(number->origin.part, "port", 0), 80);
	env_done(&v);
	fixture_done(&f);
}

static void count_problem(void *ctx, const json_t *part, const struct err *e)
{
	assert_non_null(part);
	assert_int_equal(e->reason, ERR_NOT_FOUND);
	json_object_set_new(ctx, "problems", json_integer(jx_int(ctx, "problems", 0) + 1));
}

static void test_problems(void **state)
{
	cleanup(json_decrefp) json_t *container =
		parse(CONTAINER("'envFrom':[{'configMapRef':{'name':'none'}}],'env':[{'name':'B','value':'b'},"
				"{'name':'K','valueFrom':{'secretKeyRef':{'name':'s','key':'none'}}}]"));
	struct fixture f;
	struct env v;
	struct err e;

	(void)state;
	fixture_init(&f);
	f.in.container = container;
	f.in.problem = count_problem;
	assert_int_equal(pod_env_build(&f.in, &v, &e), 0);
	assert_int_equal(jx_int(f.objects, "problems", 0), 2);
	assert_string_equal(env_get(&v, "B"), "b");
	assert_null(env_get(&v, "K"));
	env_done(&v);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),	 cmocka_unit_test(test_expand_limit), cmocka_unit_test(test_refers),
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_services),     cmocka_unit_test(test_pods),
		cmocka_unit_test(test_origins),	 cmocka_unit_test(test_problems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
