#include "codec/dns_cookie.h"

#include "codec/dns_edns.h"
#include "codec/dns_int.h"

#include <endian.h>

#define SERVER_BYTES 16
#define SERVER_BYTES_MIN 8
#define HASHED_BYTES 16 /* client cookie, version, reserved, time */
#define VERSION 1

static void put_hash(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t cookie[HASHED_BYTES], const uint8_t *ip, size_t ip_len,
		     uint8_t out[8])
{
	uint8_t in[HASHED_BYTES + 16];
	uint64_t hash;

	memcpy(in, cookie, HASHED_BYTES);
	memcpy(in + HASHED_BYTES, ip, ip_len);
	hash = htole64(siphash24(key, in, HASHED_BYTES + ip_len));
	memcpy(out, &hash, 8);
}

/* The time of a cookie that is ours. */
static bool is_ours(const struct dns_cookie_secrets *s, struct str cookie, const uint8_t *ip, size_t ip_len, size_t *ret_key)
{
	const uint8_t *p = (const uint8_t *)cookie.ptr;
	uint8_t hash[8];

	if (cookie.len != DNS_COOKIE_BYTES || p[8] != VERSION)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		unsigned differ = 0;
		put_hash(s->keys[i], p, ip, ip_len, hash);
		for (int k = 0; k < 8; k++)
			differ |= hash[k] ^ p[16 + k]; /* no sooner done for a wrong one than for a right one */
		if (!differ) {
			*ret_key = i;
			return true;
		}
	}
	return false;
}

static void make(const struct dns_cookie_secrets *s, const uint8_t *client, const uint8_t *ip, size_t ip_len, uint32_t now_s, uint8_t *out)
{
	memmove(out, client, DNS_COOKIE_CLIENT_BYTES);
	memcpy(out + 8, (const uint8_t[]){ VERSION, 0, 0, 0 }, 4);
	set_u32(out + 12, now_s);
	put_hash(s->keys[0], out, ip, ip_len, out + 16);
}

static struct str find(struct str options)
{
	for (struct dns_edns_option o = { 0 }; dns_edns_next(options, &o);)
		if (o.code == DNS_OPTION_COOKIE)
			return o.value.ptr ? o.value : STR("");
	return STR_NONE;
}

size_t dns_cookie_check(const struct dns_cookie_secrets *s, struct str options, const uint8_t *ip, size_t ip_len, uint32_t now_s,
			uint8_t reply[DNS_COOKIE_BYTES], enum dns_cookie_state *ret_state)
{
	struct str cookie = find(options);
	size_t key = 0;

	*ret_state = DNS_COOKIE_NONE;
	if (!cookie.ptr)
		return 0;
	*ret_state = DNS_COOKIE_MALFORMED;
	if (cookie.len != DNS_COOKIE_CLIENT_BYTES &&
	    (cookie.len < DNS_COOKIE_CLIENT_BYTES + SERVER_BYTES_MIN || cookie.len > DNS_COOKIE_BYTES_MAX))
		return 0;
	*ret_state = cookie.len == DNS_COOKIE_CLIENT_BYTES ? DNS_COOKIE_CLIENT : DNS_COOKIE_BAD;
	if (is_ours(s, cookie, ip, ip_len, &key)) {
		/* Serial number arithmetic: RFC 9018, 4.3. */
		int32_t age = (int32_t)(now_s - get_u32((const uint8_t *)cookie.ptr + 12));
		if (age <= DNS_COOKIE_LIFE_S && age >= -DNS_COOKIE_AHEAD_S)
			*ret_state = DNS_COOKIE_GOOD;
		if (*ret_state == DNS_COOKIE_GOOD && age <= DNS_COOKIE_RENEW_S && key == 0) {
			memcpy(reply, cookie.ptr, DNS_COOKIE_BYTES);
			return DNS_COOKIE_BYTES;
		}
	}
	make(s, (const uint8_t *)cookie.ptr, ip, ip_len, now_s, reply);
	return DNS_COOKIE_BYTES;
}
