/* cni_ipam.h - which pod has which address: one small file per address, under one lock.
 *
 * The file is named by the address and holds the container id and the path of its network
 * namespace, so an entry outlives nothing: when the namespace is gone, it is stale and reused.
 * Addresses are handed out in turn, so one that was freed stays unused as long as possible.
 */
#pragma once

#include "roles/node/cni_conf.h"

/* The address that `container_id` has or now gets. ERR_UNAVAILABLE when the range is used up. */
int ipam_take(const struct cni_conf *c, const char *container_id, const char *netns,
	      struct in_addr *ret_ip, struct err *e) must_check;
int ipam_find(const struct cni_conf *c, const char *container_id, struct in_addr *ret_ip,
	      struct err *e) must_check; /* ERR_NOT_FOUND */
int ipam_release(const struct cni_conf *c, const char *container_id, struct err *e) must_check;
