#include "roles/proxy/dp_int.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MOUNT_SOURCE "portico" /* the mark by which dp_remove knows a mount of ours */
#define MAPS_PREFIX "maps_v"

char *dp_maps_dir(const char *pin_dir)
{
	return xasprintf("%s/" MAPS_PREFIX "%d", pin_dir, DP_LAYOUT);
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash != path ? xstrndup(path, slash - path) : xstrdup("/");
}

static int bpffs_ensure(const char *dir, struct err *e)
{
	struct statfs fs;

	if (statfs(dir, &fs) == -1)
		return err_errno(e, errno, "'%s', where BPF objects are kept", dir);
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount(MOUNT_SOURCE, dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == -1)
		return err_errno(e, errno, "mount a BPF file system at '%s'", dir);
	return 0;
}

static int dir_ensure(const char *path, struct err *e)
{
	return mkdir(path, 0700) == -1 && errno != EEXIST ? err_errno(e, errno, "make '%s'", path) : 0;
}

int dp_pins_prepare(const char *pin_dir, struct err *e)
{
	cleanup(freep) char *parent = parent_of(pin_dir);
	cleanup(freep) char *maps = dp_maps_dir(pin_dir), *links = xasprintf("%s/links", pin_dir);

	if (bpffs_ensure(parent, e) < 0 || dir_ensure(pin_dir, e) < 0 || dir_ensure(maps, e) < 0)
		return -1;
	return dir_ensure(links, e);
}

/* One level: `each` may be NULL. The directory itself goes too. */
static int pins_remove(const char *dir, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_errno(e, errno, "open '%s'", dir);
	while (rc == 0 && (de = readdir(d))) {
		cleanup(freep) char *path = xasprintf("%s/%s", dir, de->d_name);

		if (de->d_name[0] == '.')
			continue;
		dp_clsact_remove(de->d_name);
		if (unlink(path) == -1 && errno != ENOENT)
			rc = err_errno(e, errno, "remove '%s'", path);
	}
	closedir(d);
	if (rc == 0 && rmdir(dir) == -1 && errno != ENOENT)
		rc = err_errno(e, errno, "remove '%s'", dir);
	return rc;
}

static int maps_remove(const char *pin_dir, bool also_current, struct err *e)
{
	cleanup(freep) char *current = dp_maps_dir(pin_dir);
	DIR *d = opendir(pin_dir);
	struct dirent *de;
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_errno(e, errno, "open '%s'", pin_dir);
	while (rc == 0 && (de = readdir(d))) {
		cleanup(freep) char *path = xasprintf("%s/%s", pin_dir, de->d_name);

		if (strncmp(de->d_name, MAPS_PREFIX, strlen(MAPS_PREFIX)) == 0 &&
		    (also_current || strcmp(path, current) != 0))
			rc = pins_remove(path, e);
	}
	closedir(d);
	return rc;
}

void dp_pins_drop_old(const char *pin_dir)
{
	struct err ignored; /* costs memory only, and is tried at the next start */

	(void)!maps_remove(pin_dir, false, &ignored);
}

static bool mounted_by_us(const char *dir)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char source[64], target[512];
	bool ours = false;

	if (!f)
		return false;
	while (fscanf(f, "%63s %511s %*[^\n]", source, target) == 2)
		if (strcmp(target, dir) == 0)
			ours = strcmp(source, MOUNT_SOURCE) == 0;
	fclose(f);
	return ours;
}

static bool dir_is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	bool empty = true;

	if (!d)
		return false;
	while (empty && (de = readdir(d)))
		empty = de->d_name[0] == '.' || strstr(de->d_name, ".debug") != NULL;
	closedir(d);
	return empty;
}

int dp_remove(const char *pin_dir, struct err *e)
{
	cleanup(freep) char *parent = parent_of(pin_dir), *links = xasprintf("%s/links", pin_dir);

	if (pins_remove(links, e) < 0 || maps_remove(pin_dir, true, e) < 0)
		return -1;
	if (rmdir(pin_dir) == -1 && errno != ENOENT)
		return err_errno(e, errno, "remove '%s'", pin_dir);
	if (mounted_by_us(parent) && dir_is_empty(parent) && umount2(parent, MNT_DETACH) == -1)
		return err_errno(e, errno, "unmount '%s'", parent);
	return 0;
}
