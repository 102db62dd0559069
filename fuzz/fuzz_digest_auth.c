/* The Authorization header of digest authentication, and users' files. */
#include "roles/ingress/filter/digest_auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct digest_credentials c;
	struct htdigest *h = htdigest_new();
	char out[HTDIGEST_HEX_MAX + 1];
	struct err e;

	if (digest_credentials_parse(text, &c)) {
		if (c.uri.ptr < text.ptr || c.uri.ptr + c.uri.len > text.ptr + size || c.nc.len != 8)
			abort();
		if (!digest_response(&c, "0", STR("GET"), out))
			abort();
		if (digest_nonce_fresh(c.nonce, "r", UINT64_MAX / 2))
			abort(); /* nobody guesses the key */
	}
	if (htdigest_add_file(h, text, &e) == 0 && htdigest_add_user(h, STR("ann"), text, &e) == 0 && htdigest_count(h) > size + 1)
		abort();
	htdigest_free(h);
	return 0;
}
