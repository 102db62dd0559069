/* kill -9 in the middle of a thousand creations: every object that was acknowledged is there
 * afterwards. */
#include "apiserver_harness.h"

#define CREATIONS 1000
#define KILL_AFTER 400

#define IN_FLIGHT 64

struct run {
	struct api_world *w;
	bool acknowledged[CREATIONS];
	size_t n_acknowledged, n_started, n_open;
	bool dead;
};
struct creation {
	struct run *run;
	size_t i;
};

static void created(void *ctx, int status, const json_t *obj, const struct err *e);

static void create_next(struct run *run)
{
	struct creation *c = xmalloc(sizeof(*c));
	cleanup(freep) char *name = xasprintf("m%zu", run->n_started);
	cleanup(json_decrefp) json_t *map =
		json_pack("{s:s,s:s,s:{s:s},s:{s:s}}", "kind", "ConfigMap", "apiVersion", "v1",
			  "metadata", "name", name, "data", "i", name);

	*c = (struct creation){ run, run->n_started++ };
	run->n_open++;
	kube_request(run->w->kube, "POST", "/api/v1/namespaces/default/configmaps", KUBE_JSON, map,
		     created, c);
}

static void created(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct creation *c = ctx;
	struct run *run = c->run;

	(void)obj;
	(void)e;
	run->n_open--;
	if (status == 201) {
		run->acknowledged[c->i] = true;
		if (++run->n_acknowledged == KILL_AFTER) {
			run->dead = true;
			kill(run->w->server, SIGKILL);
		}
	}
	free(c);
	if (!run->dead && run->n_started < CREATIONS)
		create_next(run);
	if (run->n_open == 0)
		loop_stop(run->w->loop);
}

static void test_every_acknowledged_object_survives(void **state)
{
	struct run run = { .w = *state };
	size_t found = 0;

	while (run.n_started < IN_FLIGHT)
		create_next(&run);
	loop_run(run.w->loop);
	assert_true(run.n_acknowledged >= KILL_AFTER);
	api_disconnect(run.w);
	api_kill(run.w, SIGKILL);
	api_start(run.w);
	api_connect(run.w);

	struct api_answer a =
		api_ask(run.w, "GET", "/api/v1/namespaces/default/configmaps", NULL, NULL);
	assert_int_equal(a.status, 200);
	size_t n = jx_len(a.body, "items");
	for (size_t i = 0; i < n; i++) {
		const char *name = jx_name(json_array_get(jx_at(a.body, "items"), i));
		unsigned at;
		if (sscanf(name, "m%u", &at) == 1 && run.acknowledged[at])
			found++;
	}
	api_answer_done(&a);
	assert_int_equal(found, run.n_acknowledged);
	print_message("%zu started, %zu acknowledged, %zu kept\n", run.n_started,
		      run.n_acknowledged, n);
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_acknowledged_object_survives, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
