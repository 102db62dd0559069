/* Values of settings as they would be written in an annotation. */
#include "roles/ingress/config/field.h"

#include "roles/ingress/config/settings.h"
#include "roles/ingress/http/variable.h"

#include <arpa/inet.h>
#include <inttypes.h>

static void print_size(uint64_t n, struct buf *out)
{
	static const char units[] = "kmg";
	int u = -1;

	while (u < 2 && n && n % 1024 == 0) {
		n /= 1024;
		u++;
	}
	buf_printf(out, "%" PRIu64 "%.*s", n, u >= 0, u >= 0 ? &units[u] : "");
}

static void print_cidr(const struct cidr *c, struct buf *out)
{
	static const uint8_t v4[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];
	bool is_v4 = c->bits >= 96 && memcmp(c->ip, v4, sizeof(v4)) == 0;

	inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? c->ip + 12 : c->ip, text, sizeof(text));
	buf_printf(out, "%s/%d", text, is_v4 ? c->bits - 96 : c->bits);
}

static void print_words(const struct field *f, unsigned bits, struct buf *out)
{
	const char *between = "";

	for (const struct field_word *w = f->words; w->word; w++)
		if (w->value && (bits & (unsigned)w->value)) {
			buf_printf(out, "%s%s", between, w->word);
			between = " ";
		}
}

static void print_word(const struct field *f, int value, struct buf *out)
{
	for (const struct field_word *w = f->words; w->word; w++)
		if (w->value == value) {
			buf_puts(out, w->word);
			return;
		}
}

static void print_list(const struct str_list *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++)
		buf_printf(out, "%s%s", i ? "," : "", l->at[i]);
}

static void print_cidrs(const struct cidr_list *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_puts(out, i ? "," : "");
		print_cidr(&l->at[i], out);
	}
}

static void print_codes(const unsigned *codes, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%u", i ? "," : "", codes[i]);
}

static void print_scalar(const struct field *f, const char *at, struct buf *out)
{
	int n = f->type == FIELD_BOOL || f->size == sizeof(bool) ? *(const bool *)at : *(const int *)at;

	if (f->type == FIELD_WORD)
		print_word(f, n, out);
	else if (f->type == FIELD_BOOL || (f->type == FIELD_TRISTATE && n >= 0))
		buf_puts(out, n ? "true" : "false");
	else if (f->type == FIELD_PERCENT)
		buf_printf(out, "%g", n / 10000.0);
	else if (f->type != FIELD_TRISTATE && (n >= 0 || f->min < 0))
		buf_printf(out, "%d", n);
}

void field_print(const struct field *f, const void *home, struct buf *out)
{
	const char *at = (const char *)home + f->offset;

	switch (f->type) {
	case FIELD_NONE:
	case FIELD_PATTERN:
		return;
	case FIELD_SIZE:
		print_size(*(const uint64_t *)at, out);
		return;
	case FIELD_TEXT:
		buf_puts(out, *(char *const *)at ? *(char *const *)at : "");
		return;
	case FIELD_LIST:
		print_list((const struct str_list *)at, out);
		return;
	case FIELD_CIDRS:
		print_cidrs((const struct cidr_list *)at, out);
		return;
	case FIELD_CODES:
		print_codes(*(unsigned *const *)at, *(const size_t *)((const char *)home + f->offset2), out);
		return;
	case FIELD_WORDS:
		print_words(f, *(const unsigned *)at, out);
		return;
	case FIELD_VARIABLES:
		if (*(struct variable_text *const *)at)
			buf_puts(out, variable_text_source(*(struct variable_text *const *)at));
		return;
	default:
		print_scalar(f, at, out);
	}
}
