#include "roles/node/cgroup.h"

#include <dirent.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define MOUNT_ENTRY_BYTES 8192
#define DEPTH_MAX 8 /* /kubepods/qos/pod/container, and what a container makes below */

void cgroup_each(const char *path, void (*fn)(void *ctx, const char *dir, const char *controllers),
		 void *ctx)
{
	char text[MOUNT_ENTRY_BYTES];
	struct mntent entry;
	FILE *f = setmntent("/proc/self/mounts", "re");

	while (f && getmntent_r(f, &entry, text, sizeof(text))) {
		bool v2 = c_eq(entry.mnt_type, "cgroup2");
		if (!v2 && !c_eq(entry.mnt_type, "cgroup"))
			continue;
		cleanup(freep) char *dir = xasprintf("%s%s", entry.mnt_dir, path);
		fn(ctx, dir, v2 ? "unified" : entry.mnt_opts);
	}
	if (f)
		endmntent(f);
}

/* Children first. */
static void walk(const char *dir, int depth, void (*fn)(const char *dir))
{
	DIR *d = depth ? opendir(dir) : NULL;

	if (!d)
		return;
	for (const struct dirent *de; (de = readdir(d));) {
		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		cleanup(freep) char *below = xasprintf("%s/%s", dir, de->d_name);
		walk(below, depth - 1, fn);
	}
	closedir(d);
	fn(dir);
}

static void remove_one(const char *dir)
{
	rmdir(dir);
}

static void kill_one(const char *dir)
{
	cleanup(freep) char *path = xasprintf("%s/cgroup.procs", dir);
	FILE *f = fopen(path, "re");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid > 1)
			kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

static void remove_tree(void *ctx, const char *dir, const char *controllers)
{
	(void)ctx;
	(void)controllers;
	walk(dir, DEPTH_MAX, remove_one);
}

static void kill_tree(void *ctx, const char *dir, const char *controllers)
{
	(void)ctx;
	(void)controllers;
	walk(dir, DEPTH_MAX, kill_one);
}

static void remove_dir(void *ctx, const char *dir, const char *controllers)
{
	(void)ctx;
	(void)controllers;
	rmdir(dir);
}

void cgroup_remove_pod(const char *uid)
{
	static const char *const classes[] = { "", "/burstable", "/besteffort" };

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		cleanup(freep) char *path = xasprintf(CGROUP_ROOT "%s/pod%s", classes[i], uid);
		cgroup_each(path, kill_tree, NULL);
		cgroup_each(path, remove_tree, NULL);
	}
}

void cgroup_remove_root(void)
{
	static const char *const dirs[] = { CGROUP_ROOT "/burstable", CGROUP_ROOT "/besteffort",
					    CGROUP_ROOT };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		cgroup_each(dirs[i], remove_dir, NULL);
}
