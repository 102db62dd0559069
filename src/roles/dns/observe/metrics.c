/* Counting questions: what a worker does for each of them. */
#include "roles/dns/observe/metrics_int.h"

#include <stdio.h>

/* prometheus.ExponentialBuckets would not do: CoreDNS lists these itself. */
const uint32_t metrics_size_bounds[SIZES - 1] = { 0,	100,  200,  300,  400,	 511,	1023,
						  2047, 4095, 8291, 16000, 32000, 48000, 64000 };

const char *const metrics_type_names[TYPES] = {
	"other", "A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV", "DS", "RRSIG", "NSEC", "DNSKEY", "NSEC3", "SVCB", "HTTPS",
	"IXFR", "AXFR", "ANY",
};
static const uint8_t type_index[256] = {
	[1] = 1,   [2] = 2,   [5] = 3,	 [6] = 4,   [12] = 5,  [15] = 6,  [16] = 7,   [28] = 8,   [33] = 9,  [43] = 10,
	[46] = 11, [47] = 12, [48] = 13, [50] = 14, [64] = 15, [65] = 16, [251] = 17, [252] = 18, [255] = 19,
};

static unsigned index_of_type(uint16_t type)
{
	return type < ARRAY_LEN(type_index) ? type_index[type] : 0;
}

static const char *const rcode_names[RCODES] = {
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"DSOTYPENI", [16] = "BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE", "other",
};

const char *metrics_rcode_name(unsigned rcode, char out[16])
{
	rcode = MIN(rcode, RCODES - 1u);
	if (rcode_names[rcode])
		return rcode_names[rcode];
	snprintf(out, 16, "RCODE%u", rcode);
	return out;
}

unsigned metrics_size_bucket(size_t bytes)
{
	unsigned i = 5;

	if (bytes <= 400)
		return (unsigned)(bytes + 99) / 100;
	while (i < SIZES - 1 && bytes > metrics_size_bounds[i])
		i++;
	return i;
}

/* Bounds are 250 µs, doubled each time. */
unsigned metrics_duration_bucket(uint64_t us)
{
	if (us <= 250)
		return 0;
	return (unsigned)MIN(64 - __builtin_clzll((us - 1) / 250), DURATIONS - 1);
}

/* ---- who answered ---- */
enum { ROW_NOBODY, ROW_ZONE, ROW_CACHE, ROW_UPSTREAM, ROW_HOSTS, ROW_TEMPLATE };
static const char *const fixed_rows[ROWS_FIXED] = { "", "kubernetes", "cache", "forward", "hosts", "template" };
static const uint8_t row_of_source[FROM_PLUGIN + 1] = {
	[FROM_NOBODY] = ROW_NOBODY, [FROM_ZONE] = ROW_ZONE,	    [FROM_CACHE] = ROW_CACHE, [FROM_CACHE_STALE] = ROW_CACHE,
	[FROM_UPSTREAM] = ROW_UPSTREAM, [FROM_HOSTS] = ROW_HOSTS, [FROM_TEMPLATE] = ROW_TEMPLATE,
};

const char *metrics_row_name(const struct dns_metrics *m, unsigned row)
{
	(void)m;
	return row < ROWS_FIXED ? fixed_rows[row] : dns_plugins[row - ROWS_FIXED]->name;
}

/* One row for each name, however it is told. */
static void rows_init(struct dns_metrics *m)
{
	for (unsigned i = 0; dns_plugins[i] && i < ROWS_MAX - ROWS_FIXED; i++) {
		m->row_of_plugin[i] = (uint8_t)(ROWS_FIXED + i);
		for (unsigned f = 0; f < ROWS_FIXED; f++)
			if (c_eq(fixed_rows[f], dns_plugins[i]->name))
				m->row_of_plugin[i] = (uint8_t)f;
	}
}

static unsigned row_of(const struct dns_metrics *m, const struct metrics_question *q)
{
	if (q->source != FROM_PLUGIN)
		return row_of_source[q->source];
	for (unsigned i = 0; q->plugin && dns_plugins[i] && i < ROWS_MAX - ROWS_FIXED; i++)
		if (dns_plugins[i] == q->plugin->plugin)
			return m->row_of_plugin[i];
	return ROW_NOBODY;
}

