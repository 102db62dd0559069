/* relist.h - the regular look at the runtime, which finds what no event told. */
#pragma once

#include "roles/node/node.h"

void relist_start(struct node *n);
void relist_stop(struct node *n);
