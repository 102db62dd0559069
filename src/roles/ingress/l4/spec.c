#include "roles/ingress/l4/spec.h"

static bool take_name(struct str s, char out[L4_NAME_MAX + 1])
{
	if (s.len == 0 || s.len > L4_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
			return false;
	}
	memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return true;
}

/* "" or "PROXY"; what is missing is "". */
static bool take_flag(struct str s, bool *ret)
{
	*ret = str_eq(s, STR("PROXY"));
	return *ret || s.len == 0;
}

int l4_spec_parse(const char *key, const char *value, struct l4_spec *ret, struct err *e)
{
	struct str rest, service, port, decode = STR_NONE, encode = STR_NONE;
	uint64_t number;

	*ret = (struct l4_spec){ 0 };
	if (!str_to_u64(str_of(key), UINT16_MAX, &number) || number == 0)
		return err_set(e, ERR_INVALID, "\"%s\" is no port", key);
	ret->port = (uint16_t)number;
	struct str name = str_cut(str_trim(str_of(value)), ':', &rest);
	struct str ns = str_cut(name, '/', &service);
	port = str_cut(rest, ':', &rest);
	if (rest.ptr)
		decode = str_cut(rest, ':', &rest);
	if (rest.ptr)
		encode = str_cut(rest, ':', &rest);
	if (rest.ptr || !take_name(ns, ret->ns) || !take_name(service, ret->service) || !take_name(port, ret->service_port) ||
	    !take_flag(decode, &ret->decode) || !take_flag(encode, &ret->encode))
		return err_set(e, ERR_INVALID, "\"%s\" is not \"namespace/service:port[:PROXY][:PROXY]\"", value);
	return 0;
}
