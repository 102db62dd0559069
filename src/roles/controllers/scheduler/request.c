/* What a pod asks for: sum of containers and sidecars, at least the largest init container (KEP-753). */
#include "roles/controllers/scheduler/schedule.h"

#include "kube/object/quantity.h"

#define GUESS_CPU_MILLI 100 /* kube-scheduler's defaults for scoring */
#define GUESS_MEMORY (200 * INT64_C(1000000))

static int64_t value_of(const json_t *resources, const char *name)
{
	const json_t *v = json_object_get(resources, name);
	int64_t n;

	if (json_is_integer(v))
		return json_integer_value(v);
	return json_is_string(v) && quantity_value(str_of(json_string_value(v)), &n) == 0 ? n : 0;
}

static int64_t milli_of(const json_t *resources, const char *name)
{
	const json_t *v = json_object_get(resources, name);
	int64_t n;

	if (json_is_integer(v))
		return json_integer_value(v) * 1000;
	return json_is_string(v) && quantity_milli(str_of(json_string_value(v)), &n) == 0 ? n : 0;
}

static struct pod_request request_of(const json_t *requests)
{
	struct pod_request r = { .cpu_milli = milli_of(requests, "cpu"),
				 .memory = value_of(requests, "memory"),
				 .ephemeral = value_of(requests, "ephemeral-storage") };

	r.score_cpu_milli = json_object_get(requests, "cpu") ? r.cpu_milli : GUESS_CPU_MILLI;
	r.score_memory = json_object_get(requests, "memory") ? r.memory : GUESS_MEMORY;
	return r;
}

static void add(struct pod_request *to, struct pod_request r)
{
	to->cpu_milli += r.cpu_milli;
	to->memory += r.memory;
	to->ephemeral += r.ephemeral;
	to->score_cpu_milli += r.score_cpu_milli;
	to->score_memory += r.score_memory;
}

static void at_least(struct pod_request *to, struct pod_request r)
{
	to->cpu_milli = MAX(to->cpu_milli, r.cpu_milli);
	to->memory = MAX(to->memory, r.memory);
	to->ephemeral = MAX(to->ephemeral, r.ephemeral);
	to->score_cpu_milli = MAX(to->score_cpu_milli, r.score_cpu_milli);
	to->score_memory = MAX(to->score_memory, r.score_memory);
}

struct pod_request pod_request(const json_t *pod)
{
	struct pod_request sum = { 0 }, sidecars = { 0 }, peak = { 0 }, one;
	const json_t *c;
	size_t i;

	json_array_foreach(jx_at(pod, "spec.initContainers"), i, c) {
		one = request_of(jx_at(c, "resources.requests"));
		if (c_eq(jx_str(c, "restartPolicy"), "Always")) {
			add(&sidecars, one);
			at_least(&peak, sidecars);
		} else {
			add(&one, sidecars); /* those started before it run beside it */
			at_least(&peak, one);
		}
	}
	json_array_foreach(jx_at(pod, "spec.containers"), i, c)
		add(&sum, request_of(jx_at(c, "resources.requests")));
	add(&sum, sidecars);
	at_least(&sum, peak);
	if (jx_at(pod, "spec.overhead"))
		add(&sum, request_of(jx_at(pod, "spec.overhead")));
	return sum;
}
