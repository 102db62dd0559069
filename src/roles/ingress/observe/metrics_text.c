/* Exposition: the Prometheus text of all shards, in pieces. Families follow each other; within one, slot after slot. */
#include "roles/ingress/observe/metrics_int.h"

/* Of a histogram of exposition: where its buckets are in a cell, and which of them end at each `le`. */
struct le {
	const char *text;
	uint8_t upto; /* buckets [0, upto] of the cell are within */
};
static const struct le time_le[] = {
	{ "0.005", 0 }, { "0.01", 1 }, { "0.025", 2 }, { "0.05", 3 }, { "0.1", 4 }, { "0.25", 5 }, { "0.5", 6 }, { "1", 7 },
	{ "2.5", 8 }, { "5", 9 }, { "10", 10 }, { "+Inf", 11 }, { 0 },
};
static const struct le duration_le[] = {
	{ "0.005", 12 }, { "0.01", 14 }, { "0.025", 16 }, { "0.05", 18 }, { "0.1", 20 }, { "0.25", 22 }, { "0.5", 24 },
	{ "1", 26 }, { "2.5", 28 }, { "5", 30 }, { "10", 32 }, { "+Inf", 35 }, { 0 },
};
static const struct le route_le[] = {
	{ "0.0001", 2 }, { "0.00025", 4 }, { "0.0005", 6 }, { "0.001", 8 }, { "0.0025", 10 }, { "0.005", 12 }, { "0.01", 14 },
	{ "0.025", 16 }, { "0.05", 18 }, { "0.1", 20 }, { "0.25", 22 }, { "0.5", 24 }, { "1", 26 }, { "2.5", 28 }, { "5", 30 },
	{ "10", 32 }, { "30", 33 }, { "60", 34 }, { "+Inf", 35 }, { 0 },
};
static const struct le in_le[] = {
	{ "10", 0 }, { "20", 1 }, { "30", 2 }, { "40", 3 }, { "50", 4 }, { "60", 5 }, { "70", 6 }, { "80", 7 }, { "90", 8 },
	{ "100", 9 }, { "+Inf", 10 }, { 0 },
};
static const struct le out_le[] = {
	{ "10", 0 }, { "20", 1 }, { "30", 2 }, { "40", 3 }, { "50", 4 }, { "60", 5 }, { "70", 6 }, { "80", 7 }, { "90", 8 },
	{ "100", 9 }, { "+Inf", 15 }, { 0 },
};
static const struct le sent_le[] = {
	{ "10", 0 }, { "100", 9 }, { "1000", 10 }, { "10000", 11 }, { "100000", 12 }, { "1e+06", 13 }, { "1e+07", 14 },
	{ "+Inf", 15 }, { 0 },
};

static const struct family {
	const char *name, *help;
	const struct le *le; /* NULL: a counter, the number in all buckets */
	unsigned at, n;	     /* buckets of the cell */
	enum cell_sum sum;
	bool seconds;	     /* the sum is in microseconds */
	bool route;	     /* without status, method, canary */
} families[] = {
	{ "nginx_ingress_controller_requests", "Requests of clients, by location, status, method and canary.", NULL, AT_DURATION,
	  DURATION_BUCKETS, SUM_DURATION, false, false },
	{ "nginx_ingress_controller_request_duration_seconds", "From the request's first byte to the answer's last.", duration_le,
	  AT_DURATION, DURATION_BUCKETS, SUM_DURATION, true, false },
	{ "nginx_ingress_controller_response_duration_seconds", "From the choice of an endpoint to the end of its answer.",
	  time_le, AT_RESPONSE, TIME_BUCKETS, SUM_RESPONSE, true, false },
	{ "nginx_ingress_controller_header_duration_seconds", "From the choice of an endpoint to the head of its answer.",
	  time_le, AT_HEADER, TIME_BUCKETS, SUM_HEADER, true, false },
	{ "nginx_ingress_controller_connect_duration_seconds", "Time to connect to the endpoint; nothing on a kept connection.",
	  time_le, AT_CONNECT, TIME_BUCKETS, SUM_CONNECT, true, false },
	{ "nginx_ingress_controller_request_size", "Bytes of the request: line, headers and body.", in_le, AT_IN, IN_BUCKETS,
	  SUM_IN, false, false },
	{ "nginx_ingress_controller_response_size", "Bytes of the answer: line, headers and body.", out_le, AT_OUT, OUT_BUCKETS,
	  SUM_OUT, false, false },
	{ "nginx_ingress_controller_bytes_sent", "As response_size, with wider buckets.", sent_le, AT_OUT, OUT_BUCKETS, SUM_OUT,
	  false, false },
	{ "portico_route_duration_seconds", "As request_duration_seconds for a whole location, with finer buckets.", route_le,
	  AT_DURATION, DURATION_BUCKETS, SUM_DURATION, true, true },
};

