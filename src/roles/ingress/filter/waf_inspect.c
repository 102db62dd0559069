/* One request against the rules. */
#include "roles/ingress/filter/waf_int.h"
#include "roles/ingress/filter/waf_text.h"

#include <time.h>

/* Reading the clock is a system call: short texts are charged by the piece. */
#define SHORT_BYTES 256
#define SHORT_NS 500
#define STACK_VALUE_BYTES 2048 /* longer values are rare, and get memory of their own */

#define PLAIN_MEANS_NOTHING (WAF_INPUT | WAF_ON(WAF_REFERER))

static struct waf_counts counts;

const struct waf_counts *waf_counts(void)
{
	return &counts;
}

void waf_count(bool refused)
{
	__atomic_fetch_add(refused ? &counts.refused : &counts.detected, 1, __ATOMIC_RELAXED);
}

void waf_result_init(struct waf_result *r, unsigned paranoia)
{
	*r = (struct waf_result){ .paranoia = MIN(MAX(paranoia, 1u), 4u) };
}

static void rule_matched(struct waf_result *r, size_t i)
{
	if (waf_set_has(&r->matched, i) || waf_set_has(&r->excluded, i))
		return;
	waf_set_add(&r->matched, i);
	r->score += waf_rules[i].severity;
	r->done |= r->first_only && r->score >= WAF_THRESHOLD;
	__atomic_fetch_add(&counts.rules[i], 1, __ATOMIC_RELAXED);
}

void waf_exclude(struct waf_result *r, const unsigned *ids, size_t n)
{
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < n_waf_rules; i++)
			if (waf_rules[i].id == ids[k])
				waf_set_add(&r->excluded, i);
}

void waf_fact_found(struct waf_result *r, enum waf_fact f)
{
	for (size_t i = 0; i < n_waf_rules; i++)
		if (waf_rules[i].fact == f && waf_rules[i].paranoia <= r->paranoia)
			rule_matched(r, i);
}

/* One value while it is looked at. */
struct looked_at {
	struct waf_result *r;
	const struct waf_engine *e;
	const struct waf_set *wanted;
	struct str header;
};

/* Time that this thread has really computed: a busy machine must not make requests look dear. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool matches(const struct looked_at *l, const struct regex *p, struct str text)
{
	enum regex_result result = pattern_try(p, text, NULL);

	l->r->undecided |= result == REGEX_LIMIT;
	return result == REGEX_YES;
}

/* Expressions that begin anywhere may cost their length times their longest repetition: in pieces they can be given up. */
static bool match_in_pieces(const struct looked_at *l, const struct regex *p, struct str text, uint64_t until_ns)
{
	while (text.len > WAF_PIECE_BYTES + WAF_OVERLAP_BYTES) {
		if (matches(l, p, (struct str){ text.ptr, WAF_PIECE_BYTES + WAF_OVERLAP_BYTES }))
			return true;
		if (cpu_ns() > until_ns)
			return false;
		text = (struct str){ text.ptr + WAF_PIECE_BYTES, text.len - WAF_PIECE_BYTES };
	}
	return matches(l, p, text);
}

static bool rule_fits(const struct looked_at *l, size_t i, struct str text, uint64_t until_ns)
{
	const struct waf_rule *rule = &waf_rules[i];
	if (rule->header != NULL && !str_ieq(l->header, str_of(rule->header)))
		return false;
	if (rule->regex == NULL)
		return true;
	if (rule->regex[0] == '^')
		return matches(l, l->e->patterns[i], text);
	return match_in_pieces(l, l->e->patterns[i], text, until_ns);
}

static void compare(const struct looked_at *l, const struct waf_set *hits, enum waf_form form, struct str text)
{
	struct waf_set s = waf_set_and(hits, &l->e->form[form]);
	struct waf_result *r = l->r;
	if (waf_set_empty(&s) || r->done)
		return;
	bool is_short = text.len <= SHORT_BYTES;
	uint64_t begun_ns = is_short ? 0 : cpu_ns(), until_ns = begun_ns + WAF_BUDGET_NS - r->spent_ns;
	for (size_t k = 0; k < WAF_SET_WORDS; k++)
		for (uint64_t left = s.word[k]; left != 0; left &= left - 1) {
			size_t i = 64 * k + (size_t)__builtin_ctzll(left);
			r->spent_ns += is_short ? SHORT_NS : 0;
			if (!r->done && !waf_set_has(&r->matched, i) && !waf_set_has(&r->excluded, i) && rule_fits(l, i, text, until_ns))
				rule_matched(r, i);
		}
	r->spent_ns += is_short ? 0 : cpu_ns() - begun_ns;
	if (r->spent_ns > WAF_BUDGET_NS || r->undecided) {
		r->done = true;
		waf_fact_found(r, WAF_TOO_DEAR);
	}
}

