#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>

/* Machine code is several times as large as PCRE2's own: only expressions that are used often get it, and not all of them. */
#define JIT_AFTER_MATCHES 256
#define JIT_BYTES_MAX (4u << 20)

struct regex {
	pcre2_code *code; /* NULL: "^literal", which needs none */
	_Atomic(pcre2_code *) jit;
	_Atomic uint32_t matches;
	const struct regex_limits *limits;
	struct str literal; /* what a subject begins with; of `text` */
	bool caseless;
	char text[];
};

static _Atomic size_t jit_bytes;

/* ---- scratch space of each thread ---- */

struct scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	const struct regex_limits *limits; /* that `context` has */
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static __thread struct scratch *scratch_here;

static void scratch_free(void *p)
{
	struct scratch *s = p;

	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	free(s);
}

static void scratch_key_new(void)
{
	if (pthread_key_create(&scratch_key, scratch_free) != 0)
		abort();
}

static __attribute__((noinline)) struct scratch *scratch_new(void)
{
	struct scratch *s = xcalloc(1, sizeof(*s));

	pthread_once(&scratch_once, scratch_key_new);
	s->data = pcre2_match_data_create(REGEX_GROUPS_MAX, NULL);
	s->context = pcre2_match_context_create(NULL);
	if (!s->data || !s->context)
		abort();
	pthread_setspecific(scratch_key, s);
	return s;
}

static const struct scratch *scratch_get(const struct regex_limits *limits)
{
	struct scratch *s = scratch_here;

	if (!s)
		s = scratch_here = scratch_new();
	if (s->limits != limits) {
		pcre2_set_match_limit(s->context, limits->steps);
		pcre2_set_depth_limit(s->context, limits->depth);
		s->limits = limits;
	}
	return s;
}

/* ---- literals: most subjects do not even begin as an expression does ---- */

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

static bool literal_fits(const struct regex *r, struct str subject)
{
	struct str head = { subject.ptr, r->literal.len };

	if (subject.len < r->literal.len)
		return false;
	return r->caseless ? str_ieq(head, r->literal) : str_eq(head, r->literal);
}

/* ---- making ---- */

static uint32_t pcre2_options(unsigned options)
{
	return (options & REGEX_CASELESS ? PCRE2_CASELESS : 0) | (options & REGEX_ANCHORED ? PCRE2_ANCHORED : 0) |
	       (options & REGEX_END_ONLY ? PCRE2_DOLLAR_ENDONLY : 0);
}

struct regex *regex_new(const char *text, unsigned options, const struct regex_limits *limits, struct err *e)
{
	size_t len = strlen(text), at;
	int code;

	if (len > limits->text_bytes) {
		err_set(e, ERR_INVALID, "the regular expression is longer than %u bytes", limits->text_bytes);
		return NULL;
	}
	struct regex *r = xcalloc(1, sizeof(*r) + len + 1);
	memcpy(r->text, text, len + 1);
	r->limits = limits;
	r->caseless = options & REGEX_CASELESS;
	r->literal = literal_of(r->text);
	if (r->literal.len && r->literal.len + 1 == len)
		return r;
	r->code = pcre2_compile((PCRE2_SPTR)r->text, len, pcre2_options(options), &code, &at, NULL);
	if (!r->code) {
		char why[128];

		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		err_set(e, ERR_INVALID, "regular expression \"%.200s\": %s at offset %zu", text, why, at);
		free(r);
		return NULL;
	}
	return r;
}

static size_t jit_size(const pcre2_code *code)
{
	size_t n = 0;

	pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &n);
	return n;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	pcre2_code *jit = atomic_load(&r->jit);
	if (jit) {
		atomic_fetch_sub(&jit_bytes, jit_size(jit));
		pcre2_code_free(jit);
	}
	pcre2_code_free(r->code);
	free(r);
}

unsigned regex_groups(const struct regex *r)
{
	uint32_t n = 0;

	if (r->code)
		pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &n);
	return n;
}

int regex_group(const struct regex *r, const char *name)
{
	int n = r->code ? pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)name) : -1;

	return n > 0 ? n : -1;
}

/* ---- matching ---- */

/* On a copy: other threads are matching with the original. Where executable memory is refused it simply stays away. */
static pcre2_code *make_jit(struct regex *r)
{
	pcre2_code *copy = atomic_load(&jit_bytes) < JIT_BYTES_MAX ? pcre2_code_copy(r->code) : NULL;

	if (!copy)
		return NULL;
	if (pcre2_jit_compile(copy, PCRE2_JIT_COMPLETE) != 0 || jit_size(copy) == 0) {
		pcre2_code_free(copy);
		return NULL;
	}
	atomic_fetch_add(&jit_bytes, jit_size(copy));
	atomic_store_explicit(&r->jit, copy, memory_order_release);
	return copy;
}

/* One thread counts the last match before it is made. Later ones only read: what never gets machine code would else be
 * written to by all threads for ever. */
static __attribute__((noinline)) pcre2_code *jit_when_worth(struct regex *r)
{
	if (atomic_load_explicit(&r->matches, memory_order_relaxed) >= JIT_AFTER_MATCHES ||
	    atomic_fetch_add_explicit(&r->matches, 1, memory_order_relaxed) != JIT_AFTER_MATCHES - 1)
		return NULL;
	return make_jit(r);
}

static int run(const struct regex *r, const struct scratch *s, struct str subject)
{
	pcre2_code *jit = atomic_load_explicit(&r->jit, memory_order_acquire);
	int rc = PCRE2_ERROR_JIT_STACKLIMIT;

	if (!jit)
		jit = jit_when_worth((struct regex *)r); /* the count and the machine code are caches */
	if (jit)
		rc = pcre2_match(jit, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, s->data, s->context);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(r->code, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, s->data, s->context);
	return rc;
}

/* `found` pairs of offsets are set. */
static void tell_groups(const struct scratch *s, struct str subject, unsigned found, struct str *ret, unsigned n)
{
	const size_t *at = pcre2_get_ovector_pointer(s->data);

	memset(ret, 0, n * sizeof(*ret));
	for (unsigned i = 0; i < n && i < found; i++, at += 2)
		if (at[0] != PCRE2_UNSET && at[1] >= at[0])
			ret[i] = (struct str){ subject.ptr + at[0], at[1] - at[0] };
}

enum regex_result regex_match(const struct regex *r, struct str subject, struct str *ret_groups, unsigned n)
{
	if (r->literal.len && !literal_fits(r, subject))
		return REGEX_NO;
	if (!r->code) {
		for (unsigned i = 0; i < n; i++)
			ret_groups[i] = i ? STR_NONE : (struct str){ subject.ptr, r->literal.len };
		return REGEX_YES;
	}
	const struct scratch *s = scratch_get(r->limits);
	if (!subject.ptr)
		subject = STR("");
	int found = run(r, s, subject);
	if (found < 0)
		return found == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
	if (n) /* 0: it has more groups than are told */
		tell_groups(s, subject, found ? (unsigned)found : REGEX_GROUPS_MAX, ret_groups, n);
	return REGEX_YES;
}
