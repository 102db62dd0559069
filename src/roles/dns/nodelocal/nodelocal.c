#include "roles/dns/nodelocal/nodelocal.h"

#include "base/log.h"
#include "roles/dns/nodelocal/follow.h"
#include "roles/dns/nodelocal/guard.h"
#include "roles/dns/nodelocal/hooks.h"

#include <arpa/inet.h>

#define BEAT_MS 500
#define METADATA_IP "169.254.169.254" /* clouds' metadata service */

struct nodelocal {
	struct guard *guard;
	struct hooks *hooks;
	struct follow *follow;
	struct loop *loop;
	struct timer beat;
};

static int parse_local(const char *text, struct in_addr *ret, struct err *e)
{
	bool parsed = inet_pton(AF_INET, text, ret) == 1;

	if (!parsed || (ntohl(ret->s_addr) >> 16) != 0xa9fe /* 169.254.0.0/16, RFC 3927 */)
		return err_set(e, ERR_INVALID, "--node-local '%s' must be an IPv4 link-local address, such as 169.254.20.10", text);
	if (strcmp(text, METADATA_IP) == 0)
		return err_set(e, ERR_INVALID, "--node-local '%s' is the metadata service of clouds: take another, such as 169.254.20.10",
			       text);
	return 0;
}

static struct hooks *attach(struct in_addr local, struct err *e)
{
	cleanup(freep) char *cgroup = hooks_cgroup_root(e);

	return cgroup ? hooks_new(cgroup, local.s_addr, e) : NULL;
}

struct nodelocal *nodelocal_prepare(const struct config *c, struct err *e)
{
	struct nodelocal *n = xcalloc(1, sizeof(*n));
	struct in_addr local;

	if (parse_local(c->node_local, &local, e) < 0)
		goto fail;
	n->guard = guard_start(c, local, e);
	if (!n->guard)
		goto fail_named;
	n->hooks = attach(local, e);
	if (n->hooks)
		return n;
fail_named:
	err_wrap(e, "--node-local %s", c->node_local);
fail:
	nodelocal_free(n);
	return NULL;
}

static void beat(struct timer *t)
{
	struct nodelocal *n = t->ctx;

	__atomic_store_n(&hooks_shared(n->hooks)->beat_ns, loop_fresh_us() * 1000, __ATOMIC_RELAXED);
	timer_start(n->loop, t, BEAT_MS);
}

static void on_targets(void *ctx, const struct nodelocal_targets *t)
{
	struct nodelocal *n = ctx;
	char ip[INET_ADDRSTRLEN] = "";

	hooks_targets_set(n->hooks, t);
	if (t->n)
		inet_ntop(AF_INET, &t->at[0].addr, ip, sizeof(ip));
	log_info("node-local: sockets that ask %s%s reach this instance", t->n ? ip : "no address",
		 t->n > 1 ? " and others" : "");
}

void nodelocal_start(struct nodelocal *n, struct loop *l, struct kube_client *k)
{
	if (guard_tracked(n->guard))
		log_info("node-local: packets to the address are tracked: %s", guard_tracked(n->guard));
	if (!hooks_first(n->hooks))
		log_info("node-local: other socket programs come first here: the endpoints of the DNS Service lead here as well");
	n->loop = l;
	n->beat = (struct timer){ .fire = beat, .ctx = n };
	beat(&n->beat);
	n->follow = follow_new(l, k, !hooks_first(n->hooks), on_targets, n);
}

void nodelocal_serving(struct nodelocal *n, bool serving)
{
	if (n)
		__atomic_store_n(&hooks_shared(n->hooks)->serving, serving, __ATOMIC_RELEASE);
}

void nodelocal_free(struct nodelocal *n)
{
	if (!n)
		return;
	if (n->hooks)
		nodelocal_serving(n, false);
	follow_free(n->follow);
	timer_stop(&n->beat);
	hooks_free(n->hooks);
	guard_end(n->guard);
	free(n);
}
