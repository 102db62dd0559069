/* rtnl.h - the interfaces and IPv4 addresses of this network namespace, told as they change. rtnetlink(7).
 *
 * A watch first tells everything there is, then `synced`, then every change. When the kernel had to drop
 * messages, it tells everything again and `synced` once more: what was not told in between is gone.
 */
#pragma once

#include "loop/loop.h"

struct rtnl_link {
	int index;
	const char *name;
	const char *kind;  /* "veth", "bridge" …; "" for hardware */
	uint16_t type;	   /* ARPHRD_ETHER … (net/if_arp.h) */
	uint32_t flags;	   /* IFF_UP … */
	int32_t peer_nsid; /* of the namespace its other end is in; -1: this one, or no other end */
};
struct rtnl_addr {
	int index; /* of the interface */
	uint32_t ip; /* network order */
	uint8_t prefix_len;
	const char *label; /* as `ip address` shows it; may be NULL */
	bool host_scope;   /* valid on this host only: never chosen as the source of what leaves it */
};
struct rtnl_ops {
	void (*link)(void *ctx, const struct rtnl_link *l, bool gone);
	void (*addr)(void *ctx, const struct rtnl_addr *a, bool gone);
	void (*synced)(void *ctx);
};
struct rtnl_watch;
struct rtnl_watch *rtnl_watch_new(struct loop *l, const struct rtnl_ops *ops, void *ctx, struct err *e) must_check;
void rtnl_watch_free(struct rtnl_watch *w); /* NULL is nothing */

/* Single requests; they block for as long as the kernel needs, which is microseconds. */
/* An address that is there already, or gone already, is no error. Label: at most 15 bytes, begins with
 * the interface's name; NULL for none. */
int rtnl_addr_add(const struct rtnl_addr *a, struct err *e) must_check;
int rtnl_addr_del(const struct rtnl_addr *a, struct err *e) must_check;
/* Every address of this namespace. */
int rtnl_addr_each(void (*fn)(void *ctx, const struct rtnl_addr *a), void *ctx, struct err *e) must_check;
/* One interface as it is now; `name` in *ret_link is only valid until fn returns. */
int rtnl_link_get(int index, void (*fn)(void *ctx, const struct rtnl_link *l), void *ctx, struct err *e) must_check;
/* The number by which this namespace knows the one behind netns_fd; -1 in *ret_nsid when it has none. */
int rtnl_nsid_of(int netns_fd, int32_t *ret_nsid, struct err *e) must_check;
