/* Which of a rule's backends gets a request.
 *
 * ingress-nginx knows one canary for each rule, and asks: is the session bound to the primary, or to the canary? Does the
 * header say so, then the cookie? Else chance decides. Here each question is put to every canary, oldest first, before
 * the next question; so with one canary the answers are the same.
 *
 * A canary whose header or cookie says "never" is out of the draw; its share goes to the primary, not to other canaries.
 * Each canary's share is canary-weight of canary-weight-total (at least 100). Shares are laid end to end, oldest first; what
 * would reach beyond the whole is cut off, so canaries of 60 % and 60 % get 60 % and 40 %, and the primary nothing.
 */
#include "roles/ingress/upstream/balance_int.h"

#define WEIGHT_TOTAL_MIN 100   /* canary-weight-total's default; ingress-nginx ignores less */
#define WHOLE (1u << 30)       /* of the draw: exact enough for totals of millions */
#define CANARIES_MAX 64	       /* of one rule that take part: bits of a word */

enum wish { WISH_NOTHING, WISH_YES, WISH_NEVER };

static enum wish always_or_never(struct str value)
{
	if (str_eq(value, STR("always")))
		return WISH_YES;
	return str_eq(value, STR("never")) ? WISH_NEVER : WISH_NOTHING;
}

/* A value or a pattern that is set stands instead of always and never. */
static enum wish by_header(const struct exchange *x, const struct settings *set)
{
	struct str value = set->canary_by_header ? header_get(&x->req.headers, set->canary_by_header) : STR_NONE;

	if (!value.ptr)
		return WISH_NOTHING;
	if (set->canary_by_header_value && set->canary_by_header_value[0])
		return str_eq_c(value, set->canary_by_header_value) ? WISH_YES : WISH_NOTHING;
	if (set->canary_pattern_bad) /* told; ingress-nginx's fails for each request, which stays with the primary */
		return WISH_NEVER;
	if (set->canary_by_header_pattern)
		return pattern_match(set->canary_by_header_pattern, value, NULL) ? WISH_YES : WISH_NOTHING;
	return always_or_never(value);
}

static enum wish by_cookie(const struct exchange *x, const struct settings *set)
{
	return set->canary_by_cookie ? always_or_never(request_cookie(x, set->canary_by_cookie)) : WISH_NOTHING;
}

static const struct {
	const char *why;
	enum wish (*ask)(const struct exchange *x, const struct settings *set);
} rules[] = {
	{ "header", by_header },
	{ "cookie", by_cookie },
};

/* The canary, or NULL; those that are not to be drawn are added to *out_of. */
static const struct canary *by_rules(const struct exchange *x, uint64_t *out_of, const char **ret_why)
{
	const struct location *loc = x->loc;

	for (size_t r = 0; r < ARRAY_LEN(rules); r++)
		for (size_t i = 0; i < loc->n_canaries && i < CANARIES_MAX; i++) {
			if (*out_of & (uint64_t)1 << i)
				continue;
			enum wish w = rules[r].ask(x, loc->canaries[i].set);
			if (w == WISH_YES) {
				*ret_why = rules[r].why;
				return &loc->canaries[i];
			}
			if (w == WISH_NEVER)
				*out_of |= (uint64_t)1 << i;
		}
	return NULL;
}

static uint64_t share_of(const struct settings *set)
{
	uint64_t total = MAX(set->canary_weight_total, WEIGHT_TOTAL_MIN);

	return (uint64_t)MIN(set->canary_weight, total) * WHOLE / total;
}

static const struct canary *by_chance(const struct location *loc, uint64_t out_of)
{
	uint64_t drawn = WHOLE, end = 0;

	for (size_t i = 0; i < loc->n_canaries && i < CANARIES_MAX; i++) {
		if (!loc->canaries[i].set->canary_weight)
			continue;
		if (drawn == WHOLE) /* chance costs something: only when there is a weight */
			drawn = random_below(WHOLE);
		end += share_of(loc->canaries[i].set);
		if (drawn < end)
			return out_of & (uint64_t)1 << i ? NULL : &loc->canaries[i];
	}
	return NULL;
}

/* A session stays where it is; *ret_bound also when that is the primary. */
static const struct canary *by_session(const struct exchange *x, uint64_t out_of, bool *ret_bound)
{
	const struct location *loc = x->loc;
	const struct settings *set = affinity_settings(loc, loc->backend);

	if (set && affinity_belongs(x, set, loc->backend)) {
		*ret_bound = true;
		return NULL;
	}
	for (size_t i = 0; i < loc->n_canaries && i < CANARIES_MAX; i++) {
		set = out_of & (uint64_t)1 << i ? NULL : affinity_settings(loc, loc->canaries[i].backend);
		if (set && affinity_belongs(x, set, loc->canaries[i].backend)) {
			*ret_bound = true;
			return &loc->canaries[i];
		}
	}
	return NULL;
}

/* Canaries without an endpoint take no part: their requests would fail where the primary can answer. */
static uint64_t without_endpoints(const struct location *loc)
{
	uint64_t out = 0;

	for (size_t i = 0; i < loc->n_canaries && i < CANARIES_MAX; i++) {
		const struct backend *b = loc->canaries[i].backend;
		if (!b || !backend_endpoints(b)->n)
			out |= (uint64_t)1 << i;
	}
	return out;
}

struct backend *canary_choose(struct exchange *x, const char **ret_why)
{
	const struct location *loc = x->loc;
	bool bound = false;

	*ret_why = NULL;
	if (!loc->n_canaries || !loc->backend)
		return loc->backend;
	uint64_t out_of = without_endpoints(loc);
	const struct canary *c = by_session(x, out_of, &bound);
	if (bound) {
		*ret_why = c ? "affinity" : NULL;
		return c ? c->backend : loc->backend;
	}
	c = by_rules(x, &out_of, ret_why);
	if (c)
		return c->backend;
	c = by_chance(loc, out_of);
	*ret_why = c ? "weight" : NULL;
	return c ? c->backend : loc->backend;
}
