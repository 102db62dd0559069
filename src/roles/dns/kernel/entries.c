#include "roles/dns/kernel/entries.h"

#include <bpf/bpf.h>
#include <errno.h>

#define TYPE_NOBODY_HAS 65280 /* RFC 6895: for private use */
#define MESSAGE_BYTES 512

/* ---- keys and values ---- */

static bool key_make(const struct entries *m, const uint8_t *name, size_t len, struct answer_key *ret)
{
	const struct dns_name *d = &m->domain;
	size_t below = len - d->len, at = 0;

	*ret = (struct answer_key){ .scope = ANSWER_WHOLE_NAME };
	while (len >= d->len && at < below)
		at += 1 + (size_t)name[at];
	if (len >= d->len && at == below && memcmp(name + at, d->wire, d->len) == 0) {
		ret->scope = ANSWER_BELOW_ZONE;
		len = below;
	}
	if (len > sizeof(ret->name))
		return false;
	memcpy(ret->name, name, len);
	return true;
}

static size_t bytes_of(enum answer_where w)
{
	return w == ANSWER_MEDIUM ? ANSWER_MEDIUM_BYTES : ANSWER_LARGE_BYTES;
}

static int map_of(const struct entries *m, enum answer_where w)
{
	return w == ANSWER_MEDIUM ? m->program->medium : m->program->large;
}

static bool is_elsewhere(const struct answer_set *s)
{
	return s->where == ANSWER_MEDIUM || s->where == ANSWER_LARGE;
}

/* How a set is rotated must be sayable, and the program's copies of rotated ones are of a whole large value. */
static enum answer_where where_fits(const struct zone_sections *s, size_t inline_left)
{
	size_t record = s->rotates && s->answers ? s->rotates / s->answers : 0;

	if (s->len == 0 || s->answers > UINT8_MAX || s->authority > UINT8_MAX || s->additional > UINT8_MAX - 1 ||
	    record > UINT8_MAX || record * s->answers != s->rotates || s->rotates > s->len)
		return ANSWER_IN_USER_SPACE;
	if (s->len <= inline_left)
		return ANSWER_INLINE;
	return s->len <= ANSWER_MEDIUM_BYTES ? ANSWER_MEDIUM :
	       s->len <= ANSWER_LARGE_BYTES  ? ANSWER_LARGE :
					       ANSWER_IN_USER_SPACE;
}

/* Copies the bytes without the one place where the name, or its end from a label on, stands in them; false: none, or several. */
static bool name_leave_out(const struct zone_name *n, const struct zone_sections *s, struct answer_set *set, uint8_t *out,
			   size_t max)
{
	for (size_t from = 0; n->key[from]; from += 1 + (size_t)n->key[from]) {
		size_t len = n->key_len - from;
		const uint8_t *end = s->bytes + s->len, *at = memmem(s->bytes, s->len, n->key + from, len);
		if (!at)
			continue;
		if (at == s->bytes || s->len - len > max || memmem(at + len, (size_t)(end - at) - len, n->key + from, len))
			return false;
		set->insert_at = (uint8_t)(at - s->bytes);
		set->insert_from = (uint8_t)from;
		memcpy(mempcpy(out, s->bytes, set->insert_at), at + len, (size_t)(end - at) - len);
		return true;
	}
	return false;
}

/* Puts what it can into the entry itself; returns how much of its bytes that takes. */
static size_t set_make(const struct zone_name *n, const struct zone_sections *s, struct answer_set *set, uint8_t *out,
		       size_t left)
{
	*set = (struct answer_set){
		.type = s->type, .len = s->len, .where = (uint8_t)where_fits(s, left),
		.answers = (uint8_t)s->answers, .authority = (uint8_t)s->authority, .additional = (uint8_t)s->additional,
		.record = (uint8_t)(s->rotates && s->answers ? s->rotates / s->answers : 0),
	};
	if (set->where == ANSWER_INLINE) {
		memcpy(out, s->bytes, s->len);
		return s->len;
	}
	if (!is_elsewhere(set) || !name_leave_out(n, s, set, out, left))
		return 0;
	set->where = ANSWER_INLINE;
	return s->len - (n->key_len - (size_t)set->insert_from);
}

