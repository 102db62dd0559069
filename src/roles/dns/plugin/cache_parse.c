/* `cache` as CoreDNS writes it: plugin/cache/README.md of CoreDNS 1.15. */
#include "roles/dns/plugin/cache.h"

#define YEAR_MS (365ull * 24 * 3600 * 1000)
#define TTL_S_MAX INT32_MAX

static const char name[] = "cache";
static const char *const kinds[ANSWER_KINDS] = { "success", "denial" };

const struct plugin_property cache_properties[] = {
	{ "success", "CAPACITY [TTL] [MINTTL]", "answers kept (9984), their longest (3600) and shortest time in seconds (5; unless "
						"MINTTL is given, answers with a TTL of 0 are not kept)" },
	{ "denial", "CAPACITY [TTL] [MINTTL]", "the same for answers that there is no such name or record (9984, 1800, 5); those "
					       "without a SOA record are not kept (RFC 2308)" },
	{ "prefetch", "AMOUNT [DURATION] [PERCENTAGE%]", "an answer that was asked for AMOUNT times, less than DURATION apart (1m), "
							 "is asked for again when PERCENTAGE of its time is left (10%)" },
	{ "serve_stale", "[DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]",
	  "what expired less than DURATION (1h) ago is given out when no better answer comes within TIMEOUT (1.8s); with "
	  "`immediate` at once, and refreshed behind. TTL is what it carries (30s), RECHECK how long a failed refresh is not "
	  "repeated (30s). Without a mode: verify, as RFC 8767 has it (CoreDNS: immediate, TTL 0)" },
	{ "serve_stale_policy", "prefer_positive", "a denial does not replace an answer that can still be served stale" },
	{ "servfail", "DURATION", "how long SERVFAIL is kept (5s, 5m at most; 0: not)" },
	{ "disable", "success|denial [ZONES…]", "does not keep these, below ZONES (all)" },
	{ "keepttl", "", "answers carry the TTL that they were kept with, not what is left of it" },
	{ NULL },
};

struct reading {
	const struct directive *d;
	const struct corefile_line *line;
	struct cache_settings *c;
	bool stale, policy;
	struct err *e;
};

static int wrong(struct reading *r, const char *what)
{
	return directive_error(r->e, r->line, name, "%s %s", r->line->words[0], what);
}

/* ---- properties ---- */

static int read_kind(struct reading *r, enum answer_kind k)
{
	const struct corefile_line *l = r->line;
	uint64_t entries, ttl = r->c->ttl_max_s[k], min = r->c->ttl_min_s[k];

	if (l->n < 2 || l->n > 4 || !directive_number(l->words[1], 0, ANSWER_CACHE_ENTRIES_MAX, &entries) ||
	    (l->n > 2 && !directive_number(l->words[2], 1, TTL_S_MAX, &ttl)) ||
	    (l->n > 3 && !directive_number(l->words[3], 0, TTL_S_MAX, &min)))
		return wrong(r, "takes CAPACITY [TTL] [MINTTL], all of them whole numbers; the TTL is at least 1");
	r->c->o.entries[k] = MAX(entries, (uint64_t)1024); /* CoreDNS' least */
	r->c->ttl_max_s[k] = (uint32_t)ttl;
	r->c->ttl_min_s[k] = (uint32_t)min;
	r->c->ttl_min_given[k] = l->n > 3;
	return 0;
}

static int read_success(struct reading *r)
{
	return read_kind(r, ANSWER_SUCCESS);
}

static int read_denial(struct reading *r)
{
	return read_kind(r, ANSWER_DENIAL);
}

static bool percent(const char *word, unsigned *ret)
{
	struct str s = str_of(word);
	uint64_t n;

	if (!s.len || s.ptr[s.len - 1] != '%')
		return false;
	s.len--;
	if (!str_to_u64(s, 90, &n) || n < 10)
		return false;
	*ret = (unsigned)n;
	return true;
}

static int read_prefetch(struct reading *r)
{
	const struct corefile_line *l = r->line;
	struct answer_cache_options *o = &r->c->o;
	uint64_t amount;

	if (l->n < 2 || l->n > 4 || !directive_number(l->words[1], 0, UINT32_MAX, &amount) ||
	    (l->n > 2 && !directive_duration_ms(l->words[2], YEAR_MS, &o->prefetch_gap_ms)) ||
	    (l->n > 3 && !percent(l->words[3], &o->prefetch_percent)))
		return wrong(r, "takes AMOUNT [DURATION] [PERCENTAGE%], the percentage from 10% to 90%");
	o->prefetch_hits = (uint32_t)amount;
	return 0;
}

/* [TTL [RECHECK]] from the i-th word on. */
static int read_stale_times(struct reading *r, size_t i)
{
	const struct corefile_line *l = r->line;
	uint64_t ttl_ms = 1000 * CACHE_STALE_TTL_S;

	if (l->n > i + 2 || (l->n > i && (!directive_duration_ms(l->words[i], (uint64_t)TTL_S_MAX * 1000, &ttl_ms) || ttl_ms % 1000)) ||
	    (l->n > i + 1 && !directive_duration_ms(l->words[i + 1], CACHE_SERVFAIL_MAX_S * 1000, &r->c->stale_recheck_ms)))
		return wrong(r, "takes a TTL of whole seconds, and a RECHECK of 5m at most");
	r->c->o.stale_ttl = (uint32_t)(ttl_ms / 1000);
	return 0;
}

