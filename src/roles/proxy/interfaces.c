#include "roles/proxy/interfaces.h"

#include "base/log.h"
#include "net/rtnl.h"
#include "roles/proxy/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if_arp.h>
#include <semaphore.h>

/* A pod's namespace may not have its name yet when its veth appears; packets serve it until it has. */
#define SEARCH_FIRST_MS 5
#define SEARCH_MAX_MS 10000
#define SEARCH_PORTION 256 /* pods looked for at a time: the next search takes the rest */
#define ADDRS_MAX DP_NODE_ADDRS_MAX

enum attached { ATTACHED_NOT, ATTACHED_HOST, ATTACHED_POD };

struct interface {
	int index;
	char *name;
	uint16_t type;
	bool pod, seen; /* seen: told since the last full report began */
	enum attached attached;
	int32_t peer_nsid;
	uint64_t cookie; /* of the pod's namespace; 0: not found yet */
	struct list link;
};

struct address {
	int index;
	__be32 ip;
	bool seen;
};

/* Attaching waits for the kernel's readers, some 15 ms a program: on a thread, in portions. */
#define ATTACH_PORTION 32
struct attach_order {
	int index;
	enum attached side;
	int rc;
	struct err e;
};
struct attach_job {
	struct work work;
	struct interfaces *is; /* NULL: freed meanwhile */
	struct dp *dp;
	struct attach_order orders[ATTACH_PORTION];
	size_t n;
	sem_t ran; /* the thread needs dp no more */
};

struct interfaces {
	struct loop *loop;
	struct dp *dp;
	struct rtnl_watch *watch;
	struct list all;
	struct address addrs[ADDRS_MAX];
	size_t n_addrs;
	bool addrs_changed, synced, told_ready;
	struct attach_job *job; /* under way */
	struct defer settle;
	struct timer search;
	uint64_t search_ms;
	void (*ready)(void *ctx);
	void *ctx;
};

static struct interface *interface_find(struct interfaces *is, int index)
{
	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);
		if (i->index == index)
			return i;
	}
	return NULL;
}

static void interface_free(struct interface *i)
{
	list_del(&i->link);
	free(i->name);
	free(i);
}

static void interface_gone(struct interfaces *is, struct interface *i)
{
	struct err e;

	dp_detach_link(is->dp, i->index);
	if (i->cookie && dp_netns_del(is->dp, i->cookie, &e) < 0)
		log_warn("interface=%s %s, skipping", i->name, e.message);
	interface_free(i);
}

static bool has_address(const struct interfaces *is, int index)
{
	for (size_t i = 0; i < is->n_addrs; i++)
		if (is->addrs[i].index == index)
			return true;
	return false;
}

static enum attached wanted(const struct interfaces *is, const struct interface *i)
{
	if (i->type != ARPHRD_ETHER) /* the loopback, tunnels: no Ethernet header, nothing from outside */
		return ATTACHED_NOT;
	if (i->pod)
		return ATTACHED_POD;
	return has_address(is, i->index) ? ATTACHED_HOST : ATTACHED_NOT;
}

static void attach_run(struct work *w)
{
	struct attach_job *job = container_of(w, struct attach_job, work);

	for (size_t k = 0; k < job->n; k++) {
		struct attach_order *o = &job->orders[k];
		o->rc = dp_attach_link(job->dp, o->index, o->side == ATTACHED_POD ? DP_SIDE_POD : DP_SIDE_HOST, &o->e);
	}
	sem_post(&job->ran);
}

static void attach_note(struct interfaces *is, const struct attach_order *o)
{
	struct interface *i = interface_find(is, o->index);

	if (!i) {
		dp_detach_link(is->dp, o->index); /* it went meanwhile */
		return;
	}
	i->attached = o->side;
	/* Gone again: its message is on the way. */
	if (o->rc < 0 && o->e.sys_errno != ENODEV)
		log_warn("interface=%s %s, skipping", i->name, o->e.message);
	log_debug("interface=%s index=%d side=%s", i->name, i->index, o->side == ATTACHED_POD ? "pod" : "host");
}

static void attach_done(struct work *w)
{
	struct attach_job *job = container_of(w, struct attach_job, work);
	struct interfaces *is = job->is;

	if (is) {
		is->job = NULL;
		for (size_t k = 0; k < job->n; k++)
			attach_note(is, &job->orders[k]);
		loop_defer(is->loop, &is->settle);
	}
	free(job);
}

