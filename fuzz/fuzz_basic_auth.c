/* The Authorization header of basic authentication; address ranges. */
#include "roles/ingress/filter/basic_auth.h"
#include "roles/ingress/filter/cidr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size }, user, password;
	struct cidr_list l = { 0 };
	struct err e;
	struct addr a;
	struct buf b;
	buf_init(&b, 4096);
	if (basic_credentials_parse(text, &b, &user, &password) &&
	    (user.len + 1 + password.len != b.len || password.ptr != user.ptr + user.len + 1))
		abort();
	buf_done(&b);
	/* What was read contains its own first address. */
	if (cidr_list_parse(text, &l, &e) == 0 && l.n > 0) {
		a = (struct addr){ .ss.ss_family = AF_INET6 };
		memcpy((char *)&a.ss + 8, l.at[l.n - 1].ip, 16);
		if (!cidr_list_has(&l, &a))
			abort();
	}
	cidr_list_done(&l);
	return 0;
}
