/* rrl.c - response-rate limiting: answers to an address that did not ask make others' weapons. Not in CoreDNS itself; settings as
 * its external plug-in rrl has them, what is counted as in BIND and Knot (Vixie, Schryver: DNS RRL, ISC-TN-2012-1).
 */
#include "roles/dns/plugin/buckets.h"
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#include "base/map.h"

#define WINDOW_S 15
#define WINDOW_S_MAX 3600
#define TABLE_DEFAULT 100000
#define SLIP_DEFAULT 2 /* BIND's: every second one over the rate is answered so that an honest asker comes by TCP */
#define SLIP_MAX 1000

enum rrl_kind { RRL_RESPONSE, RRL_NODATA, RRL_NXDOMAIN, RRL_REFERRAL, RRL_ERROR, RRL_KINDS };
static const char *const kinds[RRL_KINDS] = { "responses-per-second", "nodata-per-second", "nxdomains-per-second", "referrals-per-second",
					      "errors-per-second" };

struct rrl {
	uint64_t per_second[RRL_KINDS]; /* 0: without a limit */
	bool given[RRL_KINDS];
	struct bucket_rate rates[RRL_KINDS];
	uint64_t window_s, prefix4, prefix6, slip, table;
	bool report_only;
	struct net_set exempt;
};
struct rrl_run {
	struct buckets *buckets;
	unsigned over; /* atomic: which one slips */
	struct metric *exceeded;
};

/* ---- settings ---- */

static void rrl_free(void *settings)
{
	struct rrl *l = settings;

	if (l)
		net_set_done(&l->exempt);
	free(l);
}

static int read_number(uint64_t *ret, const struct corefile_line *line, uint64_t min, uint64_t max, struct err *e)
{
	if (line->n != 2 || !directive_number(line->words[1], min, max, ret))
		return directive_error(e, line, "rrl", "%s is a number, %llu to %llu", line->words[0], (unsigned long long)min,
				       (unsigned long long)max);
	return 0;
}

static int read_line(struct rrl *l, const struct corefile_line *line, struct err *e)
{
	const char *name = line->words[0];

	for (int i = 0; i < RRL_KINDS; i++)
		if (strcmp(name, kinds[i]) == 0) {
			l->given[i] = true;
			return read_number(&l->per_second[i], line, 0, BUCKETS_RATE_MAX, e);
		}
	if (strcmp(name, "window") == 0)
		return read_number(&l->window_s, line, 1, WINDOW_S_MAX, e);
	if (strcmp(name, "ipv4-prefix-length") == 0)
		return read_number(&l->prefix4, line, 1, 32, e);
	if (strcmp(name, "ipv6-prefix-length") == 0)
		return read_number(&l->prefix6, line, 1, 128, e);
	if (strcmp(name, "slip-ratio") == 0)
		return read_number(&l->slip, line, 0, SLIP_MAX, e);
	if (strcmp(name, "max-table-size") == 0)
		return read_number(&l->table, line, 64, BUCKETS_MAX, e);
	if (strcmp(name, "report-only") == 0) {
		l->report_only = true;
		return 0;
	}
	if (strcmp(name, "requests-per-second") == 0)
		return directive_error(e, line, "rrl", "requests-per-second is what the plug-in ratelimit is for");
	for (size_t i = 1; i < line->n; i++)
		if (!net_set_add(&l->exempt, line->words[i]))
			return directive_error(e, line, "rrl", "\"%s\" is not a prefix as 10.0.0.0/8", line->words[i]);
	return 0;
}

static int rrl_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct rrl *l = xcalloc(1, sizeof(*l));

	(void)scope;
	*settings = l;
	*l = (struct rrl){ .window_s = WINDOW_S, .prefix4 = 24, .prefix6 = 56, .slip = SLIP_DEFAULT, .table = TABLE_DEFAULT };
	if (d->head.n > 1)
		return directive_error(e, &d->head, "rrl", "takes no zones: it is for its whole block");
	for (size_t i = 0; i < d->n_body; i++)
		if (read_line(l, &d->body[i], e))
			return -1;
	if (!l->per_second[RRL_RESPONSE])
		return directive_error(e, &d->head, "rrl", "needs responses-per-second, at least 1");
	for (int i = 0; i < RRL_KINDS; i++) {
		if (!l->given[i])
			l->per_second[i] = l->per_second[RRL_RESPONSE];
		l->rates[i] = bucket_rate(l->per_second[i], l->per_second[i], l->window_s * 1000000);
	}
	return 0;
}

static int rrl_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	const struct rrl *l = i->settings;
	struct rrl_run *run = xcalloc(1, sizeof(*run));

	(void)e;
	i->started = run;
	run->buckets = buckets_new(l->table);
	run->exceeded = plugin_counter(s, i, "coredns_rrl_responses_exceeded_total", "Counter of responses exceeding QPS limit.", "");
	return 0;
}