struct metrics_text {
	struct metrics *m;
	char *exclude;	 /* NULL: nothing */
	unsigned stage;	 /* 0: what belongs to no location; 1, 2: certificates; then the families */
	uint32_t next;	 /* certificate or slot */
	bool headed;
};
#define STAGE_CERTS 1
#define STAGE_FAMILIES 3

struct metrics_text *metrics_text_new(struct metrics *m, const char *exclude)
{
	struct metrics_text *t = xcalloc(1, sizeof(*t));

	t->m = m;
	t->exclude = xstrdup(exclude);
	return t;
}

void metrics_text_free(struct metrics_text *t)
{
	free(t->exclude);
	free(t);
}

/* With or without ingress-nginx's prefix, as its --exclude-socket-metrics takes them. */
static bool excluded(const struct metrics_text *t, const char *name)
{
	static const struct str prefix = { "nginx_ingress_controller_", 25 };
	struct str full = str_of(name), rest = str_of(t->exclude);
	struct str bare = str_starts(full, prefix) ? (struct str){ full.ptr + prefix.len, full.len - prefix.len } : full;

	while (rest.ptr) {
		struct str one = str_trim(str_cut(rest, ',', &rest));
		if (str_eq(one, full) || str_eq(one, bare))
			return true;
	}
	return false;
}

void metrics_put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_put_pair(struct buf *out, const char *name, const char *value)
{
	buf_puts(out, name);
	buf_put_str(out, STR("=\""));
	metrics_label_escape(out, value);
	buf_putc(out, '"');
}

/* A million lines for 10,000 locations: no printf. */
static void put_u64(struct buf *out, uint64_t v, unsigned digits)
{
	char text[24], *p = text + sizeof(text);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v || (digits && p > text + sizeof(text) - digits));
	buf_put(out, p, (size_t)(text + sizeof(text) - p));
}

/* Microseconds as seconds, exactly. */
static void put_seconds(struct buf *out, uint64_t us)
{
	put_u64(out, us / 1000000, 0);
	buf_putc(out, '.');
	put_u64(out, us % 1000000, 6);
}

static void put_line(struct buf *out, const char *name, const char *suffix, struct str labels, const char *le)
{
	buf_puts(out, name);
	buf_puts(out, suffix);
	buf_putc(out, '{');
	buf_put_str(out, labels);
	if (le) {
		buf_put_str(out, STR(",le=\""));
		buf_puts(out, le);
		buf_putc(out, '"');
	}
	buf_put_str(out, STR("} "));
}

/* ---- locations ---- */
/* The cells of one slot with the same labels in all shards. */
struct cells {
	const struct metrics_cell **at;
	size_t n, cap;
};

static void cells_add(struct cells *cs, const struct metrics_cell *c)
{
	if (cs->n == cs->cap) {
		cs->cap = cs->cap ? cs->cap * 2 : 64;
		cs->at = xrealloc(cs->at, cs->cap * sizeof(struct metrics_cell *));
	}
	cs->at[cs->n++] = c;
}

static void put_labels(struct metrics_text *t, struct buf *out, uint32_t id, const struct metrics_cell *c)
{
	const char *l[SLOT_LABELS];

	metrics_slot_labels(t->m, id, l);
	buf_puts(out, t->m->labels);
	metrics_put_pair(out, ",host", l[LABEL_HOST][0] ? l[LABEL_HOST] : "_");
	metrics_put_pair(out, ",namespace", l[LABEL_NS]);
	metrics_put_pair(out, ",ingress", l[LABEL_INGRESS]);
	metrics_put_pair(out, ",service", l[LABEL_SERVICE]);
	metrics_put_pair(out, ",path", l[LABEL_PATH]);
	if (!c)
		return;
	metrics_put_pair(out, ",canary", c->canary ? c->canary : "");
	if (c->status == STATUS_OTHER)
		buf_printf(out, ",method=\"%s\",status=\"other\"", metrics_method_names[c->method]);
	else
		buf_printf(out, ",method=\"%s\",status=\"%u\"", metrics_method_names[c->method], c->status);
}

