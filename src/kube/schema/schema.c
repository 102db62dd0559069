#include "kube/schema/schema.h"

#include "base/buf.h"
#include "base/fnv.h"

#include <stdio.h>

static int str_cmp_c(struct str a, const char *b)
{
	size_t b_len = strlen(b);
	int c = memcmp(a.ptr, b, MIN(a.len, b_len));

	return c ? c : (a.len > b_len) - (a.len < b_len);
}

const struct schema_type *schema_type_find(const char *name)
{
	size_t low = 0, high = n_schema_types;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = strcmp(name, schema_types[mid]->name);

		if (c == 0)
			return schema_types[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct schema_field *schema_field_find(const struct schema_type *t, struct str name)
{
	size_t low = 0, high = t->n_fields;

	if (!name.ptr)
		return NULL;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = str_cmp_c(name, t->fields[mid].name);

		if (c == 0)
			return &t->fields[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* Rows by (group, version, plural) and by (group, version, kind). The rows are known when the
 * program is built, so a plain hash and linear probing suffice; every request looks here. */
#define INDEX_SLOTS 256 /* more than twice the rows */
static struct resource_index {
	uint8_t slots[INDEX_SLOTS]; /* row + 1 */
} by_plural, by_kind;

static uint32_t hash_more(uint32_t h, struct str s)
{
	return fnv1a_32(fnv1a_32(h, s.ptr, s.len), "/", 1);
}

static uint32_t row_hash(struct str group, struct str version, struct str name)
{
	return hash_more(hash_more(hash_more(FNV1A_32, group), version), name);
}

static void index_add(struct resource_index *ix, const struct resource *r, const char *name)
{
	uint32_t h = row_hash(str_of(r->group), str_of(r->version), str_of(name));

	while (ix->slots[h % INDEX_SLOTS])
		h++;
	ix->slots[h % INDEX_SLOTS] = (uint8_t)(r - resources + 1);
}

__attribute__((constructor)) static void index_init(void)
{
	assert(n_resources < INDEX_SLOTS / 2);
	for (const struct resource *r = resources; r < resources + n_resources; r++) {
		index_add(&by_plural, r, r->plural);
		index_add(&by_kind, r, r->kind);
	}
}

static const struct resource *index_get(const struct resource_index *ix, struct str group,
					struct str version, struct str name, size_t name_at)
{
	for (uint32_t h = row_hash(group, version, name); ix->slots[h % INDEX_SLOTS]; h++) {
		const struct resource *r = &resources[ix->slots[h % INDEX_SLOTS] - 1];
		const char *row_name = *(const char *const *)((const char *)r + name_at);

		if (str_eq_c(group, r->group) && str_eq_c(version, r->version) &&
		    str_eq_c(name, row_name))
			return r;
	}
	return NULL;
}

const struct resource *resource_find(struct str group, struct str version, struct str plural)
{
	return index_get(&by_plural, group, version, plural, offsetof(struct resource, plural));
}

const struct resource *resource_find_kind(struct str group, struct str version, struct str kind)
{
	return index_get(&by_kind, group, version, kind, offsetof(struct resource, kind));
}

char *resource_api_version(const struct resource *r)
{
	return r->group[0] ? xasprintf("%s/%s", r->group, r->version) : xstrdup(r->version);
}

void field_errors_done(struct field_errors *fe)
{
	for (size_t i = 0; i < fe->n; i++) {
		free(fe->at[i].field);
		free(fe->at[i].message);
	}
	free(fe->at);
	*fe = (struct field_errors){ 0 };
}

void field_error_add(struct field_errors *fe, const char *type, const char *field, const char *fmt,
		     ...)
{
	va_list ap;
	char *message;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		abort();
	va_end(ap);
	/* Grows by doubling: n is a power of two exactly when the array is full. */
	if ((fe->n & (fe->n - 1)) == 0)
		fe->at = xrealloc(fe->at, MAX(fe->n * 2, 1) * sizeof(*fe->at));
	fe->at[fe->n++] = (struct field_error){ xstrdup(field), type, message };
}

#define FIELD_ERRORS_TEXT_BYTES (1u << 20) /* a Status body; the causes carry the rest */

char *field_errors_text(const struct field_errors *fe)
{
	struct buf b;

	buf_init(&b, FIELD_ERRORS_TEXT_BYTES);
	if (fe->n != 1)
		buf_putc(&b, '[');
	for (size_t i = 0; i < fe->n; i++)
		buf_printf(&b, "%s%s: %s", i ? ", " : "", fe->at[i].field, fe->at[i].message);
	if (fe->n != 1)
		buf_putc(&b, ']');
	return buf_take(&b);
}
