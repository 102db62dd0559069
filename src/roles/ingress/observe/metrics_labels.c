/* Slots and their labels, certificates, the controller's own state: the main thread's side. */
#include "roles/ingress/observe/metrics_int.h"

#include <stdlib.h>
#include <unistd.h>

#define HOST_BYTES 256

void metrics_label_escape(struct buf *out, const char *value)
{
	for (;;) {
		size_t n = strcspn(value, "\n\\\"");
		buf_put(out, value, n);
		value += n;
		if (!*value)
			return;
		buf_put(out, (char[]){ '\\', *value == '\n' ? 'n' : *value }, 2);
		value++;
	}
}

/* ingress-nginx's manifests give a pod its names in these variables. A label without a value would be none. */
static const char *pod_name(const struct metrics_config *c, char host[HOST_BYTES])
{
	const char *name = getenv("POD_NAME");

	if (name && *name)
		return name;
	if (c->controller_pod && *c->controller_pod)
		return c->controller_pod;
	if (gethostname(host, HOST_BYTES) < 0)
		return "portico";
	host[HOST_BYTES - 1] = 0;
	return host;
}

static char *controller_labels(const struct metrics_config *c)
{
	char host[HOST_BYTES];
	const char *ns = getenv("POD_NAMESPACE");
	const char *const pairs[][2] = { { "controller_class=\"", c->controller_class },
					 { "\",controller_namespace=\"", ns && *ns ? ns : c->controller_namespace },
					 { "\",controller_pod=\"", pod_name(c, host) } };
	struct buf b;

	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_puts(&b, pairs[i][0]);
		metrics_label_escape(&b, pairs[i][1] ? pairs[i][1] : "");
	}
	buf_putc(&b, '"');
	return buf_take(&b);
}

struct metrics *metrics_new(const struct metrics_config *c)
{
	struct metrics *m = xcalloc(1, sizeof(*m));

	m->labels = controller_labels(c);
	m->routes = c->routes;
	m->last_ok = true;
	m->began_at_ms = wall_now_ms();
	pthread_mutex_init(&m->lock, NULL);
	map_init(&m->cert_of);
	m->n_table = 64;
	m->table = xcalloc(m->n_table, sizeof(*m->table));
	unsigned none = metrics_location_ref(m, "", "", "", "", "");
	assert(none == METRICS_NO_LOCATION);
	return m;
}

static void cells_free(struct metrics_shard *s, unsigned id)
{
	struct metrics_chunk *k = s->chunks[id / CHUNK_SLOTS];
	struct metrics_slot *slot = k ? &k->at[id % CHUNK_SLOTS] : NULL;

	if (!slot)
		return;
	for (struct metrics_cell *c = TAKE_PTR(slot->head), *next; c; c = next) {
		next = c->next;
		free(c->high);
		free(c->canary);
		free(c);
		__atomic_fetch_sub(&s->n_cells, 1, __ATOMIC_RELAXED);
	}
	slot->recent = NULL;
}

static void shard_free(struct metrics_shard *s)
{
	for (unsigned id = 0; id < METRICS_LOCATIONS_MAX; id++)
		if (!s->chunks[id / CHUNK_SLOTS])
			id += CHUNK_SLOTS - 1;
		else
			cells_free(s, id);
	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		free(s->chunks[i]);
	free(s->chunks);
	free(s);
}

static void cert_free(struct cert_info *c)
{
	free(c->host);
	free(c->ns);
	free(c->secret);
	X509_free(c->cert);
	free(c);
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_shards; i++)
		shard_free(m->shards[i]);
	for (uint32_t i = 0; i < m->n_slots; i++)
		free(m->slots[i].text);
	for (size_t i = 0; i < m->n_certs; i++)
		cert_free(m->certs[i]);
	map_done(&m->cert_of, NULL);
	pthread_mutex_destroy(&m->lock);
	free(m->certs);
	free(m->shards);
	free(m->slots);
	free(m->table);
	free(m->free_ids);
	free(m->dead);
	free(m->labels);
	free(m);
}

struct metrics_shard *metrics_shard_new(struct metrics *m, const struct worker *w)
{
	struct metrics_shard *s = xcalloc(1, sizeof(*s));

	s->worker = w;
	s->chunks = xcalloc(CHUNKS_MAX, sizeof(struct metrics_chunk *));
	m->shards = xrealloc(m->shards, (m->n_shards + 1) * sizeof(struct metrics_shard *));
	return m->shards[m->n_shards++] = s;
}

