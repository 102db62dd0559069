/* A password file is read, its users looked up, a password compared with each quick hash. */
#include "roles/ingress/filter/cidr.h"
#include "roles/ingress/filter/htpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str file = { (const char *)data, size }, rest;
	struct err e;
	struct htpasswd *h = htpasswd_new(file, &e);
	struct str line = str_cut(file, '\n', &rest);
	bool known, right = false;
	if (h != NULL) {
		struct str hash = htpasswd_find(h, str_cut(line, ':', &rest), &known);
		if (hash.ptr != NULL && password_hash_is_quick(hash))
			right = password_verify(hash, line);
	}
	htpasswd_free(h);
	/* apr1 is our own code, and quick enough. */
	if (str_starts(file, STR("$apr1$")))
		right = password_verify(line, rest) || right;
	return right ? 0 : 0;
}
