/* dp.h - the kernel side's handle: programs, pinned maps and links.
 *
 * Everything is pinned below one directory of a BPF file system, so it serves on when the process ends.
 * Opening it again takes the maps over; attaching again replaces the programs of the links atomically.
 */
#pragma once

#include "roles/proxy/tables.h"

struct dp_options {
	const char *pin_dir; /* "/sys/fs/bpf/portico"; its parent is mounted if it is no BPF file system yet */
	const char *cgroup;  /* the cgroup2 directory whose processes are served */
	bool clsact;	     /* attach to interfaces the way kernels before 6.6 need */
};
enum dp_side { DP_SIDE_HOST, DP_SIDE_POD };

struct dp;
struct dp *dp_open(const struct dp_options *o, const struct dp_config *c, struct err *e) must_check;
void dp_close(struct dp *dp); /* NULL is nothing; what is pinned stays */
/* Removes links, filters, maps and, if dp_open made it, the mount. Gone already is no error. */
int dp_remove(const char *pin_dir, struct err *e) must_check;

int dp_sock_origins_fd(const struct dp *dp); /* the map, for the iterator of sockdestroy.h */

/* What the maps hold; the caller frees both arrays. */
int dp_snapshot(struct dp *dp, struct tables_frontend **ret_frontends, size_t *ret_n, struct svc_source **ret_sources,
		size_t *ret_n_sources, struct err *e) must_check;
int dp_apply(struct dp *dp, const struct tables_changes *c, struct err *e) must_check;

int dp_attach_sockets(struct dp *dp, struct err *e) must_check;
int dp_attach_link(struct dp *dp, int ifindex, enum dp_side side, struct err *e) must_check;
void dp_detach_link(struct dp *dp, int ifindex);
/* Drops pins of interfaces that are not in the list: they went while nobody watched. */
void dp_links_keep(struct dp *dp, const int *ifindexes, size_t n);

/* Both tell the kernel the whole set; `netns` of kind 0 are left out. */
int dp_node_addrs_set(struct dp *dp, const __be32 *addrs, size_t n, struct err *e) must_check;
int dp_netns_set(struct dp *dp, uint64_t cookie, enum netns_kind kind, struct err *e) must_check;
int dp_netns_del(struct dp *dp, uint64_t cookie, struct err *e) must_check;
int dp_netns_keep(struct dp *dp, const uint64_t *cookies, size_t n, struct err *e) must_check;
int dp_counters_read(struct dp *dp, uint64_t ret_counters[DP_COUNTERS], struct err *e) must_check;
