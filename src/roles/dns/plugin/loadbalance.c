/* loadbalance.c - the addresses of an answer in another order each time. CoreDNS' plugin/loadbalance, round_robin.
 *
 * The cluster's own answers come rotated already (zone/), so that they need not pass here.
 */
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#define SHUFFLED_MAX 512 /* records of one kind: more do not fit into 8 KiB, and those behind stay where they are */

struct loadbalance {
	struct net_set prefer;
};

static void loadbalance_free(void *settings)
{
	struct loadbalance *l = settings;

	if (l)
		net_set_done(&l->prefer);
	free(l);
}

static int loadbalance_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct loadbalance *l = xcalloc(1, sizeof(*l));

	(void)scope;
	*settings = l;
	if (d->head.n > 2 || (d->head.n == 2 && strcmp(d->head.words[1], "round_robin") != 0))
		return directive_error(e, &d->head, "loadbalance", "the policy \"%s\" is not there: round_robin is", d->head.words[1]);
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *line = &d->body[i];
		if (line->n < 2)
			return directive_error(e, line, "loadbalance", "prefer needs at least one prefix as 10.0.0.0/8");
		for (size_t k = 1; k < line->n; k++)
			if (!net_set_add(&l->prefer, line->words[k]))
				return directive_error(e, line, "loadbalance", "\"%s\" is not a prefix as 10.0.0.0/8", line->words[k]);
	}
	return 0;
}

/* ---- order ---- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Fisher-Yates. */
static void shuffle(uint16_t *order, size_t n, uint32_t seed)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = next_random(&seed) % i;
		uint16_t tmp = order[i - 1];
		order[i - 1] = order[k];
		order[k] = tmp;
	}
}

static size_t preference(const struct loadbalance *l, const uint8_t *ip, size_t size)
{
	uint8_t ip16[16] = { [10] = 0xff, [11] = 0xff };

	memcpy(ip16 + 16 - size, ip, size);
	for (size_t i = 0; i < l->prefer.n; i++)
		if (net_has(&l->prefer.nets[i], ip16))
			return i;
	return l->prefer.n;
}

/* Those in preferred prefixes first, otherwise as they are: insertion sort, which keeps the order of equals. */
static void preferred_first(const struct loadbalance *l, const uint8_t *ips, size_t size, uint16_t *order, size_t n)
{
	for (size_t i = 1; l->prefer.n && i < n; i++) {
		uint16_t at = order[i];
		size_t own = preference(l, ips + at * size, size), k = i;
		for (; k > 0 && preference(l, ips + order[k - 1] * size, size) > own; k--)
			order[k] = order[k - 1];
		order[k] = at;
	}
}

/* Records of a set have all but their data in common: only that changes places, and the message keeps its form. */
static void shuffle_set(struct request *r, const struct loadbalance *l, const struct dns_message *m, enum dns_section section,
			uint16_t type, uint32_t seed)
{
	const size_t size = type == DNS_A ? 4 : 16;
	uint8_t *bytes = r->answer.bytes, ips[SHUFFLED_MAX * 16];
	uint16_t at[SHUFFLED_MAX], order[SHUFFLED_MAX];
	struct dns_name owner;
	size_t n = 0, end;

	for (struct dns_record rr = dns_records(m); n < SHUFFLED_MAX && dns_record_next(m, &rr);) {
		struct dns_name name;
		if (rr.section != section || rr.type != type || !dns_name_read(m->bytes, rr.at, &name, &end))
			continue;
		if (n == 0)
			owner = name;
		if (name.len != owner.len || memcmp(name.wire, owner.wire, name.len) != 0)
			continue;
		memcpy(ips + n * size, bytes + rr.rdata_at, size);
		at[n] = (uint16_t)rr.rdata_at;
		order[n] = (uint16_t)n;
		n++;
	}
	shuffle(order, n, seed);
	preferred_first(l, ips, size, order, n);
	for (size_t i = 0; i < n; i++)
		memcpy(bytes + at[i], ips + order[i] * size, size);
}

/* Names of mail servers may be compressed with one another: the message is made anew. */
static void shuffle_mx(struct request *r, const struct dns_message *m, size_t n_mx, uint32_t seed)
{
	struct dns_record mx[SHUFFLED_MAX];
	uint16_t order[SHUFFLED_MAX];
	struct dns_writer w;
	size_t n = 0;

	if (n_mx > SHUFFLED_MAX)
		return;
	reply_start(r, &w);
	for (struct dns_record rr = dns_records(m); dns_record_next(m, &rr) && rr.section == DNS_ANSWER;) {
		if (rr.type == DNS_MX) {
			order[n] = (uint16_t)n;
			mx[n++] = rr;
		} else {
			dns_put_copy(&w, DNS_ANSWER, m, &rr);
		}
	}
	shuffle(order, n, seed);
	for (size_t i = 0; i < n; i++)
		dns_put_copy(&w, DNS_ANSWER, m, &mx[order[i]]);
	reply_copy(&w, m, false, true, true);
	if (!w.truncated)
		reply_finish_as(r, &w, m, r->source);
}

static enum plugin_verdict loadbalance_answer(struct request *r, struct plugin_instance *i)
{
	unsigned n[DNS_ADDITIONAL + 1][3] = { { 0 } }; /* A, AAAA, MX of each section */
	uint32_t seed = (r->worker->pick++ + 1) * 2654435761u;
	struct dns_message m;

	if (!reply_message(r, &m) || (m.flags & DNS_FLAGS_RCODE) != DNS_NOERROR)
		return PLUGIN_NEXT;
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		if (rr.type == DNS_A || rr.type == DNS_AAAA || rr.type == DNS_MX)
			n[rr.section][rr.type == DNS_A ? 0 : rr.type == DNS_AAAA ? 1 : 2]++;
	for (int s = DNS_ANSWER; s <= DNS_ADDITIONAL; s++) {
		if (n[s][0] > 1)
			shuffle_set(r, i->settings, &m, (enum dns_section)s, DNS_A, seed);
		if (n[s][1] > 1)
			shuffle_set(r, i->settings, &m, (enum dns_section)s, DNS_AAAA, seed);
	}
	if (n[DNS_ANSWER][2] > 1)
		shuffle_mx(r, &m, n[DNS_ANSWER][2], seed);
	return PLUGIN_NEXT;
}

static bool loadbalance_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct loadbalance *l = i->settings;

	(void)zone;
	return l->prefer.n != 0;
}

static const struct plugin_property properties[] = {
	{ "prefer", "PREFIX…", "addresses in these come first, in the order of the prefixes" },
	{ NULL },
};
const struct plugin plugin_loadbalance = {
	.name = "loadbalance",
	.args = "[round_robin]",
	.doc = "A, AAAA and MX records come in another order each time. What the kubernetes plug-in answers is rotated without it "
	       "as well. CoreDNS' policy weighted is not there",
	.properties = properties,
	.once = true,
	.parse = loadbalance_parse,
	.free_settings = loadbalance_free,
	.answer = loadbalance_answer,
	.touches = loadbalance_touches,
};
