/* Allow and deny lists, and the end of the access phase. Order as nginx: deny, allow, "deny all" behind an allow list. */
#include "roles/ingress/filter/access.h"

#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/metrics.h"

bool access_settled(const struct exchange *x)
{
	return x->access_granted && x->loc->set->satisfy == SATISFY_ANY;
}

enum filter_verdict access_grant(struct exchange *x)
{
	x->access_granted = true;
	x->access_refused = 0;
	return FILTER_NEXT;
}

enum filter_verdict access_refuse(struct exchange *x, int status)
{
	if (x->loc->set->satisfy == SATISFY_ANY) {
		if (x->access_refused != 401)
			x->access_refused = status;
		return FILTER_NEXT;
	}
	exchange_answer_error(x, status);
	return FILTER_ANSWERED;
}

void access_resume(struct exchange *x, enum filter_verdict v)
{
	if (v == FILTER_NEXT)
		exchange_resume(x);
}

bool location_is_listed(const struct location *loc, const struct str_list *prefixes)
{
	for (size_t i = 0; i < prefixes->n; i++)
		if (str_starts(str_of(loc->path), str_of(prefixes->at[i])))
			return true;
	return false;
}

static enum filter_verdict address_refuse(struct exchange *x)
{
	/* With satisfy any a password may still let it in. */
	if (x->loc->set->satisfy != SATISFY_ANY)
		metrics_inc(x->worker->metrics, METRIC_DENIED_ADDRESS);
	return access_refuse(x, 403);
}

static bool access_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->allow.n > 0 || loc->set->deny.n > 0;
}

static enum filter_verdict access_request(struct exchange *x, void **state)
{
	(void)state;
	const struct settings *set = x->loc->set;
	if (cidr_list_has(&set->deny, &x->req.client))
		return address_refuse(x);
	if (set->allow.n == 0)
		return FILTER_NEXT;
	return cidr_list_has(&set->allow, &x->req.client) ? access_grant(x) : address_refuse(x);
}

const struct filter filter_access = {
	.name = "access",
	.pure = true,
	.wanted = access_wanted,
	.request = access_request,
};

static bool access_end_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->satisfy == SATISFY_ANY;
}

static enum filter_verdict access_end_request(struct exchange *x, void **state)
{
	(void)state;
	if (x->access_granted || x->access_refused == 0)
		return FILTER_NEXT;
	if (x->access_refused == 403)
		metrics_inc(x->worker->metrics, METRIC_DENIED_ADDRESS);
	exchange_answer_error(x, x->access_refused);
	return FILTER_ANSWERED;
}

const struct filter filter_access_end = {
	.name = "access_end",
	.pure = true,
	.wanted = access_end_wanted,
	.request = access_end_request,
};
