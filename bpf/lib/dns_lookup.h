/* dns_lookup.h - what a question is answered with: the sections in struct work, ready to be stored. */
#pragma once

#include "lib/dns_question.h"

/* ---- what it is answered with ---- */

enum verdict { PASS, REPLY };

static __always_inline void copy_words(void *to, const void *from, int bytes)
{
	volatile __u64 *t = to;
	const volatile __u64 *f = from;

	for (int i = 0; i < bytes / 8; i++)
		t[i] = f[i];
}

/* The kernel may give an entry's memory to the next one while it is being read here: the copy counts if the same entry
 * still stands there afterwards. */
static __always_inline bool copy_entry(struct work *w, const struct answer_entry *e)
{
	const struct answer_entry *again;

	copy_words(&w->entry, e, sizeof(*e));
	fence(w);
	again = bpf_map_lookup_elem(&answer_names, &w->key);
	return again == e && again->id == w->entry.id;
}

#define COPY_SECTIONS(map_, bytes_)                                           \
	static __always_inline bool copy_##map_(struct work *w, __u32 id)     \
	{                                                                     \
		const void *from = bpf_map_lookup_elem(&answer_##map_, &id);  \
                                                                              \
		if (!from)                                                    \
			return false;                                         \
		copy_words(w->sections, from, bytes_);                        \
		fence(w);                                                     \
		return bpf_map_lookup_elem(&answer_##map_, &id) == from;      \
	}
COPY_SECTIONS(medium, ANSWER_MEDIUM_BYTES)
COPY_SECTIONS(large, ANSWER_LARGE_BYTES)

#define FOR_WORDS(i, n, max) for (__u32 i = 0; i < (max); i += 8) if (i >= (n)) break; else

/* Sets begin at words' borders; what is copied beyond this one does no harm. */
static __always_inline bool copy_inline(struct work *w, const struct answer_set *s)
{
	const __u8 *from = w->entry.bytes, *name = (const __u8 *)w->name;
	__u32 at = s->at, len = s->len, insert = s->insert_at, skip = s->insert_from, name_len = w->q.name_len - skip;

	if (at >= ANSWER_INLINE_BYTES || insert >= ANSWER_INLINE_BYTES)
		return false;
	FOR_WORDS(i, insert ? insert : len, ANSWER_INLINE_BYTES)
		*(__u64 *)(w->sections + i) = *(const __u64 *)(from + at + i);
	if (!insert)
		return len <= ANSWER_INLINE_BYTES;
	if (skip >= ANSWER_NAME_BYTES || name_len > ANSWER_NAME_BYTES || insert + name_len > len)
		return false;
	FOR_WORDS(i, name_len, ANSWER_NAME_BYTES + 1)
		*(__u64 *)(w->sections + insert + i) = *(const __u64 *)(name + skip + i);
	FOR_WORDS(i, len - insert - name_len, ANSWER_INLINE_BYTES)
		*(__u64 *)(w->sections + insert + name_len + i) = *(const __u64 *)(from + at + insert + i);
	return len <= ANSWER_INLINE_BYTES + name_len;
}

static __always_inline bool copy_set(struct work *w, const struct answer_set *s, __u32 id)
{
	switch (s->where) {
	case ANSWER_INLINE:
		return copy_inline(w, s);
	case ANSWER_MEDIUM:
		return copy_medium(w, id);
	case ANSWER_LARGE:
		return copy_large(w, id);
	}
	return false;
}

/* SOA, with pointers to where the zone's name is in this question. */
static __always_inline enum verdict deny(struct work *w, __u16 rcode)
{
	const struct answer_control *c = &answer_control;

	if (c->denial_len == 0 || c->denial_len > ANSWER_DENIAL_BYTES)
		return PASS;
	copy_words(w->sections, c->denial, ANSWER_DENIAL_BYTES);
	for (int i = 0; i < ANSWER_POINTERS_MAX; i++)
		if (i < c->n_pointers && c->pointers[i] < ANSWER_DENIAL_BYTES)
			w->sections[c->pointers[i]] = DNS_HEADER_BYTES + w->q.below;
	w->s = (struct sections){ .len = c->denial_len, .authority = 1, .rcode = rcode };
	return REPLY;
}

static __always_inline bool label_is(const __u8 *p, const char *text, int n)
{
	for (int i = 0; i < n; i++)
		if (p[i] != (__u8)text[i])
			return false;
	return true;
}

static __always_inline bool is_protocol(const __u8 *p)
{
	return label_is(p, "\3tcp", 4) || label_is(p, "\3udp", 4) || label_is(p, "\4sctp", 5);
}

/* "_http._tcp.web.default" is how it is written, and in the map; other spellings are user space's. */
static __always_inline bool may_be_port(const struct work *w, __u32 labels)
{
	const __u8 *name = (const __u8 *)w->name;
	__u32 underscores = w->q.underscores, second = name[0] + 1;

	if (underscores || labels != 4)
		return underscores && !(underscores == 3 && labels == 4);
	return second >= ANSWER_KEY_NAME_BYTES || is_protocol(name + second);
}

/* Not in the map, and yet user space might have an answer: pods, other spellings, the zone's own few names. */
static __always_inline bool may_be_known(const struct work *w)
{
	const struct question *q = &w->q;
	const __u8 *name = (const __u8 *)w->name;
	__u32 before = q->n_labels - answer_control.zone_labels - 1, last = q->below - 4;

	if (q->below == 0 || (before == 0 && label_is(name, "\13dns-version", 12)))
		return true;
	if (q->below < 4 || last >= ANSWER_KEY_NAME_BYTES || !starts_label(w, last))
		return false;
	if (label_is(name + last, "\3svc", 4))
		return before == 0 || may_be_port(w, before);
	return label_is(name + last, "\3pod", 4) || (before <= 1 && label_is(name + last, "\3dns", 4));
}

/* By itself for the verifier: otherwise all of this would be looked at for every set. */
__noinline int put_set(struct work *w, __u32 which)
{
	const struct answer_set *set;

	if (!w || which >= ANSWER_SETS_MAX)
		return PASS;
	set = &w->entry.sets[which];
	if (set->len > ANSWER_LARGE_BYTES || !copy_set(w, set, w->entry.id + which))
		return PASS;
	w->s = (struct sections){ .len = set->len, .answers = set->answers, .authority = set->authority,
				  .additional = set->additional, .record = set->record };
	return REPLY;
}

static __always_inline enum verdict answer_known(struct work *w)
{
	const struct answer_entry *e = &w->entry;

	if (e->user_space)
		return PASS;
	for (__u32 i = 0; i < ANSWER_SETS_MAX; i++)
		if (i < e->n_sets && e->sets[i].type == w->q.type)
			return put_set(w, i);
	return w->key.scope == ANSWER_BELOW_ZONE ? deny(w, 0) : PASS;
}

static __always_inline enum verdict answer(struct work *w)
{
	const struct question *q = &w->q;
	const struct answer_entry *e;
	bool ours = in_zone(w);

	if (!ours && (!answer_control.whole_names || q->name_len > ANSWER_KEY_NAME_BYTES))
		return PASS;
	make_key(w, ours ? q->below : q->name_len, ours ? ANSWER_BELOW_ZONE : ANSWER_WHOLE_NAME);
	e = bpf_map_lookup_elem(&answer_names, &w->key);
	if (e)
		return copy_entry(w, e) ? answer_known(w) : PASS;
	if (!ours || !answer_control.denies || may_be_known(w))
		return PASS;
	return deny(w, RCODE_NXDOMAIN);
}
