/* teardown.h - removes what the lb role made on this machine and what outlives its process. */
#pragma once

#include "roles/config.h"

/* Blocks. What is gone already is no error. */
int lb_teardown(const struct config *c, struct err *e) must_check;
