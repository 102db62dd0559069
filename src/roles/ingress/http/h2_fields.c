#include "roles/ingress/http/h2_fields.h"

#include "roles/ingress/http/header.h"

bool h2_field_is_hop(struct str name)
{
	switch (header_id(name)) {
	case H_HOP:
	case H_CONNECTION:
	case H_UPGRADE:
	case H_TE:
	case H_HOST:
	case H_LENGTH:
		return true;
	default:
		return false;
	}
}

/* nghttp2's own tables' texts live for ever; others until the next field. */
struct str h2_field_keep(struct exchange *x, nghttp2_rcbuf *b)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

	if (nghttp2_rcbuf_is_static(b))
		return (struct str){(const char *)v.base, v.len};
	const char *copy = arena_strndup(&x->arena, (const char *)v.base, v.len);
	return copy ? (struct str){copy, v.len} : STR_NONE;
}

bool h2_field_name_passes(struct str name, bool underscores)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
		    !(c == '_' && underscores))
			return false;
	}
	return true;
}

static char *put(char *to, struct str s, struct str *ret)
{
	if (s.len)
		memcpy(to, s.ptr, s.len);
	*ret = (struct str){to, s.len};
	return to + s.len;
}

nghttp2_nv *h2_fields_copy(const struct header_list *l, size_t *ret_n)
{
	size_t bytes = 0, n = 0;

	for (size_t i = 0; i < l->n; i++)
		bytes += l->at[i].name.len + l->at[i].value.len;
	nghttp2_nv *list = xmalloc(l->n * sizeof(*list) + bytes + 1);
	char *text = (char *)(list + l->n);
	for (size_t i = 0; i < l->n; i++) {
		struct str name, value;

		if (h2_field_is_hop(l->at[i].name))
			continue;
		text = put(text, l->at[i].name, &name);
		text = put(text, l->at[i].value, &value);
		list[n++] = h2_field(name, value);
	}
	*ret_n = n;
	if (n)
		return list;
	free(list);
	return NULL;
}

struct str h2_number_text(uint64_t v, char to[24])
{
	char *at = to + 24;

	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	return (struct str){at, (size_t)(to + 24 - at)};
}
