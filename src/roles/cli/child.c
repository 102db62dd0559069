#include "roles/cli/child.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 5000
#define BACKOFF_FORGET_MS 10000 /* a process that lived this long had started well */
#define READY_CHECK_MS 10	/* how often a process that cannot say READY is looked at */

const char *child_state_name(enum child_state s)
{
	static const char *const names[] = { "stopped", "starting", "ready", "restarting" };

	return names[s];
}

static void set_state(struct child *c, enum child_state s)
{
	c->state = s;
	if (s == CHILD_READY)
		c->ready_ms = loop_now_ms(c->loop);
	if (c->changed)
		c->changed(c);
}

static void on_notify(struct io *io, uint32_t events)
{
	struct child *c = io->ctx;
	char text[CHILD_ERROR_BYTES];
	ssize_t n;

	while ((n = recv(io->fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[n] = '\0';
		if (strcmp(text, "READY") == 0) {
			set_state(c, CHILD_READY);
			return; /* child_swap may have given this descriptor to another: what else there is comes again */
		}
		if (strncmp(text, "ERROR ", 6) == 0)
			snprintf(c->last_error, sizeof(c->last_error), "%s", text + 6);
	}
	if (n == 0 || (events & (EPOLLHUP | EPOLLERR))) {
		io_stop(io);
		close(io->fd);
		io->fd = -1;
	}
}

static void on_timer(struct timer *t)
{
	struct child *c = t->ctx;
	struct err e;

	if (c->stopping) {
		if (c->pid > 0)
			kill(c->pid, SIGKILL);
	} else if (c->state == CHILD_WAITING) {
		if (child_start(c, &e) < 0) {
			log_error("start %s: %s", c->name, e.message);
			snprintf(c->last_error, sizeof(c->last_error), "%.*s", CHILD_ERROR_BYTES - 1, e.message);
			timer_start(c->loop, t, BACKOFF_MAX_MS);
		}
	} else if (c->state == CHILD_STARTING && c->ready_check) {
		if (c->ready_check(c))
			set_state(c, CHILD_READY);
		else
			timer_start(c->loop, t, READY_CHECK_MS);
	}
}

static void describe_end(struct child *c, int status)
{
	if (WIFSIGNALED(status))
		snprintf(c->last_error, sizeof(c->last_error), "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0 && !c->last_error[0])
		snprintf(c->last_error, sizeof(c->last_error), "exit status %d; see %s", WEXITSTATUS(status),
			 c->log_path);
}

static void on_end(void *ctx, pid_t pid, int status)
{
	struct child *c = ctx;

	(void)pid;
	c->pid = 0;
	timer_stop(&c->timer);
	if (c->notify.fd >= 0)
		on_notify(&c->notify, EPOLLHUP); /* its last words */
	if (c->stopping) {
		set_state(c, CHILD_STOPPED);
		return;
	}
	describe_end(c, status);
	log_warn("%s ended: %s", c->name, c->last_error[0] ? c->last_error : "exit status 0");
	if (loop_now_ms(c->loop) - c->started_ms > BACKOFF_FORGET_MS)
		c->backoff_ms = 0;
	c->restarts++;
	set_state(c, CHILD_WAITING);
	/* The first restart comes at once: connections wait in the listening sockets meanwhile. */
	timer_start(c->loop, &c->timer, c->backoff_ms);
	c->backoff_ms = c->backoff_ms ? MIN(c->backoff_ms * 2, (uint64_t)BACKOFF_MAX_MS) : BACKOFF_FIRST_MS;
}

/* In the child, between fork and exec. */
static void __attribute__((noreturn)) exec_child(const struct child *c, int notify_fd)
{
	int log_fd = open(c->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char text[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (log_fd >= 0 && null_fd >= 0) {
		dup2(null_fd, STDIN_FILENO);
		dup2(log_fd, STDOUT_FILENO);
		dup2(log_fd, STDERR_FILENO);
	}
	for (size_t i = 0; i < c->n_fds; i++)
		fcntl(c->fds[i], F_SETFD, 0);
	if (notify_fd >= 0) {
		fcntl(notify_fd, F_SETFD, 0);
		snprintf(text, sizeof(text), "%d", notify_fd);
		setenv("PORTICO_NOTIFY_FD", text, 1);
	}
	if (c->listen_env)
		setenv("PORTICO_LISTEN", c->listen_env, 1);
	if (c->replaces)
		setenv("PORTICO_REPLACES", "1", 1);
	execv(c->argv[0], c->argv);
	dprintf(STDERR_FILENO, "exec %s: %s\n", c->argv[0], strerror(errno));
	_exit(127);
}

void child_init(struct child *c, struct loop *l)
{
	c->loop = l;
	c->notify = (struct io){ .fd = -1, .ready = on_notify, .ctx = c };
	c->timer = (struct timer){ .fire = on_timer, .ctx = c };
}

static int watch_notify(struct child *c, int fd, struct err *e)
{
	if (c->notify.fd >= 0) {
		io_stop(&c->notify);
		close(c->notify.fd);
	}
	c->notify.fd = fd;
	return fd >= 0 ? io_watch(c->loop, &c->notify, EPOLLIN, e) : 0;
}

int child_start(struct child *c, struct err *e)
{
	int pair[2] = { -1, -1 };

	if (c->notifies && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return err_errno(e, errno, "socketpair");
	pid_t pid = fork();
	if (pid == 0)
		exec_child(c, pair[1]);
	if (pair[1] >= 0)
		close(pair[1]);
	if (pid == -1) {
		if (pair[0] >= 0)
			close(pair[0]);
		return err_errno(e, errno, "fork for %s", c->name);
	}
	c->pid = pid;
	c->stopping = false;
	c->started_ms = loop_now_ms(c->loop);
	if (watch_notify(c, pair[0], e) < 0 || loop_on_child(c->loop, pid, on_end, c, e) < 0)
		return -1;
	set_state(c, CHILD_STARTING);
	if (!c->notifies)
		timer_start(c->loop, &c->timer, READY_CHECK_MS);
	return 0;
}

static void end_with(struct child *c, int signo, uint64_t grace_ms)
{
	c->stopping = true;
	timer_stop(&c->timer);
	if (c->pid <= 0) {
		set_state(c, CHILD_STOPPED);
		return;
	}
	kill(c->pid, signo);
	timer_start(c->loop, &c->timer, grace_ms);
}

void child_stop(struct child *c, uint64_t grace_ms)
{
	end_with(c, SIGTERM, grace_ms);
}

void child_retire(struct child *c, uint64_t grace_ms)
{
	end_with(c, SIGQUIT, grace_ms);
}

void child_restart(struct child *c)
{
	c->backoff_ms = 0;
	c->last_error[0] = '\0';
	if (c->pid > 0)
		kill(c->pid, SIGTERM); /* its end starts it again */
	else
		timer_start(c->loop, &c->timer, 0);
}

#define SWAP(a, b)                         \
	do {                               \
		__typeof__(a) swap_ = (a); \
		(a) = (b);                 \
		(b) = swap_;               \
	} while (0)

/* What the loop knows by address changes its descriptor or its owner instead. */
void child_swap(struct child *a, struct child *b)
{
	struct err e;

	io_stop(&a->notify);
	io_stop(&b->notify);
	SWAP(a->notify.fd, b->notify.fd);
	SWAP(a->pid, b->pid);
	SWAP(a->state, b->state);
	SWAP(a->started_ms, b->started_ms);
	SWAP(a->ready_ms, b->ready_ms);
	loop_child_moved(a->loop, a->pid, a);
	loop_child_moved(b->loop, b->pid, b);
	if ((a->notify.fd >= 0 && io_watch(a->loop, &a->notify, EPOLLIN, &e) < 0) ||
	    (b->notify.fd >= 0 && io_watch(b->loop, &b->notify, EPOLLIN, &e) < 0))
		log_error("%s: %s", a->name, e.message);
}
