/* For how long an answer of auth-url counts: nginx's proxy_cache_valid, and what the answer says of itself, read as nginx
 * reads it (ngx_http_upstream.c). What it would serve after that time (stale-while-revalidate) is asked for instead. */
#include "roles/ingress/filter/auth_cache_int.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#define DURATIONS "200 202 401 5m"
#define SECONDS_MAX INT32_MAX /* 68 years */
#define DATE_BYTES_MAX 64     /* of the three forms of RFC 9110 §5.6.7 */

/* ---- auth-cache-duration ---- */

static bool add(struct auth_times *t, uint64_t status, uint64_t seconds)
{
	if (t->n == AUTH_CACHE_TIMES_MAX)
		return false;
	t->at[t->n].status = (uint16_t)status;
	t->at[t->n++].seconds = (uint32_t)seconds;
	return true;
}

static bool parse_time(struct str v, uint64_t *ret_seconds)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'M', 2592000}, {'y', 31536000}};

	for (size_t i = 0; v.len && i < ARRAY_LEN(units); i++)
		if (v.ptr[v.len - 1] == units[i].unit) {
			if (!str_to_u64((struct str){v.ptr, v.len - 1}, SECONDS_MAX / units[i].seconds, ret_seconds))
				return false;
			*ret_seconds *= units[i].seconds;
			return true;
		}
	return false;
}

static bool parse_status(struct str v, uint64_t *ret)
{
	*ret = 0;
	return str_eq_c(v, "any") || (v.len == 3 && str_to_u64(v, 599, ret) && *ret >= 100);
}

/* "200 202 10m" */
static bool parse_one(struct str v, struct auth_times *t)
{
	static const uint16_t usual[] = {200, 301, 302};
	size_t at = v.len, before = t->n;
	uint64_t seconds, status;

	while (at && v.ptr[at - 1] != ' ')
		at--;
	if (!parse_time((struct str){v.ptr + at, v.len - at}, &seconds))
		return false;
	for (struct str rest = {v.ptr, at}; rest.len;) {
		struct str word = str_cut(rest, ' ', &rest);
		if (word.len && (!parse_status(word, &status) || !add(t, status, seconds)))
			return false;
	}
	for (size_t i = 0; t->n - before == i && i < ARRAY_LEN(usual); i++)
		if (!add(t, usual[i], seconds))
			return false;
	return true;
}

bool auth_times_parse(struct str text, struct auth_times *t)
{
	t->n = 0;
	while (text.len) {
		struct str one = str_trim(str_cut(text, ',', &text));
		if (one.len && !parse_one(one, t))
			return false;
	}
	return t->n || parse_one(STR(DURATIONS), t);
}

bool auth_cache_durations_ok(struct str text)
{
	struct auth_times t;

	return auth_times_parse(text, &t);
}

static int64_t time_of(const struct auth_times *t, int status)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].status == 0 || t->at[i].status == status)
			return t->at[i].seconds;
	return 0;
}

/* ---- what the answer says of itself ---- */

struct life {
	int64_t now_s, until_s; /* until_s 0: it says nothing */
	bool never;		/* whatever else it says */
	bool no_cache, expired; /* unless X-Accel-Expires is there */
	bool accel, expires;	/* seen: the first counts */
	char *vary;
};

/* What follows `word`, wherever it is; ptr NULL: it is not there. */
static struct str behind(struct str v, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= v.len; i++)
		if (strncasecmp(v.ptr + i, word, n) == 0)
			return (struct str){v.ptr + i + n, v.len - i - n};
	return STR_NONE;
}

/* Digits up to a separator; -1: something else. */
static int64_t delta_seconds(struct str v)
{
	int64_t n = 0;

	for (size_t i = 0; i < v.len && !memchr(",; ", v.ptr[i], 3); i++) {
		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return -1;
		n = MIN(n * 10 + (v.ptr[i] - '0'), (int64_t)SECONDS_MAX);
	}
	return n;
}

static void read_cache_control(struct life *l, struct str v)
{
	struct str age = behind(v, "s-maxage=");

	if (l->until_s && l->accel)
		return;
	if (behind(v, "no-cache").ptr || behind(v, "no-store").ptr || behind(v, "private").ptr) {
		l->no_cache = true;
		return;
	}
	if (!age.ptr)
		age = behind(v, "max-age=");
	if (!age.ptr)
		return;
	int64_t seconds = delta_seconds(age);
	l->never |= seconds < 0;
	l->no_cache |= seconds == 0;
	if (seconds > 0) {
		l->until_s = l->now_s + seconds;
		l->expired = false;
	}
}

static int64_t parse_date(struct str v)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
	char text[DATE_BYTES_MAX];

	if (v.len >= sizeof(text))
		return -1;
	memcpy(text, v.ptr, v.len);
	text[v.len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);
		if (end && !*end)
			return timegm(&tm);
	}
	return -1;
}

static void read_expires(struct life *l, struct str v)
{
	int64_t at = parse_date(v);
	bool first = !l->expires;

	l->expires = true;
	if (!first || l->until_s)
		return;
	if (at < l->now_s)
		l->expired = true;
	else
		l->until_s = at;
}

/* Seconds, or "@" and seconds since 1970; anything else counts for nothing. */
static void read_accel(struct life *l, struct str v)
{
	bool absolute = v.len && v.ptr[0] == '@', first = !l->accel;
	uint64_t n;

	l->accel = true;
	if (!first || !str_to_u64((struct str){v.ptr + absolute, v.len - absolute}, INT64_MAX, &n))
		return;
	if (n == 0 && !absolute) {
		l->never = true;
		return;
	}
	l->until_s = absolute ? (int64_t)n : l->now_s + (int64_t)MIN(n, (uint64_t)SECONDS_MAX);
	l->no_cache = l->expired = false;
}

static void read_set_cookie(struct life *l, struct str v)
{
	(void)v;
	l->never = true;
}

static void read_vary(struct life *l, struct str v)
{
	size_t n = strlen(l->vary), more = v.len + (n ? 2 : 0);

	if (n + more > AUTH_CACHE_VARY_BYTES_MAX || (v.len && memchr(v.ptr, '*', v.len))) {
		l->never = true;
		return;
	}
	snprintf(l->vary + n, more + 1, "%s" STR_FMT, n ? ", " : "", STR_ARG(v));
}

uint64_t auth_cache_life_ms(const struct auth_cache_policy *p, int status, struct http_headers headers, int64_t now_s,
			    char ret_vary[AUTH_CACHE_VARY_BYTES_MAX + 1])
{
	static const struct {
		const char *name;
		void (*read)(struct life *l, struct str value);
	} readers[] = {
		{"Set-Cookie", read_set_cookie}, {"Cache-Control", read_cache_control}, {"Expires", read_expires},
		{"X-Accel-Expires", read_accel}, {"Vary", read_vary},
	};
	struct life l = {.now_s = now_s, .vary = ret_vary};

	ret_vary[0] = '\0';
	for (size_t i = 0; i < headers.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(readers); k++)
			if (str_ieq(headers.at[i].name, str_of(readers[k].name)))
				readers[k].read(&l, headers.at[i].value);
	if (l.never || l.no_cache || l.expired)
		return 0;
	int64_t seconds = l.until_s ? l.until_s - now_s : time_of(&p->times, status);
	return (uint64_t)MIN(MAX(seconds, (int64_t)0), (int64_t)SECONDS_MAX) * 1000;
}