static void count_answer(struct metrics_cell *c, unsigned row, enum dns_rcode rcode)
{
	if (!c->rows[row])
		__atomic_store_n(&c->rows[row], xcalloc(RCODES, sizeof(uint64_t)), __ATOMIC_RELEASE);
	relaxed_add(&c->rows[row][MIN((unsigned)rcode, RCODES - 1u)], 1);
}

static size_t zone_of(const struct metrics_question *q)
{
	size_t best = 0, len = 0;

	if (q->block->n_zones < 2 || !q->name)
		return 0;
	for (size_t i = 0; i < q->block->n_zones; i++)
		if (q->block->zones[i].len > len && dns_name_under(q->name, &q->block->zones[i])) {
			best = i;
			len = q->block->zones[i].len;
		}
	return best;
}

void dns_metrics_count(struct metrics_shard_dns *s, const struct metrics_question *q)
{
	struct metrics_cell **cells = __atomic_load_n(&s->cells, __ATOMIC_ACQUIRE);
	struct metrics_cell *c = cells[q->block && q->block->metrics_id ? q->block->metrics_id + zone_of(q) : 0];
	unsigned tcp = q->proto != DNS_UDP;

	relaxed_add(&c->requests[tcp][q->ipv6][index_of_type(q->type)], 1);
	relaxed_add(&c->durations[metrics_duration_bucket(q->duration_us)], 1);
	relaxed_add(&c->duration_us, q->duration_us);
	relaxed_add(&c->in[tcp][metrics_size_bucket(q->question_bytes)], 1);
	relaxed_add(&c->in_bytes[tcp], q->question_bytes);
	relaxed_add(&c->out[tcp][metrics_size_bucket(q->answer_bytes)], 1);
	relaxed_add(&c->out_bytes[tcp], q->answer_bytes);
	relaxed_add(&c->source[q->source], 1);
	if (q->dnssec_ok)
		relaxed_add(&c->dnssec_ok, 1);
	count_answer(c, row_of(s->of, q), q->rcode);
}

/* ---- places ---- */
static uint16_t place(struct dns_metrics *m, const char *server, const char *zone)
{
	for (size_t i = 0; i < m->n_places; i++)
		if (c_eq(m->places[i].server, server) && c_eq(m->places[i].zone, zone))
			return (uint16_t)i;
	if (m->n_places == PLACES_MAX - 1) /* the last one is for all others */
		server = "", zone = "other";
	if (m->n_places == PLACES_MAX)
		return PLACES_MAX - 1;
	for (unsigned w = 0; w < m->n_workers; w++)
		m->shards[w]->by_place[m->n_places] = xcalloc(1, sizeof(struct metrics_cell));
	m->places[m->n_places] = (struct metrics_place){ xstrdup(server), xstrdup(zone) };
	return (uint16_t)m->n_places++;
}

/* Workers may be reading the old arrays: these stay until the end, together not larger than the new one. */
static void runs_grow(struct dns_metrics *m, size_t want)
{
	size_t cap = MAX(m->cap_runs * 2, 64u);

	while (cap < want)
		cap *= 2;
	m->runs = xrealloc(m->runs, cap * sizeof(*m->runs));
	m->cap_runs = cap;
	for (unsigned w = 0; w < m->n_workers; w++) {
		struct metrics_shard_dns *s = m->shards[w];
		struct metrics_cell **cells = xcalloc(cap, sizeof(*cells));
		if (s->cells) {
			memcpy(cells, s->cells, m->n_runs * sizeof(*cells));
			m->old_cells = xrealloc(m->old_cells, (m->n_old_cells + 1) * sizeof(*m->old_cells));
			m->old_cells[m->n_old_cells++] = s->cells;
		}
		__atomic_store_n(&s->cells, cells, __ATOMIC_RELEASE);
	}
}

