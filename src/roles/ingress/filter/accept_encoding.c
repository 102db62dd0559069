#include "roles/ingress/filter/coding.h"

#define Q_MAX 1000

void accept_encoding_init(struct accept_encoding *a)
{
	*a = (struct accept_encoding){.identity = -1, .any = -1};
	for (size_t i = 0; i < CODINGS; i++)
		a->q[i] = -1;
}

/* "0", "0.5", "1.000" in thousandths (RFC 9110, 12.4.2); -1 when malformed. */
static int parse_q(struct str s)
{
	int q;

	if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') ||
	    (s.len > 1 && s.ptr[1] != '.'))
		return -1;
	q = (s.ptr[0] - '0') * Q_MAX;
	for (size_t i = 2, unit = Q_MAX / 10; i < s.len; i++, unit /= 10) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -1;
		q += (s.ptr[i] - '0') * (int)unit;
	}
	return q <= Q_MAX ? q : -1;
}

static int q_of(struct str parameters)
{
	while (parameters.ptr) {
		struct str value, name = str_cut(str_trim(str_cut(parameters, ';', &parameters)), '=', &value);

		if (str_ieq(str_trim(name), STR("q")))
			return value.ptr ? parse_q(str_trim(value)) : -1;
	}
	return Q_MAX;
}

static int *slot_of(struct accept_encoding *a, struct str name)
{
	if (str_eq(name, STR("*")))
		return &a->any;
	if (str_ieq(name, STR("identity")))
		return &a->identity;
	if (str_ieq(name, STR("x-gzip")))
		return &a->q[CODING_GZIP];
	for (size_t i = 0; i < CODINGS; i++)
		if (str_ieq(name, coding_name((enum coding)i)))
			return &a->q[i];
	return NULL;
}

void accept_encoding_add(struct accept_encoding *a, struct str value)
{
	while (value.ptr) {
		struct str parameters, member = str_cut(value, ',', &value);
		int *slot = slot_of(a, str_trim(str_cut(member, ';', &parameters)));
		int q = slot ? q_of(parameters) : -1;

		if (q >= 0)
			*slot = q;
	}
}

enum coding accept_encoding_choose(const struct accept_encoding *a, unsigned offered)
{
	/* A coding must be wished for at least as much as none at all. */
	int best = MAX(a->identity, 1) - 1;
	enum coding chosen = CODING_NONE;

	for (size_t i = 0; i < CODINGS; i++) {
		int q = a->q[i] >= 0 ? a->q[i] : a->any;

		if ((offered & 1u << i) && q > best) {
			best = q;
			chosen = (enum coding)i;
		}
	}
	return chosen;
}
