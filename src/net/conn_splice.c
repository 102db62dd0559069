/* Moving bytes from one connection to another without bringing them into this process: splice(2) through a pipe. */
#include "net/conn_int.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20) /* what an unprivileged user may ask for (fs.pipe-max-size) */
#define PIPE_SPARES 16	     /* kept by a thread: making one costs more than many a body */
#define MOVES_PER_TURN 4     /* then others are served */

struct pipe {
	int in, out;
};
static _Thread_local struct pipe spare[PIPE_SPARES];
static _Thread_local unsigned n_spare;

struct conn_splice {
	struct conn *from, *to;
	struct pipe pipe;
	uint64_t left;	/* to be read from `from` */
	size_t in_pipe; /* read, not yet written */
	bool blocked;	/* `to` takes nothing now */
	void (*moved)(void *ctx, size_t n, bool done);
	void *ctx;
};

static bool pipe_get(struct pipe *ret)
{
	int fds[2];

	if (n_spare) {
		*ret = spare[--n_spare];
		return true;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	/* Fewer bytes at a time are slower, not wrong. */
	fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	*ret = (struct pipe){.in = fds[1], .out = fds[0]};
	return true;
}

static void pipe_put(struct pipe p, bool empty)
{
	if (empty && n_spare < PIPE_SPARES) {
		spare[n_spare++] = p;
		return;
	}
	close(p.in);
	close(p.out);
}

void conn_splice_thread_done(void)
{
	while (n_spare) {
		n_spare--;
		close(spare[n_spare].in);
		close(spare[n_spare].out);
	}
}

void conn_splice_end(struct conn_splice *s)
{
	s->from->splice_in = NULL;
	s->to->splice_out = NULL;
	s->to->write_blocked = false;
	pipe_put(s->pipe, s->in_pipe == 0);
	free(s);
}

/* Into the pipe: like read(2). */
static ssize_t fill(struct conn_splice *s, struct err *e)
{
	ssize_t n = splice(s->from->io.fd, NULL, s->pipe.in, NULL, MIN(s->left, (uint64_t)PIPE_BYTES), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0) {
		s->left -= (uint64_t)n;
		s->in_pipe += (size_t)n;
		return n;
	}
	if (n == 0)
		return CONN_EOF;
	if (errno == EAGAIN || errno == EINTR)
		return CONN_AGAIN;
	err_errno(e, errno, "splice from a connection");
	return CONN_FAILED;
}

/* Out of the pipe, all of it or until `to` is full. */
static ssize_t empty(struct conn_splice *s, struct err *e)
{
	unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (s->left ? SPLICE_F_MORE : 0);

	while (s->in_pipe) {
		ssize_t n = splice(s->pipe.out, NULL, s->to->io.fd, NULL, s->in_pipe, flags);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return CONN_AGAIN;
		if (n <= 0) {
			err_errno(e, n ? errno : EPIPE, "splice to a connection");
			return CONN_FAILED;
		}
		s->in_pipe -= (size_t)n;
	}
	return 1;
}

/* CONN_EOF and CONN_FAILED are about s->from; s has ended then, and when all of it has gone. */
static ssize_t move_once(struct conn_splice *s)
{
	struct conn *from = s->from, *to = s->to;
	struct err e;
	ssize_t n = s->in_pipe || !s->left ? 1 : fill(s, &e);
	size_t before = s->in_pipe;

	if (n == CONN_FAILED || n == CONN_EOF) {
		conn_splice_end(s);
		if (n == CONN_FAILED)
			conn_fail(from, &e);
		return n;
	}
	if (n == CONN_AGAIN)
		return n;
	n = empty(s, &e);
	if (n == CONN_FAILED) {
		conn_splice_end(s);
		conn_fail(to, &e); /* its owner closes the other one, or lets it go */
		return CONN_FAILED;
	}
	s->blocked = n == CONN_AGAIN;
	to->write_blocked = s->blocked;
	size_t went = before - s->in_pipe;
	bool done = s->left == 0 && s->in_pipe == 0;
	void (*moved)(void *, size_t, bool) = s->moved;
	void *ctx = s->ctx;
	if (done)
		conn_splice_end(s);
	if (went)
		moved(ctx, went, done);
	return done ? CONN_FAILED : n;
}

void conn_splice_move(struct conn_splice *s)
{
	struct conn *from = s->from, *to = s->to;
	ssize_t n = 1;

	for (int i = 0; i < MOVES_PER_TURN && n > 0 && from->splice_in == s; i++)
		n = move_once(s);
	if (n == CONN_EOF && !from->closed) {
		from->eof_seen = true;
		from->offer_owed = true; /* tells its owner */
		conn_kick(from);
	}
	conn_update_events(from);
	conn_update_events(to);
}

bool conn_splice_wants_input(const struct conn_splice *s)
{
	return s->in_pipe == 0 && s->left > 0;
}

bool conn_splice_blocked(const struct conn_splice *s)
{
	return s->blocked;
}

bool conn_splice(struct conn *from, struct conn *to, uint64_t n, void (*moved)(void *ctx, size_t n, bool done), void *ctx)
{
	struct pipe p;

	if (from->tls || to->tls || from->closed || to->closed || from->splice_in || to->splice_out || to->shutdown_wanted)
		return false;
	conn_flush(to);
	conn_update_events(to);
	if (to->closed || to->pending || !pipe_get(&p))
		return false;
	struct conn_splice *s = xcalloc(1, sizeof(*s));
	*s = (struct conn_splice){.from = from, .to = to, .pipe = p, .left = n, .moved = moved, .ctx = ctx};
	from->splice_in = s;
	to->splice_out = s;
	conn_kick(from); /* what is there already is moved at the end of the turn */
	return true;
}
