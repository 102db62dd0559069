#include "roles/lb/teardown.h"

#include "roles/lb/announce.h"

struct removal {
	struct err *e;
	int rc;
};

static void remove_one(void *ctx, uint32_t ip)
{
	struct removal *r = ctx;

	if (announce_del(ip, r->e) < 0)
		r->rc = -1;
}

int lb_teardown(const struct config *c, struct err *e)
{
	struct removal r = { .e = e };

	(void)c; /* the addresses carry their mark themselves */
	if (announce_each(remove_one, &r, e) < 0)
		return -1;
	return r.rc;
}
