#include "base/log_out.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_REST_BYTES (1u << 20) /* of one line: the buffers it comes from are smaller */

struct log_out {
	unsigned refs;
	int fd;
	bool regular, socket;
	char *path;
	pthread_mutex_t lock; /* of writing and `rest`; held for a write that does not wait, or to a file */
	struct buf rest;      /* of a line that a stream took half of */
};

/* Standard output's description is shared with whoever started us: opened anew, O_NONBLOCK is ours alone. Sockets cannot
 * be opened, but take MSG_DONTWAIT. */
static int open_stdout(struct err *e)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd == -1) {
		struct stat st;
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		/* Somebody else's pipe: then even he gets O_NONBLOCK, as a worker must not wait. */
		if (fd != -1 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
	return fd == -1 ? err_errno(e, errno, "standard output") : fd;
}

static int open_path(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);

	if (fd != -1)
		return fd;
	return err_errno(e, errno, errno == EACCES ? "access log '%s' (a proxy without privileges writes beneath <data-dir>/ingress only)" :
						     "access log '%s'", path);
}

struct log_out *log_out_open(const char *path, struct err *e)
{
	int fd = path ? open_path(path, e) : open_stdout(e);
	struct stat st = { 0 };

	if (fd < 0)
		return NULL;
	struct log_out *o = xcalloc(1, sizeof(*o));
	*o = (struct log_out){ .refs = 1, .fd = fd, .path = xstrdup(path) };
	if (fstat(fd, &st) == 0) {
		o->regular = S_ISREG(st.st_mode);
		o->socket = S_ISSOCK(st.st_mode);
	}
	pthread_mutex_init(&o->lock, NULL);
	buf_init(&o->rest, LINE_REST_BYTES);
	return o;
}

struct log_out *log_out_ref(struct log_out *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	return o;
}

void log_out_unref(struct log_out *o)
{
	if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	close(o->fd);
	pthread_mutex_destroy(&o->lock);
	buf_done(&o->rest);
	free(o->path);
	free(o);
}

bool log_out_regular(const struct log_out *o)
{
	return o->regular;
}

const char *log_out_path(const struct log_out *o)
{
	return o->path;
}

uint64_t log_out_size(const struct log_out *o)
{
	struct stat st;

	return o->regular && fstat(o->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* 0: all; 1: full, *at bytes of it went out; -1: broken. */
static int put(struct log_out *o, const char *bytes, size_t len, size_t *at)
{
	for (*at = 0; *at < len;) {
		ssize_t n = o->socket ? send(o->fd, bytes + *at, len - *at, MSG_DONTWAIT | MSG_NOSIGNAL) :
					write(o->fd, bytes + *at, len - *at);
		if (n >= 0)
			*at += (size_t)n;
		else if (errno == EAGAIN)
			return 1;
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

static size_t count_lines(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

static int put_rest(struct log_out *o)
{
	size_t at;

	if (o->rest.len == 0)
		return 0;
	int rc = put(o, o->rest.ptr, o->rest.len, &at);
	buf_consume(&o->rest, rc < 0 ? o->rest.len : at);
	return rc;
}

/* A stream stopped inside a line: its rest moves to where every worker finds it. */
static void keep_rest(struct log_out *o, struct buf *lines, size_t at)
{
	char *end = at == 0 || lines->ptr[at - 1] == '\n' ? NULL : memchr(lines->ptr + at, '\n', lines->len - at);

	if (end) {
		size_t to = (size_t)(end + 1 - lines->ptr);
		buf_put(&o->rest, lines->ptr + at, to - at);
		at = to;
	}
	buf_consume(lines, at);
}

int log_out_write(struct log_out *o, struct buf *lines, size_t *ret_lost)
{
	size_t at = 0;

	*ret_lost = 0;
	pthread_mutex_lock(&o->lock);
	int rc = put_rest(o);
	if (rc == 0)
		rc = put(o, lines->ptr, lines->len, &at);
	if (rc == 1)
		keep_rest(o, lines, at);
	pthread_mutex_unlock(&o->lock);
	if (rc == 1)
		return lines->len > 0 ? 1 : 0;
	if (rc < 0)
		*ret_lost = count_lines((struct str){ lines->ptr + at, lines->len - at });
	buf_clear(lines);
	return rc;
}
