#include "roles/node/cgroup.h"

#include <dirent.h>
#include <mntent.h>
#include <stdio.h>
#include <unistd.h>

#define MOUNT_ENTRY_BYTES 8192
#define DEPTH_MAX 8 /* /kubepods/qos/pod/container, and what a container makes below */

static void remove_tree(const char *dir, int depth)
{
	DIR *d = depth ? opendir(dir) : NULL;

	if (!d)
		return;
	for (const struct dirent *de; (de = readdir(d));) {
		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		cleanup(freep) char *below = xasprintf("%s/%s", dir, de->d_name);
		remove_tree(below, depth - 1);
	}
	closedir(d);
	rmdir(dir);
}

void cgroup_remove(const char *path)
{
	char text[MOUNT_ENTRY_BYTES];
	struct mntent entry;
	FILE *f = setmntent("/proc/self/mounts", "re");

	while (f && getmntent_r(f, &entry, text, sizeof(text))) {
		if (!c_eq(entry.mnt_type, "cgroup") && !c_eq(entry.mnt_type, "cgroup2"))
			continue;
		cleanup(freep) char *dir = xasprintf("%s%s", entry.mnt_dir, path);
		remove_tree(dir, DEPTH_MAX);
	}
	if (f)
		endmntent(f);
}
