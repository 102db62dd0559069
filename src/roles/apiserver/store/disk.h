/* disk.h - the one SQLite file: rows of key → JSON, and the last resourceVersion.
 *
 * Blocks: only the store's background work may call disk_commit. One caller at a time.
 */
#pragma once

#include "base/err.h"

struct disk;
struct disk_op {
	char *key;	 /* owned by the batch; "pods/default/web", "deployments.apps/default/web",
			    "nodes//n0" */
	struct str json; /* ptr NULL: delete the row */
	uint64_t rv;
};
/* Makes the file and its tables if need be. */
struct disk *disk_open(const char *path, struct err *e) must_check;
void disk_close(struct disk *d); /* NULL is nothing */
/* Calls `row` for each stored object; ret_rv is the last resourceVersion given out. */
int disk_load(struct disk *d, void (*row)(void *ctx, struct str key, struct str json, uint64_t rv),
	      void *ctx, uint64_t *ret_rv, struct err *e) must_check;
/* All of the batch or nothing; durable on return. */
int disk_commit(struct disk *d, const struct disk_op *ops, size_t n, uint64_t last_rv,
		struct err *e) must_check;
