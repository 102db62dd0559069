#include "roles/dns/nodelocal/guard.h"

#include "base/file.h"
#include "net/rtnl.h"
#include "roles/role.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LABEL "lo:portico-dns"	/* tells our address from somebody's who wants to keep it */
#define TABLE "inet portico_dns"
#define LOCK_WAIT_MS 5000	/* for the guard of an instance that has just ended */
#define LOCK_POLL_MS 10
#define END_WAIT_MS 5000	/* nft takes some milliseconds */
#define REASON_BYTES 128

struct guard {
	int fd; /* to the guard: closing it ends it */
	char tracked[REASON_BYTES];
};

/* The guard's word once the address is there. */
struct word {
	bool failed;
	struct err e;
	char tracked[REASON_BYTES];
};

/* ---- the address ---- */

struct place {
	struct in_addr local;
	unsigned lo;
	bool there, others; /* the address exists; not as ours */
};

static void see_addr(void *ctx, const struct rtnl_addr *a)
{
	struct place *p = ctx;

	if (a->ip != p->local.s_addr)
		return;
	p->there = true;
	p->others |= !c_eq(a->label, LABEL);
}

static struct rtnl_addr address(const struct place *p)
{
	return (struct rtnl_addr){ .index = (int)p->lo, .ip = p->local.s_addr, .prefix_len = 32, .label = LABEL, .host_scope = true };
}

static int address_add(struct place *p, struct err *e)
{
	struct rtnl_addr a;

	p->lo = if_nametoindex("lo");
	if (p->lo == 0)
		return err_errno(e, errno, "find interface lo");
	if (rtnl_addr_each(see_addr, p, e) < 0)
		return -1;
	a = address(p);
	return p->there ? 0 : rtnl_addr_add(&a, e);
}

static void address_del(const struct place *p)
{
	struct rtnl_addr a = address(p);
	struct err unused;

	if (!p->others && rtnl_addr_del(&a, &unused) < 0)
		return; /* nobody is left to tell, and an address that nobody answers at does no harm */
}

/* ---- rules ---- */

