#include "roles/dns/kernel/helper.h"

#include "base/log.h"
#include "net/rtnl.h"
#include "roles/dns/kernel/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

struct interface {
	struct list link;
	bool seen; /* told since the last full report began */
	struct attachment at;
};

struct watcher {
	struct loop *loop;
	struct rtnl_watch *watch;
	struct io role;
	struct defer told;
	int prog_fd;
	enum attach_way way;
	struct list all;
	uint32_t n, n_told;
};

/* ---- interfaces ---- */

static struct interface *find(struct watcher *w, int ifindex)
{
	list_for(pos, tmp, &w->all) {
		struct interface *i = list_entry(pos, struct interface, link);
		if (i->at.ifindex == ifindex)
			return i;
	}
	return NULL;
}

static void drop(struct watcher *w, struct interface *i)
{
	detach(&i->at);
	list_del(&i->link);
	free(i);
	w->n--;
	loop_defer(w->loop, &w->told);
}

static void add(struct watcher *w, const struct rtnl_link *l)
{
	struct interface *i = xcalloc(1, sizeof(*i));
	struct err e;

	if (attach(&i->at, w->prog_fd, l->index, &w->way, &e) < 0) {
		if (e.sys_errno != ENODEV) /* gone again: its message is on the way */
			log_warn("interface=%s %s, its questions go to user space", l->name, e.message);
		free(i);
		return;
	}
	i->seen = true;
	list_append(&w->all, &i->link);
	w->n++;
	loop_defer(w->loop, &w->told);
}

static void on_link(void *ctx, const struct rtnl_link *l, bool gone)
{
	struct watcher *w = ctx;
	struct interface *i = find(w, l->index);

	if (i && gone)
		drop(w, i);
	else if (i)
		i->seen = true;
	else if (!gone && strcmp(l->kind, "veth") == 0 && l->peer_nsid >= 0)
		add(w, l);
}

static void on_addr(void *ctx, const struct rtnl_addr *a, bool gone)
{
	(void)ctx;
	(void)a;
	(void)gone;
}

/* Nothing that a full report left out still exists. */
static void on_synced(void *ctx)
{
	struct watcher *w = ctx;

	list_for(pos, tmp, &w->all) {
		struct interface *i = list_entry(pos, struct interface, link);
		if (!i->seen)
			drop(w, i);
		else
			i->seen = false;
	}
	w->n_told = UINT32_MAX;
	loop_defer(w->loop, &w->told);
}

static void tell_run(struct defer *d)
{
	struct watcher *w = container_of(d, struct watcher, told);

	if (w->n == w->n_told)
		return;
	w->n_told = w->n;
	(void)!send(w->role.fd, &w->n, sizeof(w->n), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_role(struct io *io, uint32_t events)
{
	struct watcher *w = io->ctx;

	(void)events; /* it says nothing: this is its end */
	loop_stop(w->loop);
}

/* ---- privileges ---- */

static int keep_two_capabilities(struct err *e)
{
	static const cap_value_t keep[] = { CAP_BPF, CAP_NET_ADMIN };
	cap_t caps = cap_init();
	int rc = 0;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1 || setgroups(0, NULL) == -1 || setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
	    setresuid(NOBODY, NOBODY, NOBODY) == -1 || cap_set_flag(caps, CAP_PERMITTED, ARRAY_LEN(keep), keep, CAP_SET) == -1 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_LEN(keep), keep, CAP_SET) == -1 || cap_set_proc(caps) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		rc = err_errno(e, errno, "drop privileges");
	cap_free(caps);
	return rc;
}

static const int allowed_syscalls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(setsockopt),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(getrandom),
	SCMP_SYS(fcntl), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(futex), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(sigaltstack), /* AddressSanitizer, at the end */
};
#define BPF_COMMANDS(X) X(BPF_LINK_CREATE) X(BPF_OBJ_GET_INFO_BY_FD)

static int filter_syscalls(struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(allowed_syscalls); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_syscalls[i], 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
#define X(command)                                                                                           \
	if (rc == 0)                                                                                         \
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, SCMP_A0(SCMP_CMP_EQ, command));
	BPF_COMMANDS(X)
#undef X
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_errno(e, -rc, "load the seccomp filter") : 0;
}

/* ---- the process ---- */

/* What the role had open is not ours: a listening socket held here would take its questions away. */
static void close_others(int a, int b)
{
	const int low = MIN(a, b), high = MAX(a, b);

	close_range(0, 1, 0);
	close_range(3, (unsigned)low - 1, 0);
	if (high - low > 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
}

static int watch(struct watcher *w, struct err *e)
{
	static const struct rtnl_ops ops = { .link = on_link, .addr = on_addr, .synced = on_synced };

	w->loop = loop_new(e);
	if (!w->loop || keep_two_capabilities(e) < 0 || io_watch(w->loop, &w->role, EPOLLIN, e) < 0)
		return -1;
	w->watch = rtnl_watch_new(w->loop, &ops, w, e);
	return w->watch ? filter_syscalls(e) : -1;
}

static _Noreturn void helper_main(int fd, int prog_fd)
{
	struct watcher w = { .prog_fd = prog_fd, .n_told = UINT32_MAX };
	struct err e;

	prctl(PR_SET_NAME, "portico-dns-tc", 0, 0, 0);
	close_others(fd, prog_fd);
	list_init(&w.all);
	w.told.run = tell_run;
	w.role = (struct io){ .fd = fd, .ready = on_role, .ctx = &w };
	if (watch(&w, &e) < 0) {
		log_error("answering in the kernel: %s", e.message);
		_exit(1);
	}
	loop_run(w.loop);
	list_for(pos, tmp, &w.all) {
		detach(&list_entry(pos, struct interface, link)->at);
	}
	_exit(0);
}

int helper_start(struct helper *h, int prog_fd, struct err *e)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == -1)
		return err_errno(e, errno, "make a socket pair");
	h->fd = fds[0];
	h->pid = fork();
	if (h->pid == 0)
		helper_main(fds[1], prog_fd);
	close(fds[1]);
	if (h->pid > 0)
		return 0;
	err_errno(e, errno, "fork");
	close(h->fd);
	h->fd = -1;
	return -1;
}

void helper_end(struct helper *h)
{
	closep(&h->fd);
	h->fd = -1;
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) == -1 && errno == EINTR)
		;
	h->pid = 0;
}
