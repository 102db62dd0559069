/* The user's kubeconfig keeps everything that is not ours. */
#include "kube/schema/decode.h"
#include "roles/cli/kubeconfig.h"
#include "roles/cli/yaml_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static json_t *parse(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	assert_non_null(v);
	return v;
}

#define OURS(server) "{\"clusters\":[{\"name\":\"portico\",\"cluster\":{\"server\":\"" server "\"}}]," \
	"\"users\":[{\"name\":\"portico\",\"user\":{}}],\"contexts\":[{\"name\":\"portico\",\"context\":{}}]}"

static void test_merge(void **state)
{
	static const struct {
		const char *theirs, *want;
	} rows[] = {
		{ "{}", "{\"clusters\":[{\"name\":\"portico\",\"cluster\":{\"server\":\"s\"}}],\"users\":[{\"name\":\"portico\",\"user\":{}}],"
			"\"contexts\":[{\"name\":\"portico\",\"context\":{}}],\"current-context\":\"portico\"}" },
		{ "{\"clusters\":[{\"name\":\"prod\",\"x\":1},{\"name\":\"portico\",\"old\":1}],\"users\":null,\"contexts\":[{\"name\":\"prod\"}],"
		  "\"current-context\":\"prod\",\"preferences\":{\"colors\":true}}",
		  "{\"clusters\":[{\"name\":\"prod\",\"x\":1},{\"name\":\"portico\",\"cluster\":{\"server\":\"s\"}}],"
		  "\"users\":[{\"name\":\"portico\",\"user\":{}}],\"contexts\":[{\"name\":\"prod\"},{\"name\":\"portico\",\"context\":{}}],"
		  "\"current-context\":\"prod\",\"preferences\":{\"colors\":true}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *theirs = parse(rows[i].theirs), *ours = parse(OURS("s")), *want = parse(rows[i].want);
		kubeconfig_merge(theirs, ours);
		if (!json_equal(theirs, want))
			fail_msg("row %zu: %s", i, jx_dump_text(theirs));
		json_decref(theirs);
		json_decref(ours);
		json_decref(want);
	}
}

/* What we write as YAML is read back as it was: strings stay strings. */
static void test_yaml_round_trip(void **state)
{
	json_t *v = parse("{\"a\":\"true\",\"b\":true,\"c\":\"1.5\",\"d\":[1,\"x: y\",{\"e\":\"\"}],\"f\":{},\"g\":\"line\\nbreak\",\"h\":\"#no\","
			  "\"yes\":\"0x1f\",\"i\":null,\"j\":\"null\",\"k\":[],\"l\":\"- dash\"}");
	struct err e;
	char *text = yaml_text(v);
	json_t *back = yaml_to_json(str_of(text), 65536, &e);

	(void)state;
	if (!back)
		fail_msg("%s in:\n%s", e.message, text);
	if (!json_equal(v, back))
		fail_msg("%s\nbecame %s", text, jx_dump_text(back));
	free(text);
	json_decref(v);
	json_decref(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_merge), cmocka_unit_test(test_yaml_round_trip) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
