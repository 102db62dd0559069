/* What stands for something else within a word: variables of the environment, arguments of an import. */
#include "roles/dns/config/corefile_int.h"

#include "base/buf.h"

#define WORD_BYTES_MAX (64u << 10) /* a value in the environment is at most 128 KiB, and none that is meant here comes near */

static char *finish(struct arena *a, struct buf *b)
{
	char *text = b->overflow ? NULL : arena_strndup(a, b->ptr, b->len);

	buf_done(b);
	return text;
}

/* NAME, or NAME:default. */
static void put_variable(struct buf *out, struct str ref)
{
	struct str fallback;
	cleanup(freep) char *name = str_dup(str_cut(ref, ':', &fallback));
	const char *value = getenv(name);

	if (value)
		buf_puts(out, value);
	else if (fallback.ptr)
		buf_put_str(out, fallback);
}

/* The reference that `s` begins with: its length, 0: none. An empty one is no reference. */
static size_t reference(struct str s, struct str *ret_name)
{
	static const struct {
		struct str start, end;
	} forms[] = { { STR("{$"), STR("}") }, { STR("{%"), STR("%}") } };

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t from = forms[i].start.len;
		if (!str_starts(s, forms[i].start))
			continue;
		const char *end = memmem(s.ptr + from, s.len - from, forms[i].end.ptr, forms[i].end.len);
		if (!end || end == s.ptr + from)
			return 0;
		*ret_name = (struct str){ s.ptr + from, (size_t)(end - s.ptr) - from };
		return (size_t)(end - s.ptr) + forms[i].end.len;
	}
	return 0;
}

const char *corefile_expand_env(struct arena *a, const char *text)
{
	struct str s = str_of(text), name;
	struct buf out;

	if (!strstr(text, "{$") && !strstr(text, "{%"))
		return text;
	buf_init(&out, WORD_BYTES_MAX);
	while (s.len) {
		size_t n = reference(s, &name);
		if (n)
			put_variable(&out, name);
		else
			buf_putc(&out, *s.ptr);
		s.ptr += MAX(n, 1u);
		s.len -= MAX(n, 1u);
	}
	return finish(a, &out);
}

/* "{args[0]}" and "{args.0}": the length, 0: it is neither. */
static size_t argument(struct str s, size_t *ret_number)
{
	size_t n = sizeof("{args") - 1;
	char end;

	if (!str_starts(s, STR("{args")) || s.len < n + 3 || (s.ptr[n] != '[' && s.ptr[n] != '.'))
		return 0;
	end = s.ptr[n++] == '[' ? ']' : '}';
	const char *close = memchr(s.ptr + n, end, s.len - n);
	uint64_t number;
	if (!close || !str_to_u64((struct str){ s.ptr + n, (size_t)(close - s.ptr) - n }, COREFILE_LINE_WORDS_MAX, &number))
		return 0;
	*ret_number = number;
	n = (size_t)(close - s.ptr) + 1;
	if (end == ']' && (n == s.len || s.ptr[n++] != '}'))
		return 0;
	return n;
}

const char *corefile_expand_args(struct arena *a, const char *text, const char *const *args, size_t n_args, size_t *ret_missing)
{
	struct str s = str_of(text);
	struct buf out;
	size_t number;

	if (!strstr(text, "{args"))
		return text;
	buf_init(&out, WORD_BYTES_MAX);
	while (s.len) {
		size_t n = argument(s, &number);
		if (n && number >= n_args) {
			*ret_missing = number;
			buf_done(&out);
			return NULL;
		}
		if (n)
			buf_puts(&out, args[number]);
		else
			buf_putc(&out, *s.ptr);
		s.ptr += MAX(n, 1u);
		s.len -= MAX(n, 1u);
	}
	return finish(a, &out);
}