/* One job at a time; what is left over is seen when it has ended. */
static void attach_start(struct interfaces *is)
{
	struct attach_job *job = is->job ? NULL : xcalloc(1, sizeof(*job));

	if (!job)
		return;
	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);
		enum attached want = wanted(is, i);

		if (want != i->attached && want != ATTACHED_NOT && job->n < ATTACH_PORTION)
			job->orders[job->n++] = (struct attach_order){ .index = i->index, .side = want };
	}
	if (job->n == 0) {
		free(job);
		return;
	}
	job->is = is;
	job->dp = is->dp;
	sem_init(&job->ran, 0, 0);
	job->work = (struct work){ .run = attach_run, .done = attach_done };
	is->job = job;
	loop_work(is->loop, &job->work);
}

static void detach_unwanted(struct interfaces *is)
{
	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);

		if (i->attached == ATTACHED_NOT || wanted(is, i) != ATTACHED_NOT)
			continue;
		dp_detach_link(is->dp, i->index);
		i->attached = ATTACHED_NOT;
	}
}

static void addresses_settle(struct interfaces *is)
{
	__be32 ips[ADDRS_MAX];
	size_t n = 0;
	struct err e;

	if (!is->addrs_changed)
		return;
	is->addrs_changed = false;
	for (size_t i = 0; i < is->n_addrs; i++)
		if ((ntohl(is->addrs[i].ip) >> 24) != 127) /* loopback is for the host's own sockets: known by itself */
			ips[n++] = is->addrs[i].ip;
	if (dp_node_addrs_set(is->dp, ips, n, &e) < 0)
		log_warn("%s, skipping", e.message);
}

/* --- pods' namespaces --- */

size_t interfaces_pods(const struct interfaces *is, int32_t *ret_nsids, size_t max)
{
	size_t n = 0;

	list_for(pos, tmp, &is->all) {
		const struct interface *i = list_entry(pos, struct interface, link);
		if (i->pod && i->peer_nsid >= 0 && n < max)
			ret_nsids[n++] = i->peer_nsid;
	}
	return n;
}

static size_t search_collect(struct interfaces *is, int32_t *nsids, size_t max)
{
	size_t n = 0;

	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);
		if (i->pod && !i->cookie && i->peer_nsid >= 0 && n < max)
			nsids[n++] = i->peer_nsid;
	}
	return n;
}

static void search_store(struct interfaces *is, const int32_t *nsids, const uint64_t *cookies, size_t n)
{
	struct err e;

	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);

		for (size_t k = 0; k < n && i->pod && !i->cookie; k++) {
			if (nsids[k] != i->peer_nsid || !cookies[k])
				continue;
			if (dp_netns_set(is->dp, cookies[k], NETNS_POD, &e) < 0)
				log_warn("interface=%s %s, skipping", i->name, e.message);
			else
				i->cookie = cookies[k];
			log_debug("interface=%s netns=%llu", i->name, (unsigned long long)i->cookie);
		}
	}
}

static void peer_read(void *ctx, const struct rtnl_link *l)
{
	struct interface *i = ctx;

	i->peer_nsid = l->peer_nsid;
}

/* The other end may have been moved into its namespace after the last message. */
static bool peers_unknown(struct interfaces *is)
{
	bool unknown = false;
	struct err e;

	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);

		if (!i->pod || i->cookie)
			continue;
		if (i->peer_nsid < 0 && rtnl_link_get(i->index, peer_read, i, &e) < 0)
			log_debug("interface=%s %s", i->name, e.message);
		unknown = true;
	}
	return unknown;
}

static bool search_run(struct interfaces *is)
{
	int32_t nsids[SEARCH_PORTION];
	uint64_t cookies[SEARCH_PORTION];
	struct err e;

	if (!peers_unknown(is))
		return false;
	size_t n = search_collect(is, nsids, SEARCH_PORTION);
	if (n > 0 && netns_cookies(nsids, n, cookies, &e) < 0)
		log_warn("%s, skipping", e.message);
	search_store(is, nsids, cookies, n);
	return peers_unknown(is);
}

static void search_fire(struct timer *t)
{
	struct interfaces *is = t->ctx;

	if (!search_run(is))
		return;
	is->search_ms = MIN(is->search_ms * 2, SEARCH_MAX_MS);
	timer_start(is->loop, &is->search, is->search_ms);
}

static void search_start(struct interfaces *is)
{
	if (!search_run(is))
		return;
	is->search_ms = SEARCH_FIRST_MS;
	timer_start(is->loop, &is->search, is->search_ms);
}

/* --- events --- */

static void settle_run(struct defer *d)
{
	struct interfaces *is = container_of(d, struct interfaces, settle);

	if (!is->synced)
		return;
	addresses_settle(is);
	detach_unwanted(is);
	attach_start(is);
	search_start(is);
	if (!is->job && !is->told_ready) {
		is->told_ready = true;
		is->ready(is->ctx);
	}
}

