/* h2_fields.h - header fields between nghttp2 and the exchange, for both sides. RFC 9113 §8.2. */
#pragma once

#include "roles/ingress/http/exchange.h"

#include <nghttp2/nghttp2.h>

/* Fields that speak of one HTTP/1 connection, and those that this proxy writes itself for each hop. */
bool h2_field_is_hop(struct str name);
/* A field's text for as long as the exchange lives; STR_NONE when its arena is full. */
struct str h2_field_keep(struct exchange *x, nghttp2_rcbuf *b);
/* nginx's ignore_invalid_headers: letters, digits and '-' pass, '_' by a setting of its own. */
bool h2_field_name_passes(struct str lower_name, bool underscores);
/* What is not about a hop, with its texts, in one allocation to be freed; NULL when there is nothing. nghttp2 writes the names
 * in lower case. */
nghttp2_nv *h2_fields_copy(const struct header_list *l, size_t *ret_n);

static inline nghttp2_nv h2_field(struct str name, struct str value)
{
	return (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
			    NGHTTP2_NV_FLAG_NONE};
}

/* The end of to[24] is used. */
struct str h2_number_text(uint64_t v, char to[24]);