static const char *nft_path(void)
{
	static const char *const paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

/* nft -f -, silent. Returns its exit status, -1 when it could not be run. */
static int nft_run(const char *path, const char *script)
{
	int in[2], status = -1;

	if (pipe2(in, O_CLOEXEC) == -1)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(in[0], STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execle(path, "nft", "-f", "-", NULL, (char *[]){ NULL });
		_exit(127);
	}
	close(in[0]);
	/* Less than a pipe holds: it does not block. SIGPIPE is ignored. */
	bool sent = pid > 0 && write(in[1], script, strlen(script)) == (ssize_t)strlen(script);
	close(in[1]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return sent && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* An empty table is added first so that deleting it never fails. */
static char *rules_text(struct in_addr local)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &local, ip, sizeof(ip));
	return xasprintf("add table " TABLE "\ndelete table " TABLE "\n"
			 "table " TABLE " {\n"
			 " chain in { type filter hook prerouting priority raw; policy accept;\n"
			 "  ip daddr %s udp dport 53 notrack\n  ip daddr %s tcp dport 53 notrack\n"
			 "  ip saddr %s udp sport 53 notrack\n  ip saddr %s tcp sport 53 notrack\n }\n"
			 " chain out { type filter hook output priority raw; policy accept;\n"
			 "  ip daddr %s udp dport 53 notrack\n  ip daddr %s tcp dport 53 notrack\n"
			 "  ip saddr %s udp sport 53 notrack\n  ip saddr %s tcp sport 53 notrack\n }\n}\n",
			 ip, ip, ip, ip, ip, ip, ip, ip);
}

static void rules_add(struct in_addr local, char tracked[REASON_BYTES])
{
	cleanup(freep) char *text = rules_text(local);
	const char *path = nft_path();
	int rc = path ? nft_run(path, text) : 0;

	if (!path)
		snprintf(tracked, REASON_BYTES, "nft(8) is not installed");
	else if (rc != 0)
		snprintf(tracked, REASON_BYTES, "%s does not take the rules (exit status %d)", path, rc);
}

static void rules_del(void)
{
	const char *path = nft_path();

	if (path)
		nft_run(path, "add table " TABLE "\ndelete table " TABLE "\n");
}

/* ---- the guard's process ---- */

static void keep_only_net_admin(void)
{
	const cap_value_t net_admin = CAP_NET_ADMIN;
	cap_t caps = cap_init();

	cap_set_flag(caps, CAP_PERMITTED, 1, &net_admin, CAP_SET);
	cap_set_flag(caps, CAP_EFFECTIVE, 1, &net_admin, CAP_SET);
	cap_set_proc(caps); /* failing, it has what it was started with */
	cap_free(caps);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Everything else is the role's, and must close when the role ends. */
static void keep_only_fds(int a, int b)
{
	int low = MIN(a, b), high = MAX(a, b);

	close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
	close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

/* Of several that end at once, one is. */
static bool is_last(int lock)
{
	return flock(lock, LOCK_EX | LOCK_NB) == 0;
}

static void guard_main(int fd, int lock, struct in_addr local)
{
	struct place p = { .local = local };
	struct word w = { .failed = false };
	char c;

	prctl(PR_SET_NAME, "portico-guard");
	setsid();
	keep_only_fds(fd, lock);
	keep_only_net_admin();
	w.failed = address_add(&p, &w.e) < 0;
	if (!w.failed)
		rules_add(local, w.tracked);
	if (send(fd, &w, sizeof(w), MSG_NOSIGNAL) == sizeof(w) && !w.failed)
		while (recv(fd, &c, 1, 0) == -1 && errno == EINTR)
			;
	if (!is_last(lock))
		return;
	rules_del();
	if (!w.failed)
		address_del(&p);
}

/* ---- the role's side ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Held by the guard until it has cleaned up: a new instance must not add what an old one is about to take away. One that
 * replaces another holds it beside it; the last of them cleans up (is_last). */
static int lock_take(const struct config *c, const char *ip, struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/node-local-%s.lock", c->run_dir, ip);
	int64_t end = now_ms() + LOCK_WAIT_MS;

	if (dir_make(c->run_dir, 0755, e) < 0)
		return -1;
	cleanup(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_errno(e, errno, "open '%s'", path);
	while (flock(fd, (role_replaces() ? LOCK_SH : LOCK_EX) | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK)
			return err_errno(e, errno, "lock '%s'", path);
		if (now_ms() >= end)
			return err_set(e, ERR_CONFLICT, "another instance answers on %s ('%s' is locked)", ip, path);
		poll(NULL, 0, LOCK_POLL_MS);
	}
	flock(fd, LOCK_SH); /* from now on one may come that replaces this one */
	int taken = fd;
	fd = -1;
	return taken;
}

static int hear(struct guard *g, struct err *e)
{
	struct word w;
	ssize_t n = recv(g->fd, &w, sizeof(w), 0);

	if (n != sizeof(w))
		return err_set(e, ERR_INTERNAL, "the process that keeps the address ended at once");
	if (w.failed) {
		*e = w.e;
		return -1;
	}
	memcpy(g->tracked, w.tracked, sizeof(g->tracked));
	return 0;
}

/* The guard is nobody's child: whoever waits for the role's children must not meet it. */
static pid_t fork_twice(int fd, int lock, int parent_fd, struct in_addr local)
{
	pid_t pid = fork();

	if (pid != 0) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return pid;
	}
	close(parent_fd);
	if (fork() == 0)
		guard_main(fd, lock, local);
	_exit(0);
}

struct guard *guard_start(const struct config *c, struct in_addr local, struct err *e)
{
	char ip[INET_ADDRSTRLEN];
	cleanup(closep) int lock = lock_take(c, inet_ntop(AF_INET, &local, ip, sizeof(ip)), e), theirs = -1;
	int pair[2];

	if (lock == -1)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		err_errno(e, errno, "make a pair of sockets");
		return NULL;
	}
	struct guard *g = xcalloc(1, sizeof(*g));
	g->fd = pair[0];
	theirs = pair[1];
	int rc = fork_twice(theirs, lock, g->fd, local) == -1 ? err_errno(e, errno, "fork") : 0;
	closep(&theirs);
	theirs = -1;
	if (rc == 0 && hear(g, e) == 0)
		return g;
	guard_end(g);
	return NULL;
}

void guard_end(struct guard *g)
{
	char c;

	if (!g)
		return;
	shutdown(g->fd, SHUT_WR);
	struct pollfd p = { .fd = g->fd, .events = POLLIN };
	if (poll(&p, 1, END_WAIT_MS) == 1 && recv(g->fd, &c, 1, MSG_DONTWAIT) == -1)
		errno = 0; /* its end is all there is to hear */
	close(g->fd);
	free(g);
}

const char *guard_tracked(const struct guard *g)
{
	return g->tracked[0] ? g->tracked : NULL;
}