/* The program copies words: every set begins at one's border. */
static void entry_make(struct entries *m, const struct zone_name *n, struct answer_entry *ret)
{
	size_t at = 0;

	*ret = (struct answer_entry){ .id = m->next_id };
	m->next_id += ANSWER_SETS_MAX;
	ret->user_space = n->kind != ZONE_NAME_SETS || n->n_sets > ANSWER_SETS_MAX;
	for (size_t i = 0; !ret->user_space && i < n->n_sets; i++) {
		struct answer_set *set = &ret->sets[ret->n_sets++];
		size_t taken = set_make(n, &n->sets[i], set, ret->bytes + at, sizeof(ret->bytes) - at);
		set->at = (uint8_t)at;
		at = MIN((at + taken + 7) & ~(size_t)7, sizeof(ret->bytes));
	}
}

/* ---- maps ---- */

/* What does not fit is user space's; so is everything on a kernel that refuses (before 5.19, without CAP_BPF). */
static bool map_put(struct entries *m, int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY) == 0)
		return true;
	m->incomplete = true;
	m->refused = m->refused || errno == EPERM || errno == EACCES;
	return false;
}

static void sections_del(const struct entries *m, const struct answer_entry *e)
{
	for (size_t i = 0; i < e->n_sets; i++)
		if (is_elsewhere(&e->sets[i]))
			bpf_map_delete_elem(map_of(m, e->sets[i].where), &(uint32_t){ e->id + (uint32_t)i });
}

static bool sections_put(struct entries *m, const struct answer_entry *e, const struct zone_name *n)
{
	uint8_t bytes[ANSWER_LARGE_BYTES];

	for (size_t i = 0; i < e->n_sets; i++) {
		const struct answer_set *s = &e->sets[i];
		if (!is_elsewhere(s))
			continue;
		memset(bytes, 0, bytes_of(s->where));
		memcpy(bytes, n->sets[i].bytes, s->len);
		if (!map_put(m, map_of(m, s->where), &(uint32_t){ e->id + (uint32_t)i }, bytes))
			return false;
	}
	return true;
}

static void key_del(struct entries *m, const struct answer_key *k)
{
	struct answer_entry old;

	if (bpf_map_lookup_elem(m->program->names, k, &old) < 0)
		return;
	bpf_map_delete_elem(m->program->names, k);
	sections_del(m, &old);
	m->whole_names -= k->scope == ANSWER_WHOLE_NAME;
}

/* From a key that is still there the kernel finds the next one without beginning anew. */
static void map_clear(int fd, size_t key_bytes)
{
	struct answer_key keys[2];
	int at = 0;

	assert(key_bytes <= sizeof(keys[0]));
	bool more = bpf_map_get_next_key(fd, NULL, &keys[at]) == 0;
	while (more) {
		more = bpf_map_get_next_key(fd, &keys[at], &keys[!at]) == 0;
		if (bpf_map_delete_elem(fd, &keys[at]) < 0)
			return;
		at = !at;
	}
}

/* ---- the settings ---- */

/* The program does not go by what it read while `seq` was odd, or another before than after. */
static struct answer_control *settings_open(const struct entries *m)
{
	struct answer_control *c = m->program->control;

	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return c;
}

static void settings_close(struct answer_control *c)
{
	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELEASE);
}

bool entries_start(struct entries *m, const struct program *p, const struct dns_name *domain)
{
	*m = (struct entries){ .program = p, .domain = *domain, .filling = true };
	map_clear(p->names, sizeof(struct answer_key));
	map_clear(p->medium, sizeof(uint32_t));
	map_clear(p->large, sizeof(uint32_t));
	map_clear(p->targets, sizeof(struct answer_target));
	if (domain->len > ANSWER_ZONE_BYTES)
		return false;
	struct answer_control *c = settings_open(m);
	c->zone_len = domain->len;
	c->zone_labels = domain->labels;
	c->denies = c->whole_names = 0;
	c->denial_len = 0;
	memset(c->zone, 0, sizeof(c->zone));
	memcpy(c->zone, domain->wire, domain->len);
	settings_close(c);
	return true;
}

void entries_put(struct entries *m, const struct zone_name *n)
{
	struct answer_entry e, old = { 0 };
	struct answer_key key;

	if (!key_make(m, n->key, n->key_len, &key))
		return; /* the program does not look at such names either */
	entry_make(m, n, &e);
	bool replaces = !m->filling && bpf_map_lookup_elem(m->program->names, &key, &old) == 0;
	if (!sections_put(m, &e, n) || !map_put(m, m->program->names, &key, &e)) {
		sections_del(m, &e);
		key_del(m, &key);
		return;
	}
	if (replaces)
		sections_del(m, &old);
	else
		m->whole_names += key.scope == ANSWER_WHOLE_NAME;
}