static void on_link(void *ctx, const struct rtnl_link *l, bool gone)
{
	struct interfaces *is = ctx;
	struct interface *i = interface_find(is, l->index);

	if (gone) {
		if (i)
			interface_gone(is, i);
		return;
	}
	if (!i) {
		i = xcalloc(1, sizeof(*i));
		i->index = l->index;
		list_append(&is->all, &i->link);
	}
	free(i->name);
	i->name = xstrdup(l->name);
	i->type = l->type;
	i->pod = strncmp(l->name, DP_POD_LINK_PREFIX, strlen(DP_POD_LINK_PREFIX)) == 0;
	i->peer_nsid = l->peer_nsid;
	i->seen = true;
	loop_defer(is->loop, &is->settle);
}

static void on_addr(void *ctx, const struct rtnl_addr *a, bool gone)
{
	struct interfaces *is = ctx;
	size_t at = 0;

	while (at < is->n_addrs && (is->addrs[at].index != a->index || is->addrs[at].ip != a->ip))
		at++;
	if (gone && at < is->n_addrs) {
		is->addrs[at] = is->addrs[--is->n_addrs];
	} else if (!gone && at < is->n_addrs) {
		is->addrs[at].seen = true;
		return;
	} else if (!gone && at < ADDRS_MAX) {
		is->addrs[is->n_addrs++] = (struct address){ .index = a->index, .ip = a->ip, .seen = true };
	}
	is->addrs_changed = true;
	loop_defer(is->loop, &is->settle);
}

/* Nothing that a full report left out still exists. */
static void unseen_drop(struct interfaces *is)
{
	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);

		if (!i->seen)
			interface_gone(is, i);
		else
			i->seen = false;
	}
	for (size_t k = 0; k < is->n_addrs; k++) {
		if (is->addrs[k].seen)
			is->addrs[k].seen = false;
		else
			is->addrs[k--] = is->addrs[--is->n_addrs];
	}
}

/* Pins and namespaces from before a restart that belong to nothing any more. */
static void leftovers_drop(struct interfaces *is, uint64_t own_cookie)
{
	int *indexes = NULL;
	uint64_t *cookies = xcalloc(1, sizeof(*cookies));
	size_t n = 0, n_cookies = 0;
	struct err e;

	cookies[n_cookies++] = own_cookie;
	list_for(pos, tmp, &is->all) {
		struct interface *i = list_entry(pos, struct interface, link);

		indexes = xrealloc(indexes, (n + 1) * sizeof(*indexes));
		cookies = xrealloc(cookies, (n_cookies + 1) * sizeof(*cookies));
		indexes[n++] = i->index;
		if (i->cookie)
			cookies[n_cookies++] = i->cookie;
	}
	dp_links_keep(is->dp, indexes, n);
	if (dp_netns_keep(is->dp, cookies, n_cookies, &e) < 0)
		log_warn("%s, skipping", e.message);
	free(indexes);
	free(cookies);
}

static void on_synced(void *ctx)
{
	struct interfaces *is = ctx;
	bool first = !is->synced;
	uint64_t own;
	struct err e;

	unseen_drop(is);
	is->synced = is->addrs_changed = true;
	search_run(is);
	if (first && netns_cookie_own(&own, &e) < 0)
		log_warn("%s, skipping", e.message);
	else if (first)
		leftovers_drop(is, own);
	loop_defer(is->loop, &is->settle);
}

static const struct rtnl_ops watch_ops = { .link = on_link, .addr = on_addr, .synced = on_synced };

struct interfaces *interfaces_new(struct loop *l, struct dp *dp, void (*ready)(void *ctx), void *ctx, struct err *e)
{
	struct interfaces *is = xcalloc(1, sizeof(*is));
	uint64_t own;

	is->loop = l;
	is->dp = dp;
	is->ready = ready;
	is->ctx = ctx;
	is->settle.run = settle_run;
	is->search = (struct timer){ .fire = search_fire, .ctx = is };
	list_init(&is->all);
	if (netns_cookie_own(&own, e) == 0 && dp_netns_set(dp, own, NETNS_HOST, e) == 0)
		is->watch = rtnl_watch_new(l, &watch_ops, is, e);
	if (is->watch)
		return is;
	interfaces_free(is);
	return NULL;
}

void interfaces_free(struct interfaces *is)
{
	if (!is)
		return;
	if (is->job) {
		is->job->is = NULL;
		while (sem_wait(&is->job->ran) == -1)
			; /* interrupted */
	}
	rtnl_watch_free(is->watch);
	timer_stop(&is->search);
	defer_cancel(&is->settle);
	list_for(pos, tmp, &is->all) {
		interface_free(list_entry(pos, struct interface, link));
	}
	free(is);
}
