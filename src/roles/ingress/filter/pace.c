/* limit-rate, limit-rate-after, and what an upstream says itself (X-Accel-Limit-Rate). As nginx, which knows them only for
 * answers that it buffers. */
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/pace.h"

static bool wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return settings_buffer_answers(loc->set);
}

static enum filter_verdict answer(struct exchange *x, void **state)
{
	const struct settings *set = x->loc->set;
	uint64_t own, rate = (uint64_t)set->limit_rate_kib << 10;

	(void)state;
	if (x->answer_own || x->ans.no_body || x->state == X_TUNNEL)
		return FILTER_NEXT;
	/* Bytes per second, digits only; 0 lifts the limit. Anything else says nothing. */
	if (str_to_u64(header_get(&x->ans.headers, "x-accel-limit-rate"), INT64_MAX, &own))
		rate = own;
	pace_begin(x, rate, (uint64_t)set->limit_rate_after_kib << 10);
	return FILTER_NEXT;
}

const struct filter filter_pace = {
	.name = "pace",
	.wanted = wanted,
	.answer = answer,
};
