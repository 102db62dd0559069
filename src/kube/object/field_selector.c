/* k8s.io/apimachinery pkg/fields: terms joined by commas; a backslash escapes ',', '=' and itself
 * in values. */
#include "kube/object/selector.h"

#define FIELD_TERMS_MAX 64 /* no kind has that many selectable fields */

/* The operator in a term: the first of !=, ==, = that is not behind a backslash. */
static size_t find_operator(struct str term, size_t *ret_len)
{
	for (size_t i = 0; i < term.len; i++) {
		struct str rest = { term.ptr + i, term.len - i };

		if (term.ptr[i] == '\\') {
			i++;
		} else if (str_starts(rest, STR("!=")) || str_starts(rest, STR("=="))) {
			*ret_len = 2;
			return i;
		} else if (term.ptr[i] == '=') {
			*ret_len = 1;
			return i;
		}
	}
	return term.len;
}

/* Takes the backslashes out of `s`, in place; it lies in the selector's own copy. */
static int unescape(struct str *s, struct err *e)
{
	char *to = (char *)s->ptr;

	for (size_t i = 0; i < s->len; i++) {
		char c = s->ptr[i];

		if (c == '\\') {
			if (++i == s->len || !memchr("\\,=", s->ptr[i], 3))
				return err_set(e, ERR_BAD_REQUEST,
					       "invalid field selector: invalid escape sequence");
			c = s->ptr[i];
		} else if (c == ',' || c == '=') {
			return err_set(e, ERR_BAD_REQUEST,
				       "invalid field selector: unescaped character in value: %c",
				       c);
		}
		*to++ = c;
	}
	s->len = (size_t)(to - s->ptr);
	return 0;
}

static int parse_term(struct field_selector *s, struct str term, struct err *e)
{
	size_t len = 0, at = find_operator(term, &len);

	if (!len)
		return err_set(e, ERR_BAD_REQUEST,
			       "invalid selector: '" STR_FMT "'; can't understand '" STR_FMT "'",
			       STR_ARG(term), STR_ARG(term));
	if (s->n == FIELD_TERMS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "more than %d terms in a field selector",
			       FIELD_TERMS_MAX);
	struct field_requirement r = { .path = { term.ptr, at },
				       .value = { term.ptr + at + len, term.len - at - len },
				       .not_equal = term.ptr[at] == '!' };
	if (unescape(&r.value, e) < 0)
		return -1;
	s->at[s->n++] = r;
	return 0;
}

/* The length up to the next comma that is not behind a backslash. */
static size_t term_len(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == ',')
			return i;
	}
	return s.len;
}

int field_selector_parse(struct str text, struct field_selector *ret_selector, struct err *e)
{
	struct field_selector s = { .text_ = str_dup(text),
				    .at = xcalloc(FIELD_TERMS_MAX, sizeof(*s.at)) };

	for (struct str rest = { s.text_, text.len }; rest.len;) {
		size_t len = term_len(rest);

		if (len && parse_term(&s, (struct str){ rest.ptr, len }, e) < 0) {
			field_selector_done(&s);
			return -1;
		}
		len += len < rest.len;
		rest = (struct str){ rest.ptr + len, rest.len - len };
	}
	*ret_selector = s;
	return 0;
}

void field_selector_done(struct field_selector *s)
{
	free(s->text_);
	free(s->at);
	*s = (struct field_selector){ 0 };
}
