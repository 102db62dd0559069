/* An endpoint's health in the words of `aws elbv2 describe-target-health`. */
#include "roles/ingress/upstream/balance_int.h"
#include "roles/ingress/upstream/health.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	const char *state, *reason, *text;
} by_reason[] = {
	[HEALTH_NOT_CHECKED] = { "unavailable", "Target.HealthCheckDisabled", "Health checks are disabled" },
	[HEALTH_CHECKING] = { "initial", "Elb.InitialHealthChecking", "Initial health checks in progress" },
	[HEALTH_PASSED] = { "healthy", NULL, "" },
	[HEALTH_BAD_STATUS] = { "unhealthy", "Target.ResponseCodeMismatch", "" },
	[HEALTH_TIMED_OUT] = { "unhealthy", "Target.Timeout", "Request timed out" },
	[HEALTH_NO_ANSWER] = { "unhealthy", "Target.FailedHealthChecks", "Health checks failed" },
};

static void put_reason(enum health_reason r, unsigned status, struct target_health *ret)
{
	ret->state = by_reason[r].state;
	ret->reason = by_reason[r].reason;
	if (r == HEALTH_BAD_STATUS)
		snprintf(ret->description, sizeof(ret->description), "Health checks failed with these codes: [%u]", status);
	else
		snprintf(ret->description, sizeof(ret->description), "%s", by_reason[r].text);
}

/* Failures that are fewer than the threshold leave the state as it is. */
static enum health_reason settled(enum endpoint_health health, enum health_reason r)
{
	if (health == HEALTH_UP)
		return HEALTH_PASSED;
	return health == HEALTH_UNKNOWN && r > HEALTH_CHECKING ? HEALTH_CHECKING : r;
}

void target_health_of(const struct endpoint *e, bool draining, uint64_t now_ms, struct target_health *ret)
{
	enum endpoint_health health = (enum endpoint_health)__atomic_load_n(&e->health, __ATOMIC_RELAXED);
	enum health_reason r = (enum health_reason)__atomic_load_n(&e->health_reason, __ATOMIC_RELAXED);
	uint64_t ejected = __atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED);

	*ret = (struct target_health){ .state = "draining", .reason = "Target.DeregistrationInProgress" };
	if (draining) {
		snprintf(ret->description, sizeof(ret->description), "Target deregistration is in progress");
		return;
	}
	if (health != HEALTH_DOWN && ejected > now_ms) { /* ALB has no word for passive checks */
		*ret = (struct target_health){ .state = "unhealthy", .reason = "Portico.Ejected" };
		snprintf(ret->description, sizeof(ret->description), "Too many errors in a row; not used for %" PRIu64 " s",
			 (ejected - now_ms + 999) / 1000);
		return;
	}
	put_reason(settled(health, r), __atomic_load_n(&e->health_status, __ATOMIC_RELAXED), ret);
}
