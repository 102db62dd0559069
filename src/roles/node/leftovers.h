/* leftovers.h - directories of pods that ended while no node role was there to clean up. */
#pragma once

#include "roles/node/node.h"

/* Once, when every pod is known: what belongs to none of them is removed in the background. */
void leftovers_remove(struct node *n);
