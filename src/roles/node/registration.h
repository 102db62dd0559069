/* registration.h - this machine's Node object and Lease: made, and kept true. */
#pragma once

#include "roles/node/node.h"

/* pod_cidr is called once the controllers have given the node its range, and again should it
 * change. */
struct registration *registration_new(struct node *n,
				      void (*pod_cidr)(struct node *n, const char *cidr));
void registration_free(struct registration *r);
/* The network has been set up: the node may be ready as soon as the runtime says so. */
void registration_network_ready(struct registration *r);
