#include "kube/object/quantity.h"

#include <stdio.h>

/* Values are kept as a count of 10^-9: upstream's finest unit, into which it rounds up, and its
 * greatest value, 2^63-1, still fits 128 bits. */
typedef __int128 i128;
#define NANO 1000000000
#define NANO_MAX ((i128)INT64_MAX * NANO)
#define DIGITS_MAX 28 /* 10^28 fits with room for one multiplication by ten */

enum format { DECIMAL_SI, BINARY_SI, DECIMAL_EXPONENT };
struct quantity {
	i128 nano;
	enum format format;
};

static const char format_wrong[] = "quantities must match the regular expression "
				   "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
static const char suffix_wrong[] = "unable to parse quantity's suffix";

/* Decimal suffixes in steps of 10^3 from 10^-9, binary ones in steps of 2^10 from 2^10. */
static const char *const decimal_suffixes[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
static const char *const binary_suffixes[] = { "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* n * by, at most `max`. Both are not negative. */
static i128 multiply(i128 n, i128 by, i128 max)
{
	return n && by > max / n ? max : n * by;
}

/* Digits of an integer with an implied decimal point: value = mantissa / 10^places, and a bit more
 * if `inexact`. */
struct number {
	i128 mantissa;
	int places;
	bool inexact, too_large;
};

static void number_add_digit(struct number *n, char digit, bool fraction)
{
	static const i128 limit = (i128)10000000000000000 * 1000000000000; /* 10^DIGITS_MAX */

	if (n->mantissa >= limit / 10) {
		if (fraction)
			n->inexact |= digit != '0';
		else
			n->too_large = true;
		return;
	}
	n->mantissa = n->mantissa * 10 + (digit - '0');
	n->places += fraction;
}

/* mantissa * 10^power, rounded up. */
static i128 scale_ten(const struct number *n, long power)
{
	i128 v = n->mantissa, divisor = 1;

	if (!v)
		return n->inexact;
	for (; power > 0 && v < NANO_MAX; power--)
		v = multiply(v, 10, NANO_MAX);
	if (power >= 0)
		return v;
	for (; power < 0 && divisor <= v; power++)
		divisor *= 10;
	/* A divisor that passed v before all of the power was used only makes the result round up
	 * to one. */
	return (v + divisor - 1) / divisor + (n->inexact && v % divisor == 0);
}

static i128 scale_two(struct number *n, int power)
{
	n->mantissa = multiply(n->mantissa, (i128)1 << power, NANO_MAX * 1000);
	return scale_ten(n, 9 - n->places);
}

/* What stands behind the number: sets the format and *ret_power. */
static bool parse_suffix(struct str s, enum format *ret_format, long *ret_power)
{
	for (size_t i = 0; i < ARRAY_LEN(decimal_suffixes); i++)
		if (str_eq_c(s, decimal_suffixes[i])) {
			*ret_format = DECIMAL_SI;
			*ret_power = (long)i * 3 - 9;
			return true;
		}
	for (size_t i = 0; i < ARRAY_LEN(binary_suffixes); i++)
		if (str_eq_c(s, binary_suffixes[i])) {
			*ret_format = BINARY_SI;
			*ret_power = (long)(i + 1) * 10;
			return true;
		}
	if (s.len < 2 || (s.ptr[0] != 'e' && s.ptr[0] != 'E'))
		return false;
	bool negative = s.ptr[1] == '-';
	size_t at = 1 + (negative || s.ptr[1] == '+');
	uint64_t power;

	if (at == s.len || !str_to_u64((struct str){ s.ptr + at, s.len - at }, INT32_MAX, &power))
		return false;
	*ret_format = DECIMAL_EXPONENT;
	*ret_power = negative ? -(long)power : (long)power;
	return true;
}

/* Upstream's fast scanner, which is laxer than its own regular expression: "." and "1.G" pass. */
static const char *parse_number(struct str text, struct number *ret_number, bool *ret_negative,
				struct str *ret_suffix)
{
	size_t at = 0, end = text.len;

	if (!end)
		return format_wrong;
	*ret_negative = text.ptr[0] == '-';
	if (text.ptr[0] == '-' || text.ptr[0] == '+')
		at++;
	for (; at < end && is_digit(text.ptr[at]); at++)
		number_add_digit(ret_number, text.ptr[at], false);
	if (at < end && text.ptr[at] == '.')
		for (at++; at < end && is_digit(text.ptr[at]); at++)
			number_add_digit(ret_number, text.ptr[at], true);
	*ret_suffix = (struct str){ text.ptr + at, end - at };
	while (at < end && memchr("eEinumkKMGTP", text.ptr[at], 12))
		at++;
	if (at < end && (text.ptr[at] == '-' || text.ptr[at] == '+'))
		at++;
	while (at < end && is_digit(text.ptr[at]))
		at++;
	return at < end ? format_wrong : NULL;
}

static const char *parse(struct str text, struct quantity *q)
{
	struct number n = { 0 };
	struct str suffix;
	bool negative;
	long power;
	const char *problem = parse_number(text, &n, &negative, &suffix);

	if (problem)
		return problem;
	if (!parse_suffix(suffix, &q->format, &power))
		return suffix_wrong;
	q->nano = n.too_large		   ? NANO_MAX
		  : q->format == BINARY_SI ? scale_two(&n, (int)power)
					   : scale_ten(&n, power + 9 - n.places);
	q->nano = MIN(q->nano, NANO_MAX);
	if (negative)
		q->nano = -q->nano;
	return NULL;
}

const char *quantity_problem(struct str text)
{
	struct quantity q;

	return parse(text, &q);
}

/* Up, as upstream rounds; saturated. */
static int64_t in_units(i128 nano, i128 unit)
{
	i128 v = nano < 0 ? nano / unit : (nano + unit - 1) / unit;

	return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int quantity_milli(struct str text, int64_t *ret_milli)
{
	struct quantity q;

	if (parse(text, &q))
		return -1;
	*ret_milli = in_units(q.nano, NANO / 1000);
	return 0;
}

int quantity_value(struct str text, int64_t *ret_value)
{
	struct quantity q;

	if (parse(text, &q))
		return -1;
	*ret_value = in_units(q.nano, NANO);
	return 0;
}

/* The greatest step of 10^3 that divides it. */
static char *decimal_text(const struct quantity *q)
{
	i128 v = q->nano;
	int power = -9;

	while (v % 1000 == 0 && (q->format == DECIMAL_EXPONENT || power < 18)) {
		v /= 1000;
		power += 3;
	}
	if (q->format == DECIMAL_EXPONENT && power)
		return xasprintf("%llde%d", (long long)v, power);
	return xasprintf("%lld%s", (long long)v, decimal_suffixes[power / 3 + 3]);
}

static char *binary_text(i128 nano)
{
	int64_t v = (int64_t)(nano / NANO);
	int step = 0;

	for (; v % 1024 == 0 && step < (int)ARRAY_LEN(binary_suffixes); step++)
		v /= 1024;
	return xasprintf("%lld%s", (long long)v, step ? binary_suffixes[step - 1] : "");
}

char *quantity_canonical(struct str text)
{
	struct quantity q;

	if (parse(text, &q))
		return NULL;
	if (!q.nano)
		return xstrdup("0");
	/* Small or broken binary quantities are shown as decimal, so that nothing is lost. */
	bool small = q.nano > -(i128)1024 * NANO && q.nano < (i128)1024 * NANO;
	if (q.format == BINARY_SI && !small && q.nano % NANO == 0)
		return binary_text(q.nano);
	if (q.format == BINARY_SI)
		q.format = DECIMAL_SI;
	return decimal_text(&q);
}
