/* Passive ejection: an endpoint that fails several times in a row gets no requests for a while. */
#include "roles/ingress/upstream/balance_int.h"

#define EJECT_SHARE_MAX_PERCENT 50 /* of a backend at once: half of the pods can carry the load, none cannot */
#define EJECT_MS_MAX 300000	   /* Envoy's max_ejection_time: a pod that was away for an hour must come back soon */
#define EJECTIONS_MAX 32	   /* the product with the base is cut at EJECT_MS_MAX long before */

static bool share_allows(const struct endpoints *es, uint64_t now_ms)
{
	size_t ejected = 0;

	for (size_t i = 0; i < es->n; i++)
		ejected += __atomic_load_n(&es->at[i]->ejected_until_ms, __ATOMIC_RELAXED) > now_ms;
	return (ejected + 1) * 100 <= es->n * EJECT_SHARE_MAX_PERCENT;
}

/* An ejection is forgiven for each `base_ms` of good behaviour since the last one ended. */
static uint32_t ejections_now(const struct endpoint *e, uint64_t base_ms, uint64_t now_ms)
{
	uint64_t until = __atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED);
	uint32_t n = __atomic_load_n(&e->ejections, __ATOMIC_RELAXED);
	uint64_t forgiven = now_ms > until ? (now_ms - until) / base_ms : 0;

	return forgiven < n ? n - (uint32_t)forgiven : 0;
}

static void eject(struct endpoint *e, uint64_t base_ms, uint64_t now_ms)
{
	uint32_t n = MIN(ejections_now(e, base_ms, now_ms) + 1, EJECTIONS_MAX);
	uint64_t ms = MIN(base_ms * n, MAX((uint64_t)EJECT_MS_MAX, base_ms));

	__atomic_store_n(&e->ejections, n, __ATOMIC_RELAXED);
	__atomic_store_n(&e->ejected_until_ms, now_ms + ms, __ATOMIC_RELAXED);
	__atomic_store_n(&e->consecutive_errors, 0, __ATOMIC_RELAXED);
}

bool outlier_result(struct endpoint *e, const struct endpoints *es, const struct settings *set, bool failed, uint64_t now_ms)
{
	if (!failed) {
		if (__atomic_load_n(&e->consecutive_errors, __ATOMIC_RELAXED))
			__atomic_store_n(&e->consecutive_errors, 0, __ATOMIC_RELAXED);
		return false;
	}
	uint32_t errors = __atomic_add_fetch(&e->consecutive_errors, 1, __ATOMIC_RELAXED);
	if (!set->outlier_consecutive_errors || !set->outlier_eject_s || errors < set->outlier_consecutive_errors)
		return false;
	if (__atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED) > now_ms || !share_allows(es, now_ms))
		return false;
	eject(e, (uint64_t)set->outlier_eject_s * 1000, now_ms);
	return true;
}