/* Where these places stand one behind the other; added when they do not yet. */
static unsigned run_of(struct dns_metrics *m, const uint16_t *places, size_t n)
{
	for (size_t i = 1; i + n <= m->n_runs; i++)
		if (memcmp(&m->runs[i], places, n * sizeof(*places)) == 0)
			return (unsigned)i;
	if (m->n_runs + n > RUNS_MAX)
		return 0;
	if (m->n_runs + n > m->cap_runs)
		runs_grow(m, m->n_runs + n);
	for (size_t i = 0; i < n; i++) {
		m->runs[m->n_runs + i] = places[i];
		for (unsigned w = 0; w < m->n_workers; w++)
			m->shards[w]->cells[m->n_runs + i] = m->shards[w]->by_place[places[i]];
	}
	m->n_runs += n;
	return (unsigned)(m->n_runs - n);
}

void dns_metrics_config(struct dns_metrics *m, struct dns_config *c)
{
	for (size_t i = 0; i < c->n_blocks; i++) {
		struct dns_block *b = &c->blocks[i];
		cleanup(freep) uint16_t *places = xcalloc(b->n_zones + 1, sizeof(*places));
		for (size_t z = 0; z < b->n_zones; z++) {
			char text[DNS_NAME_TEXT_BYTES + 1];
			dns_name_text(&b->zones[z], text);
			if (b->zones[z].labels && text[0] && text[strlen(text) - 1] != '.')
				strcat(text, ".");
			places[z] = place(m, b->server, text[0] ? text : ".");
		}
		b->metrics_id = b->n_zones ? run_of(m, places, b->n_zones) : 0;
	}
}

/* ---- life ---- */
struct dns_metrics *dns_metrics_new(unsigned n_workers)
{
	struct dns_metrics *m = xcalloc(1, sizeof(*m));

	m->n_workers = n_workers;
	m->shards = xcalloc(n_workers + 1, sizeof(struct metrics_shard_dns *));
	for (unsigned i = 0; i < n_workers; i++) {
		m->shards[i] = xcalloc(1, sizeof(struct metrics_shard_dns));
		m->shards[i]->of = m;
	}
	rows_init(m);
	metrics_series_init(m);
	/* What comes to no block, or to one whose configuration was not told, has the first place. */
	uint16_t dropped = place(m, "dns://:53", "dropped");
	run_of(m, &dropped, 1);
	return m;
}

static void shard_free(struct metrics_shard_dns *s, size_t n_places)
{
	for (size_t p = 0; p < n_places; p++) {
		for (unsigned r = 0; r < ROWS_MAX; r++)
			free(s->by_place[p]->rows[r]);
		free(s->by_place[p]);
	}
	free(s->cells);
	free(s);
}

void dns_metrics_free(struct dns_metrics *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n_workers; i++)
		shard_free(m->shards[i], m->n_places);
	for (size_t i = 0; i < m->n_old_cells; i++)
		free(m->old_cells[i]);
	for (size_t i = 0; i < m->n_places; i++) {
		free(m->places[i].server);
		free(m->places[i].zone);
	}
	metrics_series_done(m);
	free(m->old_cells);
	free(m->runs);
	free(m->shards);
	free(m);
}

struct metrics_shard_dns *dns_metrics_shard(struct dns_metrics *m, unsigned worker)
{
	assert(worker < m->n_workers);
	return m->shards[worker];
}

/* ---- all together ---- */
static void totals_add(struct dns_totals *t, const struct metrics_cell *c)
{
	for (unsigned tcp = 0; tcp < 2; tcp++)
		for (unsigned i = 0; i < SIZES; i++)
			*(tcp ? &t->tcp : &t->udp) += relaxed_load(&c->in[tcp][i]);
	for (unsigned r = 0; r < ROWS_MAX; r++) {
		const uint64_t *row = __atomic_load_n(&c->rows[r], __ATOMIC_ACQUIRE);
		for (unsigned i = 0; row && i < ARRAY_LEN(t->rcode); i++)
			t->rcode[i] += relaxed_load(&row[i]);
	}
	for (unsigned i = 0; i <= FROM_PLUGIN; i++)
		t->by_source[i] += relaxed_load(&c->source[i]);
	t->duration_us += relaxed_load(&c->duration_us);
}

void dns_metrics_totals(const struct dns_metrics *m, struct dns_totals *ret)
{
	*ret = (struct dns_totals){ 0 };
	for (unsigned w = 0; w < m->n_workers; w++)
		for (size_t p = 0; p < m->n_places; p++)
			totals_add(ret, m->shards[w]->by_place[p]);
	ret->questions = ret->udp + ret->tcp;
}
