#include "net/conn.h"

#include "base/sys_call.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define ACCEPT_RETRY_MS 100 /* out of descriptors: the queue waits for connections to end */

struct listener {
	struct loop *loop;
	struct io io;
	struct timer retry;
	struct defer reap;
	void (*accepted)(void *ctx, int fd, const struct addr *peer);
	void *ctx;
	uint32_t events;
	bool freed;
};

static void accept_some(struct io *io, uint32_t events)
{
	struct listener *l = io->ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && !l->freed; i++) {
		struct addr peer = {.len = sizeof(peer.ss)};
		int fd = sys_accept4(l->io.fd, (struct sockaddr *)&peer.ss, &peer.len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->accepted(l->ctx, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			io_stop(&l->io);
			timer_start(l->loop, &l->retry, ACCEPT_RETRY_MS);
			return;
		}
		if (errno == EAGAIN)
			return;
		/* The rest (ECONNABORTED, EPROTO, ...) concern the one connection: accept(2). */
	}
}

static void accept_again(struct timer *t)
{
	struct listener *l = t->ctx;
	struct err e;

	if (io_watch(l->loop, &l->io, l->events, &e) < 0)
		timer_start(l->loop, &l->retry, ACCEPT_RETRY_MS);
}

static void listener_reap(struct defer *d)
{
	free(container_of(d, struct listener, reap));
}

static struct listener *listener_make(struct loop *loop, int fd, uint32_t events,
				      void (*accepted)(void *ctx, int fd, const struct addr *peer),
				      void *ctx, struct err *e)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->io = (struct io){.fd = fd, .ready = accept_some, .ctx = l};
	l->retry = (struct timer){.fire = accept_again, .ctx = l};
	l->reap.run = listener_reap;
	l->accepted = accepted;
	l->ctx = ctx;
	l->events = events;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* whoever shares it may be faster to accept */
	if (io_watch(loop, &l->io, events, e) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

struct listener *listener_new(struct loop *loop, int fd,
			      void (*accepted)(void *ctx, int fd, const struct addr *peer),
			      void *ctx, struct err *e)
{
	return listener_make(loop, fd, EPOLLIN, accepted, ctx, e);
}

struct listener *listener_new_shared(struct loop *loop, int fd,
				     void (*accepted)(void *ctx, int fd, const struct addr *peer),
				     void *ctx, struct err *e)
{
	return listener_make(loop, fd, EPOLLIN | EPOLLEXCLUSIVE, accepted, ctx, e);
}

void listener_free(struct listener *l)
{
	if (!l || l->freed)
		return;
	l->freed = true;
	io_stop(&l->io);
	timer_stop(&l->retry);
	loop_defer(l->loop, &l->reap);
}
