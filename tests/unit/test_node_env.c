#include "codec/jx.h"
#include "roles/node/env.h"
#include "roles/node/service_env.h"

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

/* As kubelet's envvars_test: a Service with two ports of two protocols. */
static const char service_text[] = "{\"metadata\":{\"name\":\"redis-master\",\"namespace\":\"ns\"},"
				   "\"spec\":{\"clusterIP\":\"10.0.0.11\",\"ports\":["
				   "{\"name\":\"u-d-p\",\"port\":8083,\"protocol\":\"UDP\"},{"
				   "\"name\":\"t\",\"port\":8084,\"protocol\":\"TCP\"}]}}";
static const struct {
	const char *name, *value;
} service_vars[] = {
	{ "REDIS_MASTER_SERVICE_HOST", "10.0.0.11" },
	{ "REDIS_MASTER_SERVICE_PORT", "8083" },
	{ "REDIS_MASTER_SERVICE_PORT_U_D_P", "8083" },
	{ "REDIS_MASTER_SERVICE_PORT_T", "8084" },
	{ "REDIS_MASTER_PORT", "udp://10.0.0.11:8083" },
	{ "REDIS_MASTER_PORT_8083_UDP", "udp://10.0.0.11:8083" },
	{ "REDIS_MASTER_PORT_8083_UDP_PROTO", "udp" },
	{ "REDIS_MASTER_PORT_8083_UDP_PORT", "8083" },
	{ "REDIS_MASTER_PORT_8083_UDP_ADDR", "10.0.0.11" },
	{ "REDIS_MASTER_PORT_8084_TCP", "tcp://10.0.0.11:8084" },
	{ "REDIS_MASTER_PORT_8084_TCP_PROTO", "tcp" },
	{ "REDIS_MASTER_PORT_8084_TCP_PORT", "8084" },
	{ "REDIS_MASTER_PORT_8084_TCP_ADDR", "10.0.0.11" },
};

static void test_service_vars(void **state)
{
	struct err e;
	cleanup(json_decrefp) json_t *svc = jx_parse(str_of(service_text), 4096, &e);
	struct env v;

	(void)state;
	env_init(&v);
	service_env_add(svc, &v);
	assert_int_equal(v.n, ARRAY_LEN(service_vars));
	for (size_t i = 0; i < v.n; i++) {
		assert_string_equal(v.at[i].name, service_vars[i].name);
		assert_string_equal(v.at[i].value, service_vars[i].value);
	}
	env_done(&v);
}

static const struct {
	const char *service;
	bool links, applies;
} visible[] = {
	{ "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"clusterIP\":\"10.0.0."
	  "1\"}"
	  "}",
	  true, true },
	{ "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"clusterIP\":\"10.0.0."
	  "1\"}"
	  "}",
	  false, false },
	{ "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"clusterIP\":\"None\"}}",
	  true, false },
	{ "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"type\":\"ExternalName\"}"
	  "}",
	  true, false },
	{ "{\"metadata\":{\"name\":\"a\",\"namespace\":\"other\"},\"spec\":{\"clusterIP\":\"10.0.0."
	  "1\"}}",
	  true, false },
	{ "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\"},\"spec\":{"
	  "\"clusterIP\":\"10.96.0.1\"}}",
	  false, true },
};

static void test_service_visible(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(visible); i++) {
		struct err e;
		cleanup(json_decrefp) json_t *svc = jx_parse(str_of(visible[i].service), 4096, &e);
		assert_int_equal(service_env_applies(svc, "ns", visible[i].links),
				 visible[i].applies);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),		cmocka_unit_test(test_expand_limit),
		cmocka_unit_test(test_names),		cmocka_unit_test(test_service_vars),
		cmocka_unit_test(test_service_visible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
