#include "roles/dns/plugin/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

struct regex {
	pcre2_code *code;
	unsigned groups;
};

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

static const struct scratch *scratch_get(void)
{
	struct scratch *s = scratch_here;

	if (s)
		return s;
	pthread_once(&scratch_once, scratch_key_new);
	s = xcalloc(1, sizeof(*s));
	s->data = pcre2_match_data_create(REGEX_GROUPS_MAX, NULL);
	s->limits = pcre2_match_context_create(NULL);
	if (!s->data || !s->limits)
		abort();
	pcre2_set_match_limit(s->limits, REGEX_MATCH_LIMIT);
	pcre2_set_depth_limit(s->limits, REGEX_DEPTH_LIMIT);
	pthread_setspecific(scratch_key, s);
	scratch_here = s;
	return s;
}

/* ---- making ---- */

struct regex *regex_new(const char *text, struct err *e)
{
	size_t len = strlen(text), at;
	uint32_t groups = 0;
	int code;

	if (len > REGEX_BYTES_MAX) {
		err_set(e, ERR_INVALID, "the regular expression is longer than %d bytes", REGEX_BYTES_MAX);
		return NULL;
	}
	pcre2_code *c = pcre2_compile((PCRE2_SPTR)text, len, PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
	if (!c) {
		char why[128];

		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
		err_set(e, ERR_INVALID, "regular expression \"%.200s\": %s at offset %zu", text, why, at);
		return NULL;
	}
	pcre2_pattern_info(c, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups >= REGEX_GROUPS_MAX) {
		pcre2_code_free(c);
		err_set(e, ERR_INVALID, "the regular expression has %u groups, and %d are the most", groups, REGEX_GROUPS_MAX - 1);
		return NULL;
	}
	pcre2_jit_compile(c, PCRE2_JIT_COMPLETE); /* where executable memory is refused it is interpreted */
	struct regex *r = xcalloc(1, sizeof(*r));
	r->code = c;
	r->groups = groups;
	return r;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	free(r);
}

unsigned regex_groups(const struct regex *r)
{
	return r->groups;
}

int regex_group(const struct regex *r, const char *name)
{
	int n = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)name);

	return n > 0 ? n : -1;
}

/* ---- matching ---- */

bool regex_match(const struct regex *r, struct str subject, struct regex_match *ret)
{
	const struct scratch *s = scratch_get();
	PCRE2_SPTR text = (PCRE2_SPTR)(subject.len ? subject.ptr : "");
	int n = pcre2_match(r->code, text, subject.len, 0, 0, s->data, s->limits);

	if (n == PCRE2_ERROR_JIT_STACKLIMIT)
		n = pcre2_match(r->code, text, subject.len, 0, PCRE2_NO_JIT, s->data, s->limits);
	if (n < 0)
		return false;
	if (!ret)
		return true;
	*ret = (struct regex_match){ 0 };
	const size_t *at = pcre2_get_ovector_pointer(s->data);
	for (int i = 0; i < n; i++)
		if (at[2 * i] != PCRE2_UNSET && at[2 * i + 1] >= at[2 * i])
			ret->group[i] = (struct str){ (const char *)text + at[2 * i], at[2 * i + 1] - at[2 * i] };
	return true;
}

/* ---- {1} ---- */

/* The group that is named at `text`, and behind it; -1: none. */
static int group_at(const char *text, const char **ret_end)
{
	int n = 0;

	if (*text++ != '{' || *text < '0' || *text > '9')
		return -1;
	for (; *text >= '0' && *text <= '9' && n < 1000; text++)
		n = n * 10 + *text - '0';
	*ret_end = text + 1;
	return *text == '}' ? n : -1;
}

void regex_expand(struct buf *out, const char *text, const struct regex_match *m)
{
	while (*text) {
		const char *end;
		int n = group_at(text, &end);
		if (n >= 0 && n < REGEX_GROUPS_MAX) {
			buf_put_str(out, m->group[n]);
			text = end;
		} else {
			buf_putc(out, *text++);
		}
	}
}

unsigned regex_expand_groups(const char *text)
{
	int most = 0;

	for (; *text; text++) {
		const char *end;
		int n = group_at(text, &end);
		most = MAX(most, n);
	}
	return (unsigned)most;
}
