#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK_BYTES 65536
#define WALK_DESCRIPTORS 32

int file_read(const char *path, struct buf *out, struct err *e)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return err_errno(e, errno, "open '%s'", path);
	for (;;) {
		size_t room = MIN((size_t)READ_CHUNK_BYTES, out->max - out->len);
		if (room == 0)
			return err_set(e, ERR_TOO_LARGE, "'%s' is larger than %zu bytes", path, out->max);
		if (buf_reserve(out, room) < 0)
			return err_set(e, ERR_TOO_LARGE, "'%s' is larger than %zu bytes", path, out->max);
		ssize_t n = read(fd, out->ptr + out->len, room);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_errno(e, errno, "read '%s'", path);
		out->len += (size_t)n;
		out->ptr[out->len] = '\0';
		if (n == 0)
			return 0;
	}
}

static int write_all(int fd, struct str data)
{
	while (data.len) {
		ssize_t n = write(fd, data.ptr, data.len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		data.ptr += n;
		data.len -= (size_t)n;
	}
	return 0;
}

int file_write(const char *path, struct str data, mode_t mode, struct err *e)
{
	cleanup(freep) char *tmp = xasprintf("%s.tmp", path);
	cleanup(closep) int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd == -1)
		return err_errno(e, errno, "create '%s'", tmp);
	if (fchmod(fd, mode) == -1 || write_all(fd, data) == -1 || fsync(fd) == -1 ||
	    rename(tmp, path) == -1) {
		err_errno(e, errno, "write '%s'", path);
		unlink(tmp);
		return -1;
	}
	return 0;
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	cleanup(freep) char *copy = xstrdup(path);

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) == -1 && errno != EEXIST)
			return err_errno(e, errno, "create directory '%s'", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) == -1 && errno != EEXIST)
		return err_errno(e, errno, "create directory '%s'", copy);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int dir_remove(const char *path, struct err *e)
{
	if (nftw(path, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == -1 &&
	    errno != ENOENT)
		return err_errno(e, errno, "remove '%s'", path);
	return 0;
}
