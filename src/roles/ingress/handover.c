#include "roles/ingress/handover.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READY "READY"
#define NAME_BYTES 32
#define NAMES_BYTES (HANDOVER_SOCKETS_MAX * NAME_BYTES)
#define ANSWER_TIMEOUT_S 5 /* the old process is one event loop: it answers within a turn */

struct asker {
	struct handover *h;
	struct list link;
	struct io io;
};

struct handover {
	struct loop *loop;
	struct io io;
	struct handover_socket sockets[HANDOVER_SOCKETS_MAX];
	size_t n;
	struct list askers;
	const struct handover_ops *ops;
	void *arg;
};

static int abstract_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_len, struct err *e)
{
	size_t len = strlen(name);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(ret->sun_path))
		return err_set(e, ERR_INVALID, "--handover: a name has 1 to %zu characters", sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path + 1, name, len);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
	return 0;
}

static bool trusted(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == 0 || who.uid == geteuid());
}

/* ---- the new process ---- */

static void sort_in(const char *names, const int *fds, size_t n_fds, struct handover_socket *sockets, size_t n)
{
	struct str rest = str_of(names);

	for (size_t i = 0; i < n_fds && rest.ptr; i++) {
		struct str name = str_cut(rest, ',', &rest);
		int fd = fds[i];
		for (size_t k = 0; k < n && fd != -1; k++)
			if (str_eq_c(name, sockets[k].name)) {
				sockets[k].fd = fd;
				fd = -1;
			}
		if (fd != -1)
			close(fd);
	}
}

/* A message is the names of the sockets, '\0', and anything: a program without `more` reads the names only. */
static void take_more(const char *message, size_t len, struct buf *more)
{
	size_t names = strnlen(message, len) + 1;

	if (names < len && buf_put(more, message + names, len - names) < 0)
		buf_clear(more);
}

int handover_take(const char *name, struct handover_socket *sockets, size_t n, struct buf *more)
{
	struct sockaddr_un sun;
	struct timeval limit = { .tv_sec = ANSWER_TIMEOUT_S };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * HANDOVER_SOCKETS_MAX)];
	} control;
	char message[NAMES_BYTES + HANDOVER_MORE_BYTES] = { 0 };
	struct iovec iov = { message, sizeof(message) - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct err ignored;
	socklen_t sun_len;
	ssize_t len;

	if (abstract_address(name, &sun, &sun_len, &ignored) < 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sun_len) == -1 || !trusted(fd) ||
	    (len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC)) <= 0) {
		closep(&fd);
		return -1;
	}
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		sort_in(message, (const int *)(const void *)CMSG_DATA(c), (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), sockets, n);
	take_more(message, (size_t)len, more);
	explicit_bzero(message, sizeof(message));
	return fd;
}

void handover_ready(int connection)
{
	if (connection == -1)
		return;
	/* Should the old process be gone already, nobody has to be told. */
	char end;

	if (send(connection, READY, sizeof(READY) - 1, MSG_NOSIGNAL) == sizeof(READY) - 1)
		recv(connection, &end, 1, 0); /* its end */
	close(connection);
}

/* ---- the old process ---- */

static void asker_free(struct asker *a)
{
	io_stop(&a->io);
	close(a->io.fd);
	list_del(&a->link);
	free(a);
}

static void on_word(struct io *io, uint32_t events)
{
	struct asker *a = io->ctx;
	struct handover *h = a->h;
	char word[16];
	ssize_t n = recv(io->fd, word, sizeof(word), 0);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(READY) - 1 && memcmp(word, READY, (size_t)n) == 0) {
		io_stop(&h->io);
		closep(&h->io.fd); /* before the connection: the other side waits for that */
		h->io.fd = -1;
		h->ops->replaced(h->arg);
	}
	asker_free(a);
}

static bool send_sockets(const struct handover *h, int fd)
{
	char names[NAMES_BYTES] = { 0 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * HANDOVER_SOCKETS_MAX)];
	} control = { 0 };
	size_t len = 0;
	int fds[HANDOVER_SOCKETS_MAX];

	for (size_t i = 0; i < h->n; i++) {
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? "," : "", h->sockets[i].name);
		fds[i] = h->sockets[i].fd;
	}
	struct buf more;
	buf_init(&more, HANDOVER_MORE_BYTES);
	h->ops->more(h->arg, &more);
	struct iovec iov[] = { { names, len + 1 }, { more.ptr, more.len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(sizeof(int) * h->n) };
	control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
					 .cmsg_len = CMSG_LEN(sizeof(int) * h->n) };
	memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * h->n);
	bool sent = sendmsg(fd, &msg, MSG_NOSIGNAL) > 0;
	if (more.ptr)
		explicit_bzero(more.ptr, more.cap);
	buf_done(&more);
	return sent;
}

static void on_connection(struct io *io, uint32_t events)
{
	struct handover *h = io->ctx;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err e;

	(void)events;
	if (fd == -1)
		return;
	if (!trusted(fd) || !send_sockets(h, fd)) {
		close(fd);
		return;
	}
	struct asker *a = xcalloc(1, sizeof(*a));
	*a = (struct asker){ .h = h, .io = { .fd = fd, .ready = on_word, .ctx = a } };
	list_append(&h->askers, &a->link);
	if (io_watch(h->loop, &a->io, EPOLLIN, &e) < 0)
		asker_free(a);
}

struct handover *handover_new(struct loop *l, const char *name, const struct handover_socket *sockets, size_t n,
			      const struct handover_ops *ops, void *arg, struct err *e)
{
	struct handover *h = xcalloc(1, sizeof(*h));
	struct sockaddr_un sun;
	socklen_t len;

	assert(n <= HANDOVER_SOCKETS_MAX);
	*h = (struct handover){ .loop = l, .n = n, .ops = ops, .arg = arg };
	memcpy(h->sockets, sockets, n * sizeof(*sockets));
	list_init(&h->askers);
	h->io = (struct io){ .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .ready = on_connection, .ctx = h };
	if (abstract_address(name, &sun, &len, e) < 0)
		goto failed;
	if (h->io.fd == -1 || bind(h->io.fd, (struct sockaddr *)&sun, len) == -1 || listen(h->io.fd, 4) == -1) {
		err_errno(e, errno, "--handover '%s'", name);
		goto failed;
	}
	if (io_watch(l, &h->io, EPOLLIN, e) == 0)
		return h;
failed:
	handover_free(h);
	return NULL;
}

void handover_free(struct handover *h)
{
	if (!h)
		return;
	while (!list_empty(&h->askers))
		asker_free(list_entry(h->askers.next, struct asker, link));
	io_stop(&h->io);
	closep(&h->io.fd);
	free(h);
}
