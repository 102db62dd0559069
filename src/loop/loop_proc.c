#include "loop/loop_int.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct loop_child {
	struct io io; /* a pidfd: readable once the child has ended */
	pid_t pid;
	void (*fn)(void *ctx, pid_t pid, int status);
	void *ctx;
	struct list link;
};

static void child_free(struct loop_child *c)
{
	io_stop(&c->io);
	close(c->io.fd);
	list_del(&c->link);
	free(c);
}

static void child_ended(struct io *io, uint32_t events)
{
	struct loop_child *c = io->ctx;
	struct loop_child was = *c;
	int status = 0;

	(void)events;
	/* ECHILD: somebody else reaped it; the end is reported all the same. */
	if (waitpid(c->pid, &status, WNOHANG) == 0)
		return;
	child_free(c);
	was.fn(was.ctx, was.pid, status);
}

int loop_on_child(struct loop *l, pid_t pid, void (*fn)(void *ctx, pid_t pid, int status),
		  void *ctx, struct err *e)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return err_errno(e, errno, "pidfd_open %d", (int)pid);
	struct loop_child *c = xcalloc(1, sizeof(*c));
	*c = (struct loop_child){.pid = pid, .fn = fn, .ctx = ctx};
	c->io = (struct io){.fd = fd, .ready = child_ended, .ctx = c};
	list_append(&l->children, &c->link);
	if (io_watch(l, &c->io, EPOLLIN, e) < 0) {
		child_free(c);
		return -1;
	}
	return 0;
}

void loop_child_moved(struct loop *l, pid_t pid, void *ctx)
{
	list_for(at, tmp, &l->children)
	{
		struct loop_child *c = list_entry(at, struct loop_child, link);

		if (c->pid == pid)
			c->ctx = ctx;
	}
}

static void signal_arrived(struct io *io, uint32_t events)
{
	struct loop *l = io->ctx;
	struct signalfd_siginfo si;

	(void)events;
	if (read(io->fd, &si, sizeof(si)) != (ssize_t)sizeof(si) || si.ssi_signo >= _NSIG)
		return;
	struct loop_signal s = l->signals[si.ssi_signo];
	if (s.fn)
		s.fn(s.ctx, (int)si.ssi_signo);
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx,
		   struct err *e)
{
	if (signo <= 0 || signo >= _NSIG || sigaddset(&l->signal_mask, signo) < 0)
		return err_set(e, ERR_INTERNAL, "no signal has the number %d", signo);
	if (sigprocmask(SIG_BLOCK, &l->signal_mask, NULL) < 0)
		return err_errno(e, errno, "block signal %d", signo);
	int fd = signalfd(l->signal_io.fd, &l->signal_mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "signalfd");
	l->signals[signo] = (struct loop_signal){fn, ctx};
	l->signal_io.fd = fd;
	return io_watch(l, &l->signal_io, EPOLLIN, e);
}

void loop_proc_init(struct loop *l)
{
	list_init(&l->children);
	sigemptyset(&l->signal_mask);
	l->signal_io = (struct io){.fd = -1, .ready = signal_arrived, .ctx = l};
}

void loop_proc_done(struct loop *l)
{
	list_for(at, tmp, &l->children) child_free(list_entry(at, struct loop_child, link));
	io_stop(&l->signal_io);
	if (l->signal_io.fd >= 0)
		close(l->signal_io.fd);
}
