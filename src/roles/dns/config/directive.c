#include "roles/dns/config/directive.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int directive_error(struct err *e, const struct corefile_line *at, const char *plugin, const char *fmt, ...)
{
	char text[ERR_MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INVALID, "%s:%u: %s%s%s", at->file, at->line, plugin ? plugin : "", plugin ? ": " : "", text);
}

int directive_file_error(struct err *e, const struct corefile_line *at, const char *plugin, const struct err *why)
{
	if (why->sys_errno == EACCES)
		return directive_error(e, at, plugin, "%s, as user %u", why->message, (unsigned)geteuid());
	return directive_error(e, at, plugin, "%s", why->message);
}

bool directive_number(const char *word, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;

	if (!str_to_u64(str_of(word), max, &value) || value < min)
		return false;
	*ret_value = value;
	return true;
}

/* ---- durations as Go's time.ParseDuration reads them ---- */

#define NS_PER_MS 1000000ULL

static const struct {
	struct str name;
	uint64_t ns;
} units[] = { /* "m" is a beginning of "ms": the longer come first */
	{ STR("ns"), 1 }, { STR("us"), 1000 }, { STR("\xc2\xb5s"), 1000 }, { STR("\xce\xbcs"), 1000 }, { STR("ms"), NS_PER_MS },
	{ STR("s"), 1000 * NS_PER_MS }, { STR("m"), 60000 * NS_PER_MS }, { STR("h"), 3600000 * NS_PER_MS },
};

static uint64_t take_unit(struct str *s)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (str_starts(*s, units[i].name)) {
			s->ptr += units[i].name.len;
			s->len -= units[i].name.len;
			return units[i].ns;
		}
	return 0;
}

static bool take_digit(struct str *s, uint64_t *ret)
{
	if (!s->len || *s->ptr < '0' || *s->ptr > '9')
		return false;
	*ret = (uint64_t)(*s->ptr++ - '0');
	s->len--;
	return true;
}

/* "1.5h": one number with its unit. A bare number, alone, is seconds. */
static bool take_part(struct str *s, bool alone, double *ret_ns)
{
	double value = 0, scale = 1;
	size_t digits = 0;
	uint64_t d;

	for (; take_digit(s, &d); digits++)
		value = value * 10 + (double)d;
	if (s->len && *s->ptr == '.') {
		s->ptr++;
		s->len--;
		for (; take_digit(s, &d); digits++)
			value += (double)d * (scale /= 10);
	}
	uint64_t unit = take_unit(s);
	if (!unit && alone && !s->len)
		unit = 1000 * NS_PER_MS;
	*ret_ns = value * (double)unit;
	return digits && unit;
}

bool directive_duration_ms(const char *word, uint64_t max_ms, uint64_t *ret_ms)
{
	struct str s = str_of(word);
	double total = 0, part;

	if (!s.len)
		return false;
	for (bool alone = true; s.len; alone = false) {
		if (!take_part(&s, alone, &part))
			return false;
		total += part;
	}
	total = (total + 0.5) / NS_PER_MS;
	if (total >= (double)max_ms + 1)
		return false;
	*ret_ms = (uint64_t)total;
	return true;
}
