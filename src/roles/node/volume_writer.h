/* volume_writer.h - puts a payload into a directory so that readers see all of it or none.
 *
 * The layout is Kubernetes' atomic writer (pkg/volume/util/atomic_writer.go): files lie in a
 * time-stamped directory, "..data" points to it and is renamed into place, and every top-level
 * name is a symlink through "..data".
 */
#pragma once

#include "roles/node/volume_payload.h"

struct volume_owner {
	int64_t uid, gid; /* -1: leave */
};
/* Blocking: runs on a worker thread. The directory exists. */
int payload_write(const char *dir, const struct payload *p, struct volume_owner owner,
		  struct err *e) must_check;
