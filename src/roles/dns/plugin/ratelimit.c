/* ratelimit.c - how many questions a second an address may ask. Not in CoreDNS. */
#include "roles/dns/plugin/buckets.h"
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#include "base/map.h"

#define PREFIX4 32
#define PREFIX6 56	  /* what a customer has at least: RFC 6177 */
#define TABLE_DEFAULT 16384 /* addresses at once, 128 KiB */

struct ratelimit {
	struct bucket_rate rate;
	unsigned prefix4, prefix6;
	struct plugin_refusal refusal;
	bool drop, tcp_too;
	struct net_set exempt;
	size_t table;
};
struct ratelimit_run {
	struct buckets *buckets;
	struct metric *limited;
};

/* ---- settings ---- */

static void ratelimit_free(void *settings)
{
	struct ratelimit *l = settings;

	if (l)
		net_set_done(&l->exempt);
	free(l);
}

static int read_action(struct ratelimit *l, const struct corefile_line *line, struct err *e)
{
	const char *word = line->n == 2 ? line->words[1] : "";

	l->drop = strcmp(word, "drop") == 0;
	l->refusal = (struct plugin_refusal){ .rcode = DNS_REFUSED };
	if (strcmp(word, "truncate") == 0)
		l->refusal = (struct plugin_refusal){ .rcode = DNS_NOERROR, .truncate = true };
	else if (!l->drop && strcmp(word, "refuse") != 0)
		return directive_error(e, line, "ratelimit", "action is drop, refuse or truncate");
	return 0;
}

static int read_line(struct ratelimit *l, uint64_t *burst, const struct corefile_line *line, struct err *e)
{
	static const struct {
		const char *name;
		uint64_t min, max;
	} numbers[] = { { "burst", 1, BUCKETS_RATE_MAX }, { "prefix4", 1, 32 }, { "prefix6", 1, 128 }, { "table", 64, BUCKETS_MAX } };
	const char *name = line->words[0];
	uint64_t v;

	if (strcmp(name, "action") == 0)
		return read_action(l, line, e);
	if (strcmp(name, "exempt") == 0) {
		for (size_t i = 1; i < line->n; i++)
			if (!net_set_add(&l->exempt, line->words[i]))
				return directive_error(e, line, "ratelimit", "\"%s\" is not a prefix as 10.0.0.0/8", line->words[i]);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (strcmp(name, numbers[i].name) != 0)
			continue;
		if (line->n != 2 || !directive_number(line->words[1], numbers[i].min, numbers[i].max, &v))
			return directive_error(e, line, "ratelimit", "%s is a number, %llu to %llu", name,
					       (unsigned long long)numbers[i].min, (unsigned long long)numbers[i].max);
		if (i == 0)
			*burst = v;
		else if (i == 3)
			l->table = v;
		else
			*(i == 1 ? &l->prefix4 : &l->prefix6) = (unsigned)v;
	}
	return 0;
}

static int ratelimit_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct ratelimit *l = xcalloc(1, sizeof(*l));
	uint64_t per_second, burst;

	(void)scope;
	*settings = l;
	*l = (struct ratelimit){ .prefix4 = PREFIX4, .prefix6 = PREFIX6, .drop = true, .table = TABLE_DEFAULT };
	if (d->head.n != 2 || !directive_number(d->head.words[1], 1, BUCKETS_RATE_MAX, &per_second))
		return directive_error(e, &d->head, "ratelimit", "is followed by the questions a second that an address may ask, 1 to %d",
				       BUCKETS_RATE_MAX);
	burst = per_second;
	for (size_t i = 0; i < d->n_body; i++)
		if (read_line(l, &burst, &d->body[i], e))
			return -1;
	l->rate = bucket_rate(per_second, burst, 0);
	return 0;
}

static int ratelimit_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	const struct ratelimit *l = i->settings;
	struct ratelimit_run *run = xcalloc(1, sizeof(*run));

	(void)e;
	i->started = run;
	run->buckets = buckets_new(l->table);
	run->limited = plugin_counter(s, i, "portico_dns_ratelimited_requests_total",
				      "Counter of DNS requests that were over their address' rate.", "");
	return 0;
}

static void ratelimit_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct ratelimit_run *run = i->started;

	(void)s;
	if (run)
		buckets_free(run->buckets);
	free(run);
}

/* ---- questions ---- */

static enum plugin_verdict ratelimit_guard(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c,
					   struct dns_query *q, struct dns_edns_reply *reply, struct plugin_refusal *ret)
{
	const struct ratelimit *l = i->settings;
	const struct ratelimit_run *run = i->started;
	uint8_t ip[16];

	(void)q;
	(void)reply;
	net_ip(&c->addr, ip);
	if (l->exempt.n && net_set_has(&l->exempt, ip))
		return PLUGIN_NEXT;
	net_ip_mask(ip, net_ip_is_4(ip) ? 96 + l->prefix4 : l->prefix6);
	if (buckets_take(run->buckets, hash_keyed(ip, sizeof(ip)), loop_now_us(w->loop), &l->rate))
		return PLUGIN_NEXT;
	plugin_count(run->limited, w);
	*ret = l->refusal;
	/* Over TCP there is no other way left to send an asker to. */
	if (ret->truncate && c->proto != DNS_UDP)
		*ret = (struct plugin_refusal){ .rcode = DNS_REFUSED };
	return l->drop ? PLUGIN_DROP : PLUGIN_ANSWERED;
}

static const struct plugin_property properties[] = {
	{ "burst", "N", "questions that may come at once after a pause; a second's worth unless given" },
	{ "action", "drop|refuse|truncate", "what becomes of those above: nothing (unless given), REFUSED, or an empty answer that sends an "
					    "asker to TCP, which nobody comes by under a false address" },
	{ "prefix4", "BITS", "IPv4 addresses that count as one; 32 unless given" },
	{ "prefix6", "BITS", "IPv6 addresses that count as one; 56 unless given" },
	{ "exempt", "PREFIX…", "addresses without a limit" },
	{ "table", "N", "addresses that are remembered at once, 8 bytes each; 16384 unless given" },
	{ NULL },
};
const struct plugin plugin_ratelimit = {
	.name = "ratelimit",
	.args = "PER-SECOND",
	.doc = "how many questions a second an address may ask of this block, all workers together. Not in CoreDNS",
	.properties = properties,
	.once = true,
	.parse = ratelimit_parse,
	.free_settings = ratelimit_free,
	.start = ratelimit_start,
	.stop = ratelimit_stop,
	.guard = ratelimit_guard,
};