static void scan_and_compare(const struct looked_at *l, enum waf_form form, struct str text)
{
	struct waf_set found, hits;
	waf_scan(l->e, text, &found);
	hits = waf_set_and(&found, l->wanted);
	compare(l, &hits, form, text);
}

/* `room`: three times the value. */
static void look(const struct looked_at *l, struct str value, enum waf_decode how, char *room, unsigned *seen)
{
	struct waf_set found, hits;
	char *second = room + value.len, *third = second + value.len;
	struct str lines = { room, waf_text_lines(value, how == WAF_PLUS_IS_BLANK, room, seen) };
	struct str text = { second, waf_text_compress(lines, second) };
	waf_scan(l->e, text, &found);
	hits = waf_set_and(&found, l->wanted);
	compare(l, &hits, WAF_TEXT, text);
	if (*seen & WAF_SEEN_LINE_END)
		scan_and_compare(l, WAF_LINES, lines);
	if (*seen & WAF_SEEN_COMMENT)
		scan_and_compare(l, WAF_SQL, (struct str){ third, waf_text_sql(text, third) });
	else
		compare(l, &hits, WAF_SQL, text);
	if (*seen & (WAF_SEEN_QUOTING | WAF_SEEN_LINE_END))
		scan_and_compare(l, WAF_SHELL, (struct str){ third, waf_text_shell(lines, third) });
	else
		compare(l, &hits, WAF_SHELL, text);
}

static void facts_of(struct waf_result *r, enum waf_target t, unsigned seen)
{
	if (t > WAF_ARG_NAME)
		return;
	if (seen & WAF_SEEN_NUL)
		waf_fact_found(r, WAF_NUL);
	if (seen & WAF_SEEN_BAD_PERCENT && t == WAF_QUERY_ARG)
		waf_fact_found(r, WAF_BAD_PERCENT);
}

void waf_inspect(struct waf_result *r, enum waf_target t, struct str header, struct str value, enum waf_decode how)
{
	if (value.len == 0 || r->done || (PLAIN_MEANS_NOTHING & WAF_ON(t) && waf_is_plain(value)))
		return;
	const struct waf_engine *e = waf_engine();
	struct looked_at l = { r, e, &e->wanted[t][r->paranoia - 1], header };
	unsigned seen = 0;
	if (value.len <= STACK_VALUE_BYTES) {
		char room[3 * STACK_VALUE_BYTES];
		look(&l, value, how, room, &seen);
	} else {
		char *room = xmalloc(3 * value.len);
		look(&l, value, how, room, &seen);
		free(room);
	}
	if (seen & (WAF_SEEN_NUL | WAF_SEEN_BAD_PERCENT))
		facts_of(r, t, seen);
}

void waf_inspect_args(struct waf_result *r, enum waf_target values, struct str text)
{
	while (text.len > 0) {
		struct str value, arg = str_cut(text, '&', &text);
		struct str name = str_cut(arg, '=', &value);
		if (arg.len == 0)
			continue;
		if (++r->n_args > WAF_ARGS_MAX) {
			waf_fact_found(r, WAF_TOO_MANY_ARGS);
			return;
		}
		waf_inspect(r, WAF_ARG_NAME, STR_NONE, name, WAF_PLUS_IS_BLANK);
		waf_inspect(r, values, STR_NONE, value, WAF_PLUS_IS_BLANK);
	}
}

void waf_inspect_cookies(struct waf_result *r, struct str header)
{
	while (header.len > 0) {
		struct str value, pair = str_trim(str_cut(header, ';', &header));
		struct str name = str_cut(pair, '=', &value);
		waf_inspect(r, WAF_COOKIE, STR_NONE, name, WAF_AS_IS);
		waf_inspect(r, WAF_COOKIE, STR_NONE, value, WAF_AS_IS);
	}
}

size_t waf_matched(const struct waf_result *r, unsigned *ret_ids, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < n_waf_rules; i++)
		if (waf_set_has(&r->matched, i) && n++ < max)
			ret_ids[n - 1] = waf_rules[i].id;
	return n;
}
