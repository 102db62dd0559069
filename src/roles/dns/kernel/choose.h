/* choose.h - what of the configuration the kernel may answer, and which packets are for this instance.
 *
 * A zone: that of the block which plain questions about it come to, when they take the direct path, no plug-in guards it and
 * no other block takes some of its names. Addresses: where this instance listens; and the cluster's DNS Service with all its
 * endpoints when they are ours: in standalone, or when one of the endpoints is such an address. Main thread.
 */
#pragma once

#include "roles/dns/kernel/kernel.h"
#include "roles/dns/serve/listen.h"

struct kernel_choice;
/* `s->kernel` may be NULL: then this is NULL as well, and everything below does nothing. */
struct kernel_choice *kernel_choice_new(struct dns_shared *s, const struct dns_listen *l);
/* The configuration, or where it listens, is another one; first when its zones have been filled, so that the map is filled
 * once. The zone is kept until the next call. */
void kernel_choice_look(struct kernel_choice *c);
/* Lets go of the zone; before cluster_free. */
void kernel_choice_free(struct kernel_choice *c);

/* Pure: for tests. NULL: none. */
const struct dns_block *kernel_block(const struct dns_config *c);
