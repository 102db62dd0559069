/* waf_int.h - what the files of the request filter share. */
#pragma once

#include "roles/ingress/filter/waf.h"
#include "roles/ingress/route/pattern.h"

/* The rules, compiled: immutable, made once, kept for ever. */
struct waf_engine {
	/* Aho-Corasick: next[state * n_classes + class_of[byte]] */
	uint8_t class_of[256];
	unsigned n_classes, n_states;
	uint16_t *next;
	uint16_t *found; /* of a state: index in sets; 0: nothing ends here */
	struct waf_set *sets;
	struct regex *patterns[WAF_RULES_MAX];
	/* Which rules are worth a look at a target, at a level. */
	struct waf_set wanted[WAF_TARGETS][4];
	struct waf_set form[WAF_FORMS];
};
const struct waf_engine *waf_engine(void);
/* The rules one of whose phrases is in `text`. */
void waf_scan(const struct waf_engine *e, struct str text, struct waf_set *ret);

void waf_count(bool refused); /* a request of five points or more */

static inline void waf_set_add(struct waf_set *s, size_t rule)
{
	s->word[rule / 64] |= 1ull << rule % 64;
}
static inline bool waf_set_has(const struct waf_set *s, size_t rule)
{
	return s->word[rule / 64] >> rule % 64 & 1;
}
static inline bool waf_set_empty(const struct waf_set *s)
{
	uint64_t any = 0;
	for (size_t i = 0; i < WAF_SET_WORDS; i++)
		any |= s->word[i];
	return any == 0;
}
static inline struct waf_set waf_set_and(const struct waf_set *a, const struct waf_set *b)
{
	struct waf_set s;
	for (size_t i = 0; i < WAF_SET_WORDS; i++)
		s.word[i] = a->word[i] & b->word[i];
	return s;
}
