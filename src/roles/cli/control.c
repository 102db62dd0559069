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
#define CONTROL_LINE_BYTES 256
#define CONTROL_TIMEOUT_S 5

struct control {
	struct loop *loop;
	struct io io;
	char *path;
	json_t *(*answer)(void *ctx, const char *line);
	void *ctx;
	struct list askers;
};

struct asker {
	struct control *control;
	struct list link;
	struct io io;
	struct timer timer;
};

static int control_address(const struct config *c, struct sockaddr_un *ret, struct err *e)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/portico.sock", c->run_dir);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return err_set(e, ERR_INVALID, "--run-dir '%s' is too long for a Unix socket", c->run_dir);
	return 0;
}

static void asker_free(struct asker *a)
{
	io_stop(&a->io);
	timer_stop(&a->timer);
	list_del(&a->link);
	close(a->io.fd);
	free(a);
}

static void on_late(struct timer *t)
{
	asker_free(t->ctx);
}

/* A line is far smaller than what one send delivers. */
static void on_line(struct io *io, uint32_t events)
{
	struct asker *a = io->ctx;
	char line[CONTROL_LINE_BYTES];
	ssize_t n = recv(io->fd, line, sizeof(line) - 1, 0);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && line[n - 1] == '\n') {
		line[n - 1] = '\0';
		json_t *doc = a->control->answer(a->control->ctx, line);
		cleanup(freep) char *text = jx_dump_text(doc);
		json_decref(doc);
		/* It fits the socket's buffer, so a client that does not read cannot hold us. */
		send(io->fd, text, strlen(text), MSG_NOSIGNAL);
	}
	asker_free(a);
}

static void on_connection(struct io *io, uint32_t events)
{
	struct control *c = io->ctx;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err e;

	(void)events;
	if (fd == -1)
		return;
	struct asker *a = xcalloc(1, sizeof(*a));
	*a = (struct asker){ .control = c, .io = { .fd = fd, .ready = on_line, .ctx = a }, .timer = { .fire = on_late, .ctx = a } };
	list_append(&c->askers, &a->link);
	timer_start(c->loop, &a->timer, CONTROL_TIMEOUT_S * 1000);
	if (io_watch(c->loop, &a->io, EPOLLIN, &e) < 0)
		asker_free(a);
}

struct control *control_new(struct loop *l, const struct config *conf, json_t *(*answer)(void *, const char *),
			    void *ctx, struct err *e)
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
	*c = (struct control){ .loop = l, .io = { .fd = fd, .ready = on_connection, .ctx = c }, .path = xstrdup(sun.sun_path),
			       .answer = answer, .ctx = ctx };
	list_init(&c->askers);
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
	while (!list_empty(&c->askers))
		asker_free(list_entry(c->askers.next, struct asker, link));
	io_stop(&c->io);
	close(c->io.fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

json_t *control_ask(const struct config *conf, const char *line, struct err *e)
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
	cleanup(freep) char *text = xasprintf("%s\n", line);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) == -1) {
		err_errno(e, errno, "ask the supervisor");
		return NULL;
	}
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
