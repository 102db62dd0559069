#include "roles/cli/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_BACKLOG 16
#define CONTROL_REPLY_BYTES (64u << 10)
#define CONTROL_TIMEOUT_S 5

struct control {
	struct io io;
	char *path;
	json_t *(*snapshot)(void *ctx);
	void *ctx;
};

static int control_address(const struct config *c, struct sockaddr_un *ret, struct err *e)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/portico.sock", c->run_dir);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return err_set(e, ERR_INVALID, "--run-dir '%s' is too long for a Unix socket", c->run_dir);
	return 0;
}

static void on_connection(struct io *io, uint32_t events)
{
	struct control *c = io->ctx;
	cleanup(closep) int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd == -1)
		return;
	json_t *doc = c->snapshot(c->ctx);
	cleanup(freep) char *text = jx_dump_text(doc);
	json_decref(doc);
	/* It fits the socket's buffer, so a client that does not read cannot hold us. */
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) == -1)
		return;
}

struct control *control_new(struct loop *l, const struct config *conf, json_t *(*snapshot)(void *), void *ctx,
			    struct err *e)
{
	struct sockaddr_un sun;
	struct control *c;

	if (control_address(conf, &sun, e) < 0)
		return NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(sun.sun_path);
	mode_t old = umask(0077);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(fd, CONTROL_BACKLOG) == 0;
	umask(old);
	if (!ok) {
		err_errno(e, errno, "control socket '%s'", sun.sun_path);
		closep(&fd);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	*c = (struct control){ .io = { .fd = fd, .ready = on_connection, .ctx = c }, .path = xstrdup(sun.sun_path),
			       .snapshot = snapshot, .ctx = ctx };
	if (io_watch(l, &c->io, EPOLLIN, e) < 0) {
		control_free(c);
		return NULL;
	}
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	io_stop(&c->io);
	close(c->io.fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

json_t *control_ask(const struct config *conf, struct err *e)
{
	struct sockaddr_un sun;
	struct buf reply;
	struct timeval limit = { .tv_sec = CONTROL_TIMEOUT_S };

	if (control_address(conf, &sun, e) < 0)
		return NULL;
	cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		if (errno == EACCES)
			err_set(e, ERR_FORBIDDEN, "only root may ask the supervisor: use sudo");
		else
			err_set(e, ERR_NOT_FOUND, "portico is not running: start it with `portico up`");
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	buf_init(&reply, CONTROL_REPLY_BYTES);
	ssize_t n;
	while (buf_reserve(&reply, 4096) == 0 && (n = read(fd, reply.ptr + reply.len, 4096)) > 0)
		reply.len += (size_t)n;
	json_t *doc = jx_parse(buf_str(&reply), CONTROL_REPLY_BYTES, e);
	if (!doc)
		err_wrap(e, "the supervisor's answer");
	buf_done(&reply);
	return doc;
}
