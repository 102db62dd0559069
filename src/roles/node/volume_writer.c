#include "roles/node/volume_writer.h"

#include "base/file.h"
#include "loop/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATA_LINK "..data"
#define DATA_LINK_NEW "..data_tmp"
#define STAMP_BYTES 64

/* "..2026_11_21_10_00_00.123456789" */
static void stamp(char out[STAMP_BYTES])
{
	struct timespec now;
	struct tm tm;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "..%Y_%m_%d_%H_%M_%S", &tm);
	snprintf(out, STAMP_BYTES, "%s.%09ld", day, now.tv_nsec);
}

static int make_parents(const char *root, const char *relative, struct err *e)
{
	const char *slash = strrchr(relative, '/');

	if (!slash)
		return 0;
	cleanup(freep) char *dir = xasprintf("%s/%.*s", root, (int)(slash - relative), relative);
	return dir_make(dir, 0755, e);
}

static int write_file(const char *root, const struct payload_file *f, struct volume_owner o,
		      struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/%s", root, f->path);
	mode_t mode = f->mode;

	if (make_parents(root, f->path, e) < 0)
		return -1;
	/* Below fsGroup, the group reads what the owner reads. */
	if (o.gid >= 0)
		mode |= 0440;
	cleanup(closep) int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_errno(e, errno, "create '%s'", path);
	for (size_t done = 0; done < f->len;) {
		ssize_t n = write(fd, f->data + done, f->len - done);
		if (n == -1 && errno != EINTR)
			return err_errno(e, errno, "write '%s'", path);
		done += n > 0 ? (size_t)n : 0;
	}
	if ((o.uid >= 0 || o.gid >= 0) && fchown(fd, (uid_t)o.uid, (gid_t)o.gid) == -1)
		return err_errno(e, errno, "change the owner of '%s'", path);
	return fchmod(fd, mode) == -1 ? err_errno(e, errno, "change the mode of '%s'", path) : 0;
}

static int write_files(const char *root, const struct payload *p, struct volume_owner o,
		       struct err *e)
{
	if (mkdir(root, 0755) == -1 || chmod(root, 0755) == -1)
		return err_errno(e, errno, "create '%s'", root);
	for (size_t i = 0; i < p->n; i++)
		if (write_file(root, &p->at[i], o, e) < 0)
			return -1;
	return 0;
}

static int swap_link(const char *dir, const char *to, struct err *e)
{
	cleanup(freep) char *fresh = xasprintf("%s/" DATA_LINK_NEW, dir);
	cleanup(freep) char *link = xasprintf("%s/" DATA_LINK, dir);

	unlink(fresh);
	if (symlink(to, fresh) == -1 || rename(fresh, link) == -1)
		return err_errno(e, errno, "replace '%s'", link);
	return 0;
}

static int link_top_name(const char *dir, const char *path, struct err *e)
{
	size_t len = strcspn(path, "/");
	cleanup(freep) char *link = xasprintf("%s/%.*s", dir, (int)len, path);
	cleanup(freep) char *to = xasprintf(DATA_LINK "/%.*s", (int)len, path);

	if (symlink(to, link) == -1 && errno != EEXIST)
		return err_errno(e, errno, "create '%s'", link);
	return 0;
}

static bool payload_has_top(const struct payload *p, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < p->n; i++)
		if (strncmp(p->at[i].path, name, len) == 0 &&
		    (!p->at[i].path[len] || p->at[i].path[len] == '/'))
			return true;
	return false;
}

/* Removes names that the payload no longer has, and every stamped directory but `keep`. */
static int sweep(const char *dir, const struct payload *p, const char *keep, struct err *e)
{
	DIR *d = opendir(dir);
	int rc = 0;

	if (!d)
		return err_errno(e, errno, "list '%s'", dir);
	for (const struct dirent *de; rc == 0 && (de = readdir(d));) {
		const char *name = de->d_name;
		if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, DATA_LINK) ||
		    !strcmp(name, keep))
			continue;
		if (strncmp(name, "..", 2) != 0 && payload_has_top(p, name))
			continue;
		cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
		rc = dir_remove(path, e);
	}
	closedir(d);
	return rc;
}

int payload_write(const char *dir, const struct payload *p, struct volume_owner owner,
		  struct err *e)
{
	char name[STAMP_BYTES];

	stamp(name);
	cleanup(freep) char *root = xasprintf("%s/%s", dir, name);
	if (write_files(root, p, owner, e) < 0 || swap_link(dir, name, e) < 0) {
		struct err ignored;
		if (dir_remove(root, &ignored) < 0)
			err_wrap(e, "%s", ignored.message);
		return -1;
	}
	for (size_t i = 0; i < p->n; i++)
		if (link_top_name(dir, p->at[i].path, e) < 0)
			return -1;
	return sweep(dir, p, name, e);
}
