#include "roles/node/volume_task.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNT_OPTIONS_BYTES 64
#define MOUNT_ENTRY_BYTES 8192

struct host_path_type {
	const char *name;
	mode_t format;	  /* S_IFDIR, …; 0: anything, even nothing */
	mode_t make_mode; /* created with it when missing; 0: must exist */
	const char *what;
};

static const struct host_path_type host_path_types[] = {
	{ "", 0, 0, "" },
	{ "DirectoryOrCreate", S_IFDIR, 0755, "a directory" },
	{ "Directory", S_IFDIR, 0, "a directory" },
	{ "FileOrCreate", S_IFREG, 0644, "a file" },
	{ "File", S_IFREG, 0, "a file" },
	{ "Socket", S_IFSOCK, 0, "a socket" },
	{ "CharDevice", S_IFCHR, 0, "a character device" },
	{ "BlockDevice", S_IFBLK, 0, "a block device" },
};

const struct host_path_type *host_path_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(host_path_types); i++)
		if (c_eq(host_path_types[i].name, name))
			return &host_path_types[i];
	return NULL;
}

void volume_task_done(struct volume_task *t)
{
	free(t->path);
	payload_done(&t->payload);
	*t = (struct volume_task){ 0 };
}

static int host_path_make(const char *path, const struct host_path_type *t, struct err *e)
{
	if (t->format == S_IFDIR)
		return dir_make(path, t->make_mode, e);
	cleanup(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, t->make_mode);
	return fd == -1 ? err_errno(e, errno, "create '%s'", path) : 0;
}

static int run_host_path(const struct volume_task *t, struct err *e)
{
	const struct host_path_type *type = t->host_type;
	struct stat st;

	if (!type->format)
		return 0;
	if (stat(t->path, &st) == -1) {
		if (type->make_mode && errno == ENOENT)
			return host_path_make(t->path, type, e);
		return err_set(e, ERR_INVALID, "hostPath type check failed: %s is not %s", t->path,
			       type->what);
	}
	if ((st.st_mode & S_IFMT) != type->format)
		return err_set(e, ERR_INVALID, "hostPath type check failed: %s is not %s", t->path,
			       type->what);
	return 0;
}

static bool is_mount_point(const char *path)
{
	cleanup(freep) char *parent = xasprintf("%s/..", path);
	struct stat own, up;

	return stat(path, &own) == 0 && stat(parent, &up) == 0 && own.st_dev != up.st_dev;
}

static int mount_tmpfs(const struct volume_task *t, struct err *e)
{
	char options[MOUNT_OPTIONS_BYTES] = "";

	if (is_mount_point(t->path))
		return 0;
	if (t->tmpfs_bytes > 0)
		snprintf(options, sizeof(options), "size=%lld", (long long)t->tmpfs_bytes);
	if (mount("tmpfs", t->path, "tmpfs", MS_NOSUID | MS_NODEV, options) == -1)
		return err_errno(e, errno, "mount a tmpfs on '%s'", t->path);
	return 0;
}

static int make_dir(const struct volume_task *t, struct err *e)
{
	struct volume_owner o = t->owner;
	bool files = t->kind == TASK_FILES;

	if (dir_make(t->path, 0755, e) < 0 || (t->tmpfs && mount_tmpfs(t, e) < 0))
		return -1;
	mode_t mode = files ? 0755 : 0777;
	if (o.gid >= 0 && chown(t->path, (uid_t)-1, (gid_t)o.gid) == -1)
		return err_errno(e, errno, "change the group of '%s'", t->path);
	if (chmod(t->path, o.gid >= 0 ? mode | S_ISGID : mode) == -1)
		return err_errno(e, errno, "change the mode of '%s'", t->path);
	return files ? payload_write(t->path, &t->payload, o, e) : 0;
}

int volume_task_run(const struct volume_task *t, struct err *e)
{
	return t->kind == TASK_HOST_PATH ? run_host_path(t, e) : make_dir(t, e);
}

int unmount_below(const char *dir, struct err *e)
{
	cleanup(freep) char *prefix = xasprintf("%s/", dir);
	char text[MOUNT_ENTRY_BYTES];
	struct mntent entry;
	int rc = 0;
	/* Detaching changes the table that is being read: start over until a pass finds nothing. */
	for (bool again = true; again && rc == 0;) {
		FILE *f = setmntent("/proc/self/mounts", "re");
		if (!f)
			return err_errno(e, errno, "read /proc/self/mounts");
		again = false;
		while (!again && getmntent_r(f, &entry, text, sizeof(text)))
			again = strncmp(entry.mnt_dir, prefix, strlen(prefix)) == 0;
		endmntent(f);
		if (again && umount2(entry.mnt_dir, MNT_DETACH | UMOUNT_NOFOLLOW) == -1)
			rc = err_errno(e, errno, "unmount '%s'", entry.mnt_dir);
	}
	return rc;
}