void entries_gone(struct entries *m, const uint8_t *name, uint8_t len)
{
	struct answer_key key;

	if (key_make(m, name, len, &key))
		key_del(m, &key);
}

/* ---- denials ---- */

struct denial {
	uint8_t message[MESSAGE_BYTES];
	size_t at, len; /* of what follows the question */
};

/* "no such type" of a name that is always there. */
static bool denial_ask(const struct zone *z, const struct dns_name *name, struct denial *ret)
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4];
	struct dns_query q = { .type = TYPE_NOBODY_HAS, .class = DNS_CLASS_IN, .name = *name, .udp_bytes = MESSAGE_BYTES };
	struct zone_answer a;
	uint8_t *p = mempcpy(question, name->wire, name->len);

	p = mempcpy(p, (uint8_t[]){ TYPE_NOBODY_HAS >> 8, TYPE_NOBODY_HAS & 0xff, 0, DNS_CLASS_IN }, 4);
	q.question = (struct str){ (const char *)question, (size_t)(p - question) };
	if (zone_answer(z, &q, ret->message, sizeof(ret->message), 0, &a) != ZONE_ANSWERED || a.rcode != DNS_NOERROR)
		return false;
	ret->at = DNS_HEADER_BYTES + q.question.len;
	ret->len = a.len - ret->at;
	const uint8_t *counts = ret->message + 6;
	return memcmp(counts, (uint8_t[]){ 0, 0, 0, 1, 0, 0 }, 6) == 0 && ret->len <= ANSWER_DENIAL_BYTES;
}

/* Of the zone's own name, and of one that is a few bytes longer: where they differ are pointers to the zone. */
static bool denial_read(const struct entries *m, const struct zone *z, struct answer_control *ret)
{
	struct dns_name below = { .len = (uint8_t)(m->domain.len + 4), .labels = (uint8_t)(m->domain.labels + 1) };
	struct denial a, b;

	memcpy(mempcpy(below.wire, "\3svc", 4), m->domain.wire, m->domain.len);
	if (!denial_ask(z, &m->domain, &a) || !denial_ask(z, &below, &b) || a.len != b.len)
		return false;
	ret->n_pointers = 0;
	for (size_t i = 0; i < a.len; i++) {
		uint8_t byte = a.message[a.at + i];
		ret->denial[i] = byte;
		if (byte == b.message[b.at + i])
			continue;
		if (ret->n_pointers == ANSWER_POINTERS_MAX || byte != DNS_HEADER_BYTES ||
		    b.message[b.at + i] != DNS_HEADER_BYTES + 4)
			return false;
		ret->pointers[ret->n_pointers++] = (uint8_t)i;
	}
	ret->denial_len = (uint16_t)a.len;
	return true;
}

/* Does a name below the zone, unknown, go on to another plug-in? */
static bool falls_through(const struct zone_options *o)
{
	for (size_t i = 0; i < o->n_fallthrough; i++)
		if (dns_name_under(&o->domain, &o->fallthrough[i]) || dns_name_under(&o->fallthrough[i], &o->domain))
			return true;
	return false;
}

void entries_denial(struct entries *m, const struct zone *z)
{
	struct answer_control *c = settings_open(m);
	bool found = denial_read(m, z, c);

	if (!found)
		c->denial_len = 0;
	c->denies = found && !m->incomplete && !falls_through(zone_options(z));
	c->whole_names = m->whole_names > 0;
	settings_close(c);
	m->filling = false;
}

/* ---- targets ---- */

static bool target_in(const struct answer_target *t, size_t n, const struct answer_target *which)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&t[i], which, sizeof(*which)) == 0)
			return true;
	return false;
}

void entries_targets(struct entries *m, const struct answer_target *t, size_t n)
{
	struct answer_target known[ANSWER_TARGETS_MAX], *prev = NULL;
	int fd = m->program->targets;
	size_t n_known = 0;

	while (n_known < ARRAY_LEN(known) && bpf_map_get_next_key(fd, prev, &known[n_known]) == 0)
		prev = &known[n_known++];
	for (size_t i = 0; i < n_known; i++)
		if (!target_in(t, n, &known[i]))
			bpf_map_delete_elem(fd, &known[i]);
	for (size_t i = 0; i < n; i++)
		if (!target_in(known, n_known, &t[i]) &&
		    bpf_map_update_elem(fd, &t[i], &(uint8_t){ 1 }, BPF_ANY) < 0 && (errno == EPERM || errno == EACCES))
			m->refused = true;
}
