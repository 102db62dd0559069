/* The session cookie is the client's to invent: a member is chosen whatever it says, and what is set is one line. */
#include "../tests/unit/ingress_fake_upstream.h"
#include "roles/ingress/upstream/balance_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake f;
	static struct fake_backend fb, canary_fb;
	static struct settings canary_set = { .canary = true, .canary_weight = 50, .canary_weight_total = 100 };
	struct canary canary = { .set = &canary_set, .backend = &canary_fb.b, .ingress = "default/canary" };
	const char *why;
	bool full;

	if (!size)
		return 0;
	fake_init(&f, "GET", "http://a.test/");
	fake_backend_init(&fb, "default-web-80", 3, 0);
	fake_backend_init(&canary_fb, "default-canary-80", 2, 100);
	f.loc.backend = &fb.b;
	f.loc.canaries = &canary;
	f.loc.n_canaries = data[0] >> 1 & 1;
	f.set.affinity_cookie = true;
	f.set.affinity_mode = data[0] & 1 ? AFFINITY_PERSISTENT : AFFINITY_BALANCED;
	f.set.session_cookie_name = (char *)(uintptr_t)"S";
	f.set.session_cookie_expires_s = f.set.session_cookie_max_age_s = f.set.session_cookie_secure = -1;
	header_add(&f.x, &f.x.req.headers, "cookie", (struct str){ (const char *)data + 1, size - 1 });
	f.x.backend = canary_choose(&f.x, &why);
	struct endpoint *e = balance_pick_at(&f.x, f.x.backend, 1000, &full);
	struct fake_backend *of = f.x.backend == &fb.b ? &fb : &canary_fb;
	if (e < of->e || e >= of->e + of->es.n)
		abort();
	affinity_set_cookie(&f.x);
	struct str set = header_get(&f.x.ans.headers, "Set-Cookie");
	if (set.len && memchr(set.ptr, '\n', set.len))
		abort();
	balance_done_at(&f.x, e, false, 1, 1000);
	fake_backend_done(&fb);
	fake_backend_done(&canary_fb);
	fake_done(&f);
	return 0;
}