static void rrl_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct rrl_run *run = i->started;

	(void)s;
	if (run)
		buckets_free(run->buckets);
	free(run);
}

/* ---- answers ---- */

static unsigned count_at(const uint8_t *p, int at)
{
	return (unsigned)(p[at] << 8 | p[at + 1]);
}

static enum rrl_kind kind_of(const uint8_t *p)
{
	const unsigned rcode = p[3] & DNS_FLAGS_RCODE;

	if (rcode == DNS_NXDOMAIN)
		return RRL_NXDOMAIN;
	if (rcode != DNS_NOERROR)
		return RRL_ERROR;
	if (count_at(p, 6))
		return RRL_RESPONSE;
	/* A referral says whom to ask and is not our own word. */
	return count_at(p, 8) && !(count_at(p, 2) & DNS_FLAG_AA) && count_at(p, 8) > 1 ? RRL_REFERRAL : RRL_NODATA;
}

/* Answers count by name and type; denials and errors together, as a flood of them has a name of its own for each. */
static uint64_t account(const struct rrl *l, const struct dns_query *q, const uint8_t client[16], enum rrl_kind kind)
{
	uint8_t key[16 + 3 + DNS_NAME_BYTES_MAX];
	size_t len = 19;

	memcpy(key, client, 16);
	net_ip_mask(key, net_ip_is_4(key) ? 96 + (unsigned)l->prefix4 : (unsigned)l->prefix6);
	key[16] = (uint8_t)kind;
	key[17] = kind == RRL_RESPONSE ? (uint8_t)(q->type >> 8) : 0;
	key[18] = kind == RRL_RESPONSE ? (uint8_t)q->type : 0;
	if (kind == RRL_RESPONSE || kind == RRL_REFERRAL) {
		memcpy(key + len, q->name.wire, q->name.len);
		len += q->name.len;
	}
	return hash_keyed(key, len);
}

static enum plugin_verdict rrl_leave(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c,
				     const struct dns_query *q, struct str answer, struct plugin_refusal *ret)
{
	const struct rrl *l = i->settings;
	struct rrl_run *run = i->started;
	uint8_t ip[16];

	/* Nobody comes by TCP, or with a good cookie, under another's address. */
	if (c->proto != DNS_UDP || q->cookie || answer.len < DNS_HEADER_BYTES)
		return PLUGIN_NEXT;
	enum rrl_kind kind = kind_of((const uint8_t *)answer.ptr);
	if (!l->per_second[kind])
		return PLUGIN_NEXT;
	net_ip(&c->addr, ip);
	if (l->exempt.n && net_set_has(&l->exempt, ip))
		return PLUGIN_NEXT;
	if (buckets_take(run->buckets, account(l, q, ip, kind), loop_now_us(w->loop), &l->rates[kind]))
		return PLUGIN_NEXT;
	plugin_count(run->exceeded, w);
	if (l->report_only)
		return PLUGIN_NEXT;
	unsigned n = __atomic_add_fetch(&run->over, 1, __ATOMIC_RELAXED);
	if (!l->slip || n % l->slip)
		return PLUGIN_DROP;
	ret->truncate = true;
	return PLUGIN_ANSWERED;
}

static const struct plugin_property properties[] = {
	{ "responses-per-second", "N", "answers about one name and type to one network; has to be given" },
	{ "nodata-per-second", "N", "answers without records to one network; as responses unless given, 0: no limit" },
	{ "nxdomains-per-second", "N", "denials to one network, likewise" },
	{ "referrals-per-second", "N", "referrals to one network, likewise" },
	{ "errors-per-second", "N", "errors to one network, likewise" },
	{ "window", "SECONDS", "how long who goes on above the limit has to be quiet at the most; 15 unless given" },
	{ "ipv4-prefix-length", "BITS", "what a network is; 24 unless given" },
	{ "ipv6-prefix-length", "BITS", "what a network is; 56 unless given" },
	{ "slip-ratio", "N", "of those above the limit every N-th is answered empty, so that an honest asker comes by TCP; 2 unless given, "
			     "0: none" },
	{ "max-table-size", "N", "accounts at once, 8 bytes each; 100000 unless given" },
	{ "report-only", "", "only counts" },
	{ "exempt", "PREFIX…", "addresses without a limit" },
	{ "requests-per-second", "N", "refused: that is the plug-in ratelimit" },
	{ NULL },
};
const struct plugin plugin_rrl = {
	.name = "rrl",
	.doc = "limits equal answers to one network, so that false sender addresses make no flood. Over TCP, and with a good cookie, nothing is "
	       "limited. Settings as CoreDNS' external plug-in rrl",
	.properties = properties,
	.once = true,
	.parse = rrl_parse,
	.free_settings = rrl_free,
	.start = rrl_start,
	.stop = rrl_stop,
	.leave = rrl_leave,
};
