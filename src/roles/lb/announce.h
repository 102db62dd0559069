/* announce.h - makes LoadBalancer addresses this machine's own.
 *
 * They are /32 on the loopback, marked by a label, so the kernel answers ARP for them on every link and
 * nothing but the kernel has to remember them. Host byte order.
 */
#pragma once

#include "base/err.h"

#define ANNOUNCE_LABEL "lo:portico"

struct announce {
	int arp_fd; /* opened while the role still has its privileges */
};
int announce_init(struct announce *a, struct err *e) must_check;
void announce_done(struct announce *a);
/* Neighbours are told (gratuitous ARP) on every link that has addresses. */
int announce_add(struct announce *a, uint32_t ip, struct err *e) must_check;
int announce_del(uint32_t ip, struct err *e) must_check;
/* Every address that is marked as ours; fn may remove it. */
int announce_each(void (*fn)(void *ctx, uint32_t ip), void *ctx, struct err *e) must_check;
/* The interface that has `ip`, ours left out; false when none has. */
bool announce_in_use(uint32_t ip, char ret_name[16]);
