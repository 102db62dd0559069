#include "codec/dns_edns.h"

#include "codec/dns_int.h"

#define OPTION_HEAD_BYTES 4

bool dns_edns_next(struct str options, struct dns_edns_option *o)
{
	const uint8_t *p = (const uint8_t *)options.ptr + o->end_;
	size_t left = options.len - o->end_;

	if (left < OPTION_HEAD_BYTES || left - OPTION_HEAD_BYTES < get_u16(p + 2))
		return false;
	o->code = get_u16(p);
	o->value = (struct str){ (const char *)p + OPTION_HEAD_BYTES, get_u16(p + 2) };
	o->end_ += OPTION_HEAD_BYTES + o->value.len;
	return true;
}

bool dns_edns_valid(struct str options)
{
	struct dns_edns_option o = { 0 };

	while (dns_edns_next(options, &o))
		;
	return o.end_ == options.len;
}

bool dns_edns_put(struct dns_edns_reply *r, uint16_t code, const void *value, size_t len)
{
	uint8_t *p = r->bytes + r->len;

	if (OPTION_HEAD_BYTES + len > sizeof(r->bytes) - r->len)
		return false;
	set_u16(p, code);
	set_u16(p + 2, (unsigned)len);
	if (len)
		memcpy(p + OPTION_HEAD_BYTES, value, len);
	r->len += OPTION_HEAD_BYTES + len;
	return true;
}

struct str dns_edns_str(const struct dns_edns_reply *r)
{
	return (struct str){ (const char *)r->bytes, r->len };
}
