/* Names and sentences as Go's standard library has them, because clients see them. */
#include "kube/schema/decode_int.h"

#include <stdio.h>
#include <time.h>

static const char *scalar_name(const struct schema_field *f)
{
	switch ((enum schema_kind)f->kind) {
	case SK_BOOL:
		return "bool";
	case SK_I32:
		return "int32";
	case SK_I64:
		return "int64";
	case SK_F64:
		return "float64";
	case SK_BYTES:
		return "[]uint8";
	case SK_TIME:
		return "v1.Time";
	case SK_MICRO_TIME:
		return "v1.MicroTime";
	case SK_DURATION:
		return "v1.Duration";
	case SK_QUANTITY:
		return "resource.Quantity";
	case SK_INT_OR_STRING:
		return "intstr.IntOrString";
	default:
		return "string";
	}
}

/* "core.v1.ServicePort" is v1.ServicePort to Go. */
static const char *object_name(const struct schema_type *t)
{
	const char *dot = strchr(t->name, '.');

	return dot ? dot + 1 : t->name;
}

/* Cuts "[]" or "map[…]" off the front. NULL when it is neither: a named collection. */
static const char *inner_name(const char *go_type)
{
	if (strncmp(go_type, "[]", 2) == 0)
		return go_type + 2;
	const char *close = strncmp(go_type, "map[", 4) == 0 ? strchr(go_type, ']') : NULL;
	return close ? close + 1 : NULL;
}

void go_type_text(const struct schema_field *f, unsigned inside, struct buf *out)
{
	static const char *const shapes[] = {
		[SS_LIST] = "[]", [SS_MAP] = "map[string]", [SS_MAP_OF_LISTS] = "map[string][]"
	};
	const char *given = f->go_type;

	for (unsigned i = 0; i < inside && given; i++)
		given = inner_name(given);
	if (given) {
		buf_puts(out, given);
		return;
	}
	if (f->shape == SS_MAP_OF_LISTS && inside == 1)
		buf_puts(out, "[]");
	else if (f->shape != SS_ONE && inside == 0)
		buf_puts(out, shapes[f->shape]);
	buf_puts(out, f->kind == SK_OBJECT ? object_name(f->sub) : scalar_name(f));
}

/* One element of Go's layout and how many digits it takes; '.' stands for the fraction, 'Z' for the
 * zone. */
struct element {
	const char *layout;
	int digits;
};
static const struct element elements[] = {
	{ "2006", 4 }, { "-", 0 }, { "01", 2 }, { "-", 0 }, { "02", 2 }, { "T", 0 },
	{ "15", 2 },   { ":", 0 }, { "04", 2 }, { ":", 0 }, { "05", 2 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int bad_time(const char *text, bool micro, const char *rest, const char *element,
		    struct err *e)
{
	return err_set(
		e, ERR_BAD_REQUEST,
		"parsing time \"%s\" as \"2006-01-02T15:04:05%sZ07:00\": cannot parse \"%s\" as \"%s\"",
		text, micro ? ".000000" : "", rest, element);
}

static int parse_zone(const char *p, int *ret_offset_s)
{
	int h, m;

	*ret_offset_s = 0;
	if (strcmp(p, "Z") == 0)
		return 0;
	if ((*p != '+' && *p != '-') || strlen(p) != 6 || p[3] != ':' || !is_digit(p[1]) ||
	    !is_digit(p[2]) || !is_digit(p[4]) || !is_digit(p[5]))
		return -1;
	h = (p[1] - '0') * 10 + p[2] - '0';
	m = (p[4] - '0') * 10 + p[5] - '0';
	if (h > 24 || m > 60)
		return -1;
	*ret_offset_s = (h * 60 + m) * (*p == '-' ? -60 : 60);
	return 0;
}

/* Days of a month of the proleptic Gregorian calendar. */
static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static const char *out_of_range(const int v[6])
{
	if (v[1] < 1 || v[1] > 12)
		return "month";
	if (v[2] < 1 || v[2] > month_days(v[0], v[1]))
		return "day";
	return v[3] > 23 ? "hour" : v[4] > 59 ? "minute" : v[5] > 59 ? "second" : NULL;
}

int go_time(const char *text, bool micro, char out[TIME_TEXT_BYTES], struct err *e)
{
	const char *p = text;
	int v[6], n = 0, offset_s;
	int64_t us = 0;

	for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
		const struct element *el = &elements[i];
		const char *start = p;
		int value = 0, digits = 0;

		for (; digits < el->digits && is_digit(*p); digits++)
			value = value * 10 + (*p++ - '0');
		if (digits < el->digits || (!el->digits && *p++ != el->layout[0]))
			return bad_time(text, micro, start, el->layout, e);
		if (el->digits)
			v[n++] = value;
	}
	if ((*p == '.' || *p == ',') && is_digit(p[1])) {
		int64_t scale = 100000;
		for (p++; is_digit(*p); p++, scale /= 10)
			us += (*p - '0') * scale;
	} else if (micro) {
		return bad_time(text, micro, p, ".000000", e);
	}
	const char *range = out_of_range(v);
	if (range)
		return err_set(e, ERR_BAD_REQUEST, "parsing time \"%s\": %s out of range", text,
			       range);
	if (parse_zone(p, &offset_s) < 0)
		return bad_time(text, micro, p, "Z07:00", e);

	struct tm tm = { .tm_year = v[0] - 1900,
			 .tm_mon = v[1] - 1,
			 .tm_mday = v[2],
			 .tm_hour = v[3],
			 .tm_min = v[4],
			 .tm_sec = v[5] };
	time_t s = timegm(&tm) - offset_s;
	struct tm utc;
	gmtime_r(&s, &utc);
	/* A zone can move the first hours of year 0, or the last of 9999, out of what four digits
	 * say. */
	if (utc.tm_year + 1900 < 0 || utc.tm_year + 1900 > 9999)
		return err_set(e, ERR_BAD_REQUEST,
			       "parsing time \"%s\": year outside of range [0,9999]", text);
	int len =
		snprintf(out, TIME_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", utc.tm_year + 1900,
			 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
	if (len > 0 && len < TIME_TEXT_BYTES)
		snprintf(out + len, TIME_TEXT_BYTES - (size_t)len, micro ? ".%06dZ" : "Z", (int)us);
	return 0;
}
