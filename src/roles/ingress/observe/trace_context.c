/* The two headers of W3C Trace Context, read strictly. */
#include "roles/ingress/observe/trace.h"

#include <stdio.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_bytes(const char *text, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool all_zero(const uint8_t *at, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= at[i];
	return any == 0;
}

/* 00-<32 hex>-<16 hex>-<2 hex>; later versions may go on behind another dash (section 3.2.4). */
bool trace_parent_parse(struct str text, struct trace_context *ret)
{
	struct trace_context c;
	uint8_t version, flags;

	if (text.len < TRACE_PARENT_BYTES - 1 || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
		return false;
	if (!hex_bytes(text.ptr, &version, 1) || !hex_bytes(text.ptr + 3, c.trace_id, 16) ||
	    !hex_bytes(text.ptr + 36, c.span_id, 8) || !hex_bytes(text.ptr + 53, &flags, 1))
		return false;
	if (version == 0xff || all_zero(c.trace_id, 16) || all_zero(c.span_id, 8))
		return false;
	if (text.len > TRACE_PARENT_BYTES - 1 && (version == 0 || text.ptr[55] != '-'))
		return false;
	c.sampled = flags & 1;
	*ret = c;
	return true;
}

void trace_parent_write(const struct trace_context *c, char out[TRACE_PARENT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out + 3;

	memcpy(out, "00-", 3);
	for (size_t i = 0; i < 16; i++) {
		*p++ = digits[c->trace_id[i] >> 4];
		*p++ = digits[c->trace_id[i] & 15];
	}
	*p++ = '-';
	for (size_t i = 0; i < 8; i++) {
		*p++ = digits[c->span_id[i] >> 4];
		*p++ = digits[c->span_id[i] & 15];
	}
	memcpy(p, c->sampled ? "-01" : "-00", 4);
}

static bool key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' || c == '/';
}

/* simple-key, or tenant@system (section 3.3.1.3.1). */
static bool key_valid(struct str key)
{
	struct str system, tenant = str_cut(key, '@', &system);
	const struct str parts[] = { tenant, system };

	if (tenant.len == 0 || tenant.len > (system.ptr ? 241 : 256) || (system.ptr && (system.len == 0 || system.len > 14)))
		return false;
	for (size_t p = 0; p < 2; p++)
		for (size_t i = 0; i < parts[p].len; i++)
			if (!key_char(parts[p].ptr[i]))
				return false;
	if (system.ptr)
		return system.ptr[0] >= 'a' && system.ptr[0] <= 'z';
	return tenant.ptr[0] >= 'a' && tenant.ptr[0] <= 'z';
}

static bool value_valid(struct str v)
{
	if (v.len == 0 || v.len > 256 || v.ptr[v.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] < 0x20 || v.ptr[i] > 0x7e || v.ptr[i] == ',' || v.ptr[i] == '=')
			return false;
	return true;
}

bool trace_state_valid(struct str text)
{
	unsigned members = 0;

	if (text.len == 0 || text.len > TRACE_STATE_BYTES_MAX)
		return false;
	for (struct str rest = text; rest.ptr;) {
		struct str value, member = str_trim(str_cut(rest, ',', &rest));
		if (member.len == 0)
			continue;
		struct str key = str_cut(member, '=', &value);
		if (++members > TRACE_STATE_MEMBERS_MAX || !key_valid(key) || !value_valid(value))
			return false;
	}
	return members > 0;
}
