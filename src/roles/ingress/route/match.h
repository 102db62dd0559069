/* match.h - paths within a host. Used by routes.c (reading) and build.c (making). */
#pragma once

#include "roles/ingress/route/routes.h"

/* h->all is complete and without duplicates: brings it into matching order and makes the index. */
void host_index(struct host *h);
void host_index_free(struct host *h);
/* Of h, not referenced; NULL: none. */
const struct location *host_match(const struct host *h, struct str path);