/* One series, or one histogram, of the sum of `n` cells. */
static void put_series(struct buf *out, const struct family *f, struct str labels, const struct metrics_cell *const *at, size_t n)
{
	uint64_t counts[DURATION_BUCKETS] = { 0 }, total = 0, sum = 0;
	unsigned b = 0;

	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < f->n; k++)
			counts[k] += metrics_cell_count(at[i], f->at + k);
		sum += metrics_cell_sum(at[i], f->sum);
	}
	if (!f->le) {
		for (unsigned k = 0; k < f->n; k++)
			total += counts[k];
		put_line(out, f->name, "", labels, NULL);
		put_u64(out, total, 0);
		buf_putc(out, '\n');
		return;
	}
	for (const struct le *le = f->le; le->text; le++) {
		for (; b <= le->upto; b++)
			total += counts[b];
		put_line(out, f->name, "_bucket", labels, le->text);
		put_u64(out, total, 0);
		buf_putc(out, '\n');
	}
	put_line(out, f->name, "_sum", labels, NULL);
	if (f->seconds)
		put_seconds(out, sum);
	else
		put_u64(out, sum, 0);
	buf_putc(out, '\n');
	put_line(out, f->name, "_count", labels, NULL);
	put_u64(out, total, 0);
	buf_putc(out, '\n');
}

static void put_cells(struct metrics_text *t, struct buf *out, const struct family *f, uint32_t id, struct cells *cs, size_t n)
{
	struct buf labels;

	buf_init(&labels, 64u << 10);
	put_labels(t, &labels, id, f->route ? NULL : cs->at[0]);
	put_series(out, f, buf_str(&labels), cs->at, n);
	buf_done(&labels);
}

/* Moves the cells that have the first one's labels to the front; returns how many. */
static size_t group(struct cells *cs)
{
	size_t n = 1;

	for (size_t i = 1; i < cs->n; i++)
		if (metrics_cell_same(cs->at[0], cs->at[i])) {
			const struct metrics_cell *c = cs->at[i];
			cs->at[i] = cs->at[n];
			cs->at[n++] = c;
		}
	return n;
}

static void put_slot(struct metrics_text *t, struct buf *out, const struct family *f, uint32_t id)
{
	struct cells all = { 0 };

	for (size_t i = 0; i < t->m->n_shards; i++)
		for (struct metrics_cell *c = metrics_shard_cells(t->m->shards[i], id); c; c = metrics_cell_next(c))
			cells_add(&all, c);
	if (f->route && all.n)
		put_cells(t, out, f, id, &all, all.n);
	for (struct cells left = all; !f->route && left.n > 0;) {
		size_t n = group(&left);
		put_cells(t, out, f, id, &left, n);
		left.at += n;
		left.n -= n;
	}
	free(all.at);
}

static bool put_family(struct metrics_text *t, struct buf *out, size_t until)
{
	const struct family *f = &families[t->stage - STAGE_FAMILIES];

	if (t->exclude && excluded(t, f->name))
		return true;
	if (!t->headed)
		metrics_put_head(out, f->name, f->le ? "histogram" : "counter", f->help);
	t->headed = true;
	for (; t->next < t->m->n_slots; t->next++) {
		if (out->len >= until)
			return false;
		if (t->m->slots[t->next].text)
			put_slot(t, out, f, t->next);
	}
	return true;
}

static bool put_stage(struct metrics_text *t, struct buf *out, size_t until)
{
	if (t->stage >= STAGE_FAMILIES)
		return put_family(t, out, until);
	if (t->stage >= STAGE_CERTS)
		return metrics_put_certs(t->m, out, t->stage == STAGE_CERTS, &t->next, until);
	metrics_put_own(t->m, out);
	return true;
}

bool metrics_text_next(struct metrics_text *t, struct buf *out)
{
	size_t until = out->len + METRICS_PIECE_BYTES;

	metrics_reap(t->m);
	while (t->stage < STAGE_FAMILIES + ARRAY_LEN(families) && out->len < until) {
		if (!put_stage(t, out, until))
			return true;
		t->stage++;
		t->next = 0;
		t->headed = false;
	}
	return t->stage < STAGE_FAMILIES + ARRAY_LEN(families);
}
