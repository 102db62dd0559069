/* snapshot.h - a table as it was at an earlier resourceVersion, from the history. */
#pragma once

#include "roles/apiserver/store/store.h"

struct snapshot {
	struct object **at; /* owned references, sorted as the table */
	size_t n;
};
/* rv is between store_oldest_rv and store_rv. */
void snapshot_take(const struct store *s, const struct table *t, uint64_t rv, struct snapshot *ret);
void snapshot_done(struct snapshot *sn);