static int read_serve_stale(struct reading *r)
{
	const struct corefile_line *l = r->line;
	struct cache_settings *c = r->c;

	r->stale = true;
	c->o.stale_ms = CACHE_STALE_MS;
	if (l->n > 1 && !directive_duration_ms(l->words[1], YEAR_MS, &c->o.stale_ms))
		return wrong(r, "takes a duration first, like 1h");
	if (l->n <= 2)
		return 0;
	c->stale_first = strcasecmp(l->words[2], "immediate") == 0;
	if (c->stale_first)
		return read_stale_times(r, 3);
	if (strcasecmp(l->words[2], "verify") != 0)
		return wrong(r, "takes immediate or verify after its duration");
	if (l->n > 3 && !directive_duration_ms(l->words[3], 60000, &c->stale_wait_ms))
		return wrong(r, "verify takes a timeout of 1m at most");
	return read_stale_times(r, 4);
}

static int read_policy(struct reading *r)
{
	if (r->line->n != 2 || strcasecmp(r->line->words[1], "prefer_positive") != 0)
		return wrong(r, "takes prefer_positive");
	r->policy = r->c->o.prefer_positive = true;
	return 0;
}

static int read_servfail(struct reading *r)
{
	uint64_t ms;

	if (r->line->n != 2 || !directive_duration_ms(r->line->words[1], CACHE_SERVFAIL_MAX_S * 1000, &ms))
		return wrong(r, "takes one duration, 5m at most (RFC 2308, 7.1)");
	r->c->servfail_s = (uint32_t)((ms + 999) / 1000);
	return 0;
}

static int read_disable(struct reading *r)
{
	static const char *const root[] = { "." };
	const struct corefile_line *l = r->line;

	for (int k = 0; l->n > 1 && k < ANSWER_KINDS; k++)
		if (strcmp(l->words[1], kinds[k]) == 0)
			return zone_set_add(&r->c->except[k], l->n > 2 ? l->words + 2 : root, l->n > 2 ? l->n - 2 : 1, l, name, r->e);
	return wrong(r, "takes success or denial, and zones");
}

static int read_keepttl(struct reading *r)
{
	r->c->o.keep_ttl = true;
	return r->line->n == 1 ? 0 : wrong(r, "takes no argument");
}

static const struct {
	const char *name;
	int (*read)(struct reading *r);
} readers[] = {
	{ "success", read_success },
	{ "denial", read_denial },
	{ "prefetch", read_prefetch },
	{ "serve_stale", read_serve_stale },
	{ "serve_stale_policy", read_policy },
	{ "servfail", read_servfail },
	{ "disable", read_disable },
	{ "keepttl", read_keepttl },
};

static int read_property(struct reading *r)
{
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		if (strcmp(readers[i].name, r->line->words[0]) == 0)
			return readers[i].read(r);
	return directive_error(r->e, r->line, name, "unknown property '%.64s'", r->line->words[0]);
}

/* ---- directives ---- */

static struct cache_settings *settings_new(void)
{
	struct cache_settings *c = xcalloc(1, sizeof(*c));

	*c = (struct cache_settings){
		.o = { .entries = { ANSWER_CACHE_ENTRIES, ANSWER_CACHE_ENTRIES }, .stale_ttl = CACHE_STALE_TTL_S,
		       .prefetch_gap_ms = CACHE_PREFETCH_GAP_MS, .prefetch_percent = CACHE_PREFETCH_PERCENT },
		.ttl_max_s = { CACHE_TTL_MAX_S, CACHE_DENIAL_TTL_MAX_S },
		.ttl_min_s = { CACHE_TTL_MIN_S, CACHE_TTL_MIN_S },
		.servfail_s = CACHE_SERVFAIL_S,
		.stale_wait_ms = CACHE_STALE_WAIT_MS,
		.stale_recheck_ms = CACHE_STALE_RECHECK_MS,
	};
	return c;
}

/* [TTL] [ZONES…]: a number is the TTL. */
static int read_head(struct reading *r, const struct plugin_scope *scope)
{
	const struct corefile_line *h = &r->d->head;
	size_t zones = 1;
	uint64_t ttl;

	if (h->n > 1 && h->words[1][0] && strspn(h->words[1], "0123456789") == strlen(h->words[1])) {
		if (!directive_number(h->words[1], 1, TTL_S_MAX, &ttl))
			return directive_error(r->e, h, name, "the TTL is a number of seconds, at least 1");
		r->c->ttl_max_s[ANSWER_SUCCESS] = r->c->ttl_max_s[ANSWER_DENIAL] = (uint32_t)ttl;
		zones = 2;
	}
	return zone_set_parse(&r->c->zones, h->words + zones, h->n - zones, h, name, scope, r->e);
}

int cache_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct reading r = { .d = d, .line = &d->head, .e = e };

	*settings = r.c = settings_new();
	if (read_head(&r, scope) < 0)
		return -1;
	for (size_t i = 0; i < d->n_body; i++) {
		r.line = &d->body[i];
		if (read_property(&r) < 0)
			return -1;
	}
	if (r.policy && !r.stale)
		return directive_error(e, &d->head, name, "serve_stale_policy is of no use without serve_stale");
	return 0;
}

void cache_free(void *settings)
{
	struct cache_settings *c = settings;

	if (!c)
		return;
	zone_set_done(&c->zones);
	for (int k = 0; k < ANSWER_KINDS; k++)
		zone_set_done(&c->except[k]);
	free(c);
}