/* ---- slots ---- */
void metrics_slot_labels(const struct metrics *m, uint32_t id, const char *ret[SLOT_LABELS])
{
	const char *p = m->slots[id].text;

	for (unsigned i = 0; i < SLOT_LABELS; i++, p += strlen(p) + 1)
		ret[i] = p;
}

/* All of a slot's labels as one run of bytes, on the heap. */
static char *labels_join(const char *const l[SLOT_LABELS], size_t *ret_len)
{
	size_t len = 0;

	for (unsigned i = 0; i < SLOT_LABELS; i++)
		len += strlen(l[i]) + 1;
	char *text = xmalloc(len), *p = text;
	for (unsigned i = 0; i < SLOT_LABELS; i++)
		p = stpcpy(p, l[i]) + 1;
	*ret_len = len;
	return text;
}

static size_t labels_len(const char *text)
{
	const char *p = text;

	for (unsigned i = 0; i < SLOT_LABELS; i++)
		p += strlen(p) + 1;
	return (size_t)(p - text);
}

static void table_grow(struct metrics *m)
{
	m->n_table *= 2;
	free(m->table);
	m->table = xcalloc(m->n_table, sizeof(*m->table));
	for (uint32_t id = 0; id < m->n_slots; id++)
		if (m->slots[id].text) {
			uint32_t *head = &m->table[m->slots[id].hash & (m->n_table - 1)];
			m->slots[id].next = *head;
			*head = id + 1;
		}
}

/* Ids in chains are one more, as 0 ends them. */
static uint32_t slot_find(const struct metrics *m, uint32_t hash, const char *text, size_t len)
{
	for (uint32_t at = m->table[hash & (m->n_table - 1)]; at; at = m->slots[at - 1].next) {
		const struct slot_info *s = &m->slots[at - 1];
		if (s->hash == hash && labels_len(s->text) == len && memcmp(s->text, text, len) == 0)
			return at;
	}
	return 0;
}

static uint32_t slot_new_id(struct metrics *m)
{
	if (m->n_free)
		return m->free_ids[--m->n_free];
	if (m->n_slots == m->cap_slots) {
		m->cap_slots = m->cap_slots ? m->cap_slots * 2 : 64;
		pthread_mutex_lock(&m->lock); /* an unref on another thread writes to them */
		m->slots = xrealloc(m->slots, m->cap_slots * sizeof(*m->slots));
		pthread_mutex_unlock(&m->lock);
	}
	return m->n_slots++;
}

unsigned metrics_location_ref(struct metrics *m, const char *ns, const char *ingress, const char *service, const char *host,
			      const char *path)
{
	size_t len;

	if (!m)
		return METRICS_NO_LOCATION;
	metrics_reap(m);
	cleanup(freep) char *text = labels_join((const char *[]){ ns, ingress, service, host, path }, &len);
	uint32_t hash = (uint32_t)hash_keyed(text, len), id = slot_find(m, hash, text, len);
	if (id) {
		pthread_mutex_lock(&m->lock);
		m->slots[--id].refs++;
		pthread_mutex_unlock(&m->lock);
		return id;
	}
	if (!m->n_free && m->n_slots == METRICS_LOCATIONS_MAX)
		return METRICS_NO_LOCATION;
	if (m->n_used >= m->n_table)
		table_grow(m);
	id = slot_new_id(m);
	uint32_t *head = &m->table[hash & (m->n_table - 1)];
	m->slots[id] = (struct slot_info){ .text = TAKE_PTR(text), .hash = hash, .next = *head, .refs = 1 };
	*head = id + 1;
	m->n_used++;
	return id;
}

static void push(uint32_t **at, uint32_t *n, uint32_t *cap, uint32_t id)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 64;
		*at = xrealloc(*at, *cap * sizeof(**at));
	}
	(*at)[(*n)++] = id;
}

void metrics_location_unref(struct metrics *m, unsigned id)
{
	if (!m || id == METRICS_NO_LOCATION)
		return;
	pthread_mutex_lock(&m->lock);
	struct slot_info *s = &m->slots[id];
	if (--s->refs == 0 && !s->dying) {
		s->dying = true;
		push(&m->dead, &m->n_dead, &m->cap_dead, id);
	}
	pthread_mutex_unlock(&m->lock);
}

