#include "roles/ingress/route/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>

/* Machine code is several times as large as PCRE2's own: only patterns that are used often get it, and not all of them. */
#define JIT_AFTER_MATCHES 256
#define JIT_BYTES_MAX (4u << 20)

struct pattern {
	pcre2_code *code; /* NULL: "^literal", which needs none */
	_Atomic(pcre2_code *) jit;
	_Atomic uint32_t matches;
	struct str literal; /* what a subject begins with in any case; of `text` */
	bool caseless;
	char text[];
};

static _Atomic size_t jit_bytes;

/* ---- scratch space of each thread ---- */

struct scratch {
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static __thread struct scratch *scratch_here;

static void scratch_free(void *p)
{
	struct scratch *s = p;

	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->limits);
	free(s);
}

static void scratch_key_new(void)
{
	if (pthread_key_create(&scratch_key, scratch_free) != 0)
		abort();
}

static struct scratch *scratch_get(void)
{
	struct scratch *s = scratch_here;

	if (s)
		return s;
	pthread_once(&scratch_once, scratch_key_new);
	s = xcalloc(1, sizeof(*s));
	s->data = pcre2_match_data_create(PATTERN_GROUPS, NULL);
	s->limits = pcre2_match_context_create(NULL);
	if (!s->data || !s->limits)
		abort();
	pcre2_set_match_limit(s->limits, PATTERN_MATCH_LIMIT);
	pcre2_set_depth_limit(s->limits, PATTERN_DEPTH_LIMIT);
	pthread_setspecific(scratch_key, s);
	scratch_here = s;
	return s;
}

/* ---- literals: most paths of hosts with regular expressions are none themselves ---- */

static bool is_literal(char c)
{
	return c && !strchr("\\^$.[|()?*+{", c);
}

/* The bytes behind "^" that every match begins with. A '|' anywhere may make them optional. */
static struct str literal_of(const char *text)
{
	size_t n = 0;

	if (text[0] != '^' || strchr(text, '|'))
		return STR_NONE;
	text++;
	while (is_literal(text[n]) && !((unsigned char)text[n] & 0x80))
		n++;
	/* A quantifier makes the last one optional. */
	if (n && text[n] && strchr("?*{", text[n]))
		n--;
	return (struct str){ text, n };
}

static bool literal_fits(const struct pattern *p, struct str subject)
{
	struct str head = { subject.ptr, p->literal.len };

	if (subject.len < p->literal.len)
		return false;
	return p->caseless ? str_ieq(head, p->literal) : str_eq(head, p->literal);
}

/* ---- making ---- */

struct pattern *pattern_new(const char *text, bool caseless, bool anchored, struct err *e)
{
	size_t len = strlen(text), at;
	uint32_t options = (caseless ? PCRE2_CASELESS : 0) | (anchored ? PCRE2_ANCHORED : 0);
	int code;

	if (len > PATTERN_BYTES_MAX) {
		err_set(e, ERR_INVALID, "the regular expression is longer than %d bytes", PATTERN_BYTES_MAX);
		return NULL;
	}
	struct pattern *p = xcalloc(1, sizeof(*p) + len + 1);
	memcpy(p->text, text, len + 1);
	p->caseless = caseless;
	p->literal = literal_of(p->text);
	if (p->literal.len && p->literal.len + 1 == len)
		return p;
	p->code = pcre2_compile((PCRE2_SPTR)p->text, len, options, &code, &at, NULL);
	if (!p->code) {
		char why[128];

		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		err_set(e, ERR_INVALID, "regular expression \"%.200s\": %s at offset %zu", text, why, at);
		free(p);
		return NULL;
	}
	return p;
}

static size_t jit_size(const pcre2_code *code)
{
	size_t n = 0;

	pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &n);
	return n;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code *jit = atomic_load(&p->jit);
	if (jit) {
		atomic_fetch_sub(&jit_bytes, jit_size(jit));
		pcre2_code_free(jit);
	}
	pcre2_code_free(p->code);
	free(p);
}

/* ---- matching ---- */

/* On a copy: other threads are matching with the original. Where executable memory is refused it simply stays away. */
static void make_jit(struct pattern *p)
{
	pcre2_code *copy = atomic_load(&jit_bytes) < JIT_BYTES_MAX ? pcre2_code_copy(p->code) : NULL;

	if (!copy)
		return;
	if (pcre2_jit_compile(copy, PCRE2_JIT_COMPLETE) != 0 || jit_size(copy) == 0) {
		pcre2_code_free(copy);
		return;
	}
	atomic_fetch_add(&jit_bytes, jit_size(copy));
	atomic_store_explicit(&p->jit, copy, memory_order_release);
}

static int run(const struct pattern *p, const struct scratch *s, struct str subject)
{
	struct pattern *own = (struct pattern *)p; /* the count and the machine code are caches */
	pcre2_code *jit = atomic_load_explicit(&own->jit, memory_order_acquire);
	int rc;

	if (!jit && atomic_fetch_add_explicit(&own->matches, 1, memory_order_relaxed) == JIT_AFTER_MATCHES) {
		make_jit(own);
		jit = atomic_load_explicit(&own->jit, memory_order_acquire);
	}
	if (jit) {
		rc = pcre2_match(jit, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, s->data, s->limits);
		if (rc != PCRE2_ERROR_JIT_STACKLIMIT)
			return rc;
	}
	return pcre2_match(p->code, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, s->data, s->limits);
}

enum pattern_result pattern_try(const struct pattern *p, struct str subject, struct pattern_match *ret)
{
	if (ret)
		*ret = (struct pattern_match){ 0 };
	if (p->literal.len && !literal_fits(p, subject))
		return PATTERN_NO;
	if (!p->code) {
		if (ret)
			ret->group[0] = (struct str){ subject.ptr, p->literal.len };
		return PATTERN_YES;
	}
	const struct scratch *s = scratch_get();
	if (!subject.ptr)
		subject = STR("");
	int n = run(p, s, subject);
	if (n < 0)
		return n == PCRE2_ERROR_NOMATCH ? PATTERN_NO : PATTERN_LIMIT;
	if (n == 0)
		n = PATTERN_GROUPS; /* it has more groups than are kept */
	const size_t *at = pcre2_get_ovector_pointer(s->data);
	for (int i = 0; ret && i < n; i++)
		if (at[2 * i] != PCRE2_UNSET && at[2 * i + 1] >= at[2 * i])
			ret->group[i] = (struct str){ subject.ptr + at[2 * i], at[2 * i + 1] - at[2 * i] };
	return PATTERN_YES;
}

bool pattern_match(const struct pattern *p, struct str subject, struct pattern_match *ret)
{
	return pattern_try(p, subject, ret) == PATTERN_YES;
}
