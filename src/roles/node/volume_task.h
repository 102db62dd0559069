/* volume_task.h - one step of making a volume, as data for a worker thread. */
#pragma once

#include "roles/node/volume_writer.h"

enum task_kind { TASK_EMPTY_DIR, TASK_FILES, TASK_HOST_PATH };

struct volume_task {
	enum task_kind kind;
	char *path;
	bool tmpfs;
	int64_t tmpfs_bytes; /* 0: the kernel's default */
	const struct host_path_type *host_type;
	struct payload payload;
	struct volume_owner owner;
};
void volume_task_done(struct volume_task *t);
int volume_task_run(const struct volume_task *t, struct err *e) must_check; /* blocking */

/* hostPath.type; NULL when unknown. */
const struct host_path_type *host_path_type_find(const char *name);
/* Detaches every mount below dir. Blocking. */
int unmount_below(const char *dir, struct err *e) must_check;