static void slot_end(struct metrics *m, uint32_t id)
{
	struct slot_info *s = &m->slots[id];
	uint32_t *at = &m->table[s->hash & (m->n_table - 1)];

	while (*at != id + 1)
		at = &m->slots[*at - 1].next;
	*at = s->next;
	for (size_t i = 0; i < m->n_shards; i++)
		cells_free(m->shards[i], id);
	free(s->text);
	s->text = NULL;
	m->n_used--;
	push(&m->free_ids, &m->n_free, &m->cap_free, id);
}

void metrics_reap(struct metrics *m)
{
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->n_dead; i++) {
		struct slot_info *s = &m->slots[m->dead[i]];
		s->dying = false;
		if (s->refs == 0)
			slot_end(m, m->dead[i]);
	}
	m->n_dead = 0;
	pthread_mutex_unlock(&m->lock);
}

/* ---- the controller's own ---- */
void metrics_config_applied(struct metrics *m, bool ok)
{
	if (!m)
		return;
	m->last_ok = ok;
	if (ok) {
		m->applied++;
		m->applied_at_ms = wall_now_ms();
	} else {
		m->failed++;
	}
}

void metrics_problem_source(struct metrics *m, void (*each)(void *source, metrics_problem_fn *fn, void *ctx), void *source)
{
	m->each_problem = each;
	m->problems = source;
}

static void cert_del(struct metrics *m, struct cert_info *c)
{
	struct cert_info *last = m->certs[--m->n_certs];

	m->certs[c->at] = last;
	last->at = c->at;
	cert_free(c);
}

void metrics_cert_put(struct metrics *m, const char *host, const char *ns, const char *secret, X509 *cert)
{
	if (!m)
		return;
	struct cert_info *old = map_del_c(&m->cert_of, host);
	if (old)
		cert_del(m, old);
	if (!cert)
		return;
	if (m->n_certs == m->cap_certs) {
		m->cap_certs = m->cap_certs ? m->cap_certs * 2 : 16;
		m->certs = xrealloc(m->certs, m->cap_certs * sizeof(struct cert_info *));
	}
	X509_up_ref(cert);
	struct cert_info *c = xmalloc(sizeof(*c));
	*c = (struct cert_info){ .at = m->n_certs, .host = xstrdup(host), .ns = xstrdup(ns), .secret = xstrdup(secret), .cert = cert };
	m->certs[m->n_certs++] = c;
	map_put_c(&m->cert_of, host, c);
}

/* ---- totals ---- */
uint64_t metrics_total(const struct metrics *m, enum metric which)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_shards; i++)
		n += __atomic_load_n(&m->shards[i]->count[which], __ATOMIC_RELAXED);
	return n;
}

struct metrics_connections metrics_connections(const struct metrics *m)
{
	struct metrics_connections c = { 0 };

	for (size_t i = 0; i < m->n_shards; i++) {
		c.active += __atomic_load_n(&m->shards[i]->worker->n_downs, __ATOMIC_RELAXED);
		c.waiting += __atomic_load_n(&m->shards[i]->worker->n_idle_downs, __ATOMIC_RELAXED);
	}
	c.waiting = MIN(c.waiting, c.active);
	return c;
}

static void route_add(struct metrics_route *r, uint64_t *duration, const struct metrics_cell *c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
		uint64_t v = metrics_cell_count(c, AT_DURATION + i);
		duration[i] += v;
		n += v;
	}
	r->requests += n;
	r->by_class[c->status / 100] += n;
	r->bytes_in += metrics_cell_sum(c, SUM_IN);
	r->bytes_out += metrics_cell_sum(c, SUM_OUT);
	r->time_us += metrics_cell_sum(c, SUM_DURATION);
}

void metrics_each_route(struct metrics *m, void (*fn)(void *ctx, const struct metrics_route *r), void *ctx)
{
	metrics_reap(m);
	for (uint32_t id = 0; id < m->n_slots; id++) {
		uint64_t duration[DURATION_BUCKETS] = { 0 };
		struct metrics_route r = { .duration = duration };
		const char *l[SLOT_LABELS];

		if (!m->slots[id].text)
			continue;
		for (size_t i = 0; i < m->n_shards; i++)
			for (struct metrics_cell *c = metrics_shard_cells(m->shards[i], id); c; c = metrics_cell_next(c))
				route_add(&r, duration, c);
		if (r.requests == 0)
			continue;
		metrics_slot_labels(m, id, l);
		r.ns = l[LABEL_NS];
		r.ingress = l[LABEL_INGRESS];
		r.service = l[LABEL_SERVICE];
		r.host = l[LABEL_HOST];
		r.path = l[LABEL_PATH];
		fn(ctx, &r);
	}
}
