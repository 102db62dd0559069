/* teardown.h - removes what the node role made on this machine and what outlives its process. */
#pragma once

#include "roles/config.h"

/* Blocks. What is gone already is no error. */
int node_teardown(const struct config *c, struct err *e) must_check;
