/* The rules compiled: one automaton for all phrases (Aho & Corasick 1975), a regular expression for each rule that has one. */
#include "roles/ingress/filter/waf_int.h"

#include <pthread.h>

#define STATES_MAX 16384 /* characters of all phrases together */

/* While it is built: the trie, then failure links. */
struct trie {
	struct waf_engine *e;
	unsigned cap;
	uint16_t *fail;
	struct waf_set *ends; /* of each state */
};

static struct waf_engine engine;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void classes_make(struct waf_engine *e)
{
	e->n_classes = 1; /* 0: in no phrase */
	for (size_t i = 0; i < n_waf_rules; i++)
		for (const char *const *p = waf_rules[i].phrases; p != NULL && *p != NULL; p++)
			for (const uint8_t *c = (const uint8_t *)*p; *c != '\0'; c++)
				if (e->class_of[*c] == 0)
					e->class_of[*c] = (uint8_t)e->n_classes++;
}

static uint16_t *edge(struct waf_engine *e, unsigned state, uint8_t c)
{
	return &e->next[state * e->n_classes + e->class_of[c]];
}

static unsigned state_new(struct trie *t)
{
	struct waf_engine *e = t->e;
	if (e->n_states == t->cap) {
		t->cap = t->cap == 0 ? 1024 : 2 * t->cap;
		assert(t->cap <= STATES_MAX);
		e->next = xrealloc(e->next, t->cap * e->n_classes * sizeof(*e->next));
		t->ends = xrealloc(t->ends, t->cap * sizeof(*t->ends));
	}
	memset(&e->next[e->n_states * e->n_classes], 0, e->n_classes * sizeof(*e->next));
	t->ends[e->n_states] = (struct waf_set){ 0 };
	return e->n_states++;
}

static void phrase_add(struct trie *t, const char *phrase, size_t rule)
{
	unsigned state = 0;
	for (const uint8_t *c = (const uint8_t *)phrase; *c != '\0'; c++) {
		unsigned to = *edge(t->e, state, *c);
		if (to == 0) {
			to = state_new(t); /* may move `next` */
			*edge(t->e, state, *c) = (uint16_t)to;
		}
		state = to;
	}
	waf_set_add(&t->ends[state], rule);
}

/* Breadth first: a state's failure link is shallower, so its edges are complete already and can be copied. */
static void links_make(struct trie *t)
{
	struct waf_engine *e = t->e;
	uint16_t *queue = xcalloc(e->n_states, sizeof(*queue));
	size_t head = 0, tail = 0;
	t->fail = xcalloc(e->n_states, sizeof(*t->fail));
	queue[tail++] = 0;
	while (head < tail) {
		unsigned state = queue[head++];
		for (unsigned c = 0; c < e->n_classes; c++) {
			uint16_t *to = &e->next[state * e->n_classes + c];
			uint16_t otherwise = state == 0 ? 0 : e->next[t->fail[state] * e->n_classes + c];
			if (*to == 0) {
				*to = otherwise;
				continue;
			}
			t->fail[*to] = otherwise;
			for (size_t i = 0; i < WAF_SET_WORDS; i++)
				t->ends[*to].word[i] |= t->ends[otherwise].word[i];
			queue[tail++] = *to;
		}
	}
	free(queue);
}

/* States that end nothing are most: they share one empty set. */
static void sets_make(struct trie *t)
{
	struct waf_engine *e = t->e;
	size_t n = 1;
	e->found = xcalloc(e->n_states, sizeof(*e->found));
	e->sets = xcalloc(e->n_states + 1, sizeof(*e->sets));
	for (size_t i = 0; i < e->n_states; i++)
		if (!waf_set_empty(&t->ends[i])) {
			e->sets[n] = t->ends[i];
			e->found[i] = (uint16_t)n++;
		}
	e->sets = xrealloc(e->sets, n * sizeof(*e->sets));
}

static void rule_compile(struct waf_engine *e, size_t i)
{
	const struct waf_rule *r = &waf_rules[i];
	struct err err;
	for (unsigned t = 0; t < WAF_TARGETS; t++)
		for (unsigned level = r->paranoia; level <= 4; level++)
			if (r->targets & WAF_ON(t))
				waf_set_add(&e->wanted[t][level - 1], i);
	waf_set_add(&e->form[r->form], i);
	if (r->regex == NULL)
		return;
	e->patterns[i] = pattern_new(r->regex, false, false, &err);
	if (e->patterns[i] == NULL)
		abort(); /* the table is ours: the unit test compiles it */
}

static void engine_make(void)
{
	struct trie t = { .e = &engine };
	assert(n_waf_rules <= WAF_RULES_MAX);
	classes_make(&engine);
	state_new(&t);
	for (size_t i = 0; i < n_waf_rules; i++) {
		rule_compile(&engine, i);
		for (const char *const *p = waf_rules[i].phrases; p != NULL && *p != NULL; p++)
			phrase_add(&t, *p, i);
	}
	links_make(&t);
	sets_make(&t);
	free(t.fail);
	free(t.ends);
}

const struct waf_engine *waf_engine(void)
{
	pthread_once(&engine_once, engine_make);
	return &engine;
}

void waf_scan(const struct waf_engine *e, struct str text, struct waf_set *ret)
{
	const uint16_t *next = e->next, *found = e->found;
	unsigned n_classes = e->n_classes, state = 0;
	*ret = (struct waf_set){ 0 };
	for (size_t i = 0; i < text.len; i++) {
		state = next[state * n_classes + e->class_of[(uint8_t)text.ptr[i]]];
		if (found[state] != 0)
			for (size_t k = 0; k < WAF_SET_WORDS; k++)
				ret->word[k] |= e->sets[found[state]].word[k];
	}
}
