#include "codec/dns_cookie.h"
#include "codec/dns_edns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is given is taken when it comes back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dns_cookie_secrets secrets = { 2, { { 1 }, { 2 } } };
	static const uint8_t ip[16] = { 0x20, 1 };
	uint8_t cookie[DNS_COOKIE_BYTES], again[DNS_COOKIE_BYTES];
	struct str options = { (const char *)data, size };
	struct dns_edns_reply reply = { 0 };
	enum dns_cookie_state state;

	if (!dns_edns_valid(options))
		return 0;
	size_t n = dns_cookie_check(&secrets, options, ip, 16, 1000000, cookie, &state);
	if (!n)
		return 0;
	dns_edns_put(&reply, DNS_OPTION_COOKIE, cookie, n);
	if (dns_cookie_check(&secrets, dns_edns_str(&reply), ip, 16, 1000000, again, &state) != n || state != DNS_COOKIE_GOOD ||
	    memcmp(cookie, again, n) != 0)
		abort();
	return 0;
}
