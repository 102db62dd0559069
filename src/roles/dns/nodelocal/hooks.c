#include "roles/dns/nodelocal/hooks.h"

#include "base/bpf_log.h"
#include "nodelocal.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not in the UAPI header of Debian 12. linux/bpf.h; for cgroup links since Linux 6.17. */
#define ATTACH_BEFORE (1u << 3)
#define ATTACH_PREORDER (1u << 6)

#define ALIVE_MAX_NS 2500000000ull /* a role that shows no life for this long is passed over: half a resolver's patience */

struct hooks {
	struct nodelocal *skel;
	int links[8];
	bool first;
};

struct hook {
	enum bpf_attach_type type;
	struct bpf_program *(*program)(struct nodelocal *s);
};
#define PROGRAM(field)                                                     \
	static struct bpf_program *program_##field(struct nodelocal *s)    \
	{                                                                  \
		return s->progs.field;                                     \
	}
PROGRAM(nodelocal_connect4)
PROGRAM(nodelocal_connect6)
PROGRAM(nodelocal_sendmsg4)
PROGRAM(nodelocal_sendmsg6)
PROGRAM(nodelocal_recvmsg4)
PROGRAM(nodelocal_recvmsg6)
PROGRAM(nodelocal_getpeername4)
PROGRAM(nodelocal_getpeername6)

/* What shows the asked address comes before what translates it. */
static const struct hook all[] = {
	{ BPF_CGROUP_UDP4_RECVMSG, program_nodelocal_recvmsg4 },
	{ BPF_CGROUP_UDP6_RECVMSG, program_nodelocal_recvmsg6 },
	{ BPF_CGROUP_INET4_GETPEERNAME, program_nodelocal_getpeername4 },
	{ BPF_CGROUP_INET6_GETPEERNAME, program_nodelocal_getpeername6 },
	{ BPF_CGROUP_UDP4_SENDMSG, program_nodelocal_sendmsg4 },
	{ BPF_CGROUP_UDP6_SENDMSG, program_nodelocal_sendmsg6 },
	{ BPF_CGROUP_INET4_CONNECT, program_nodelocal_connect4 },
	{ BPF_CGROUP_INET6_CONNECT, program_nodelocal_connect6 },
};

/* "/../.." → 2: what is mounted lies that many levels above the root of this process' cgroup namespace. */
static int levels_above(const char *root)
{
	int n = 0;

	while (strncmp(root, "/..", 3) == 0) {
		root += 3;
		n++;
	}
	return n;
}

/* A line of mountinfo, proc(5). NULL: no cgroup2. The mount point is in `line`. */
static char *cgroup2_mount(char *line, int *ret_levels)
{
	char *fields[5] = { NULL }, *save = NULL, *tail = strstr(line, " - ");

	if (!tail || strncmp(tail, " - cgroup2 ", 11) != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
	if (!fields[4])
		return NULL;
	*ret_levels = levels_above(fields[3]);
	return fields[4];
}

char *hooks_cgroup_root(struct err *e)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup(freep) char *line = NULL;
	char *found = NULL;
	int levels, most = -1;
	size_t size = 0;

	if (!f) {
		err_errno(e, errno, "open /proc/self/mountinfo");
		return NULL;
	}
	while (getline(&line, &size, f) > 0) {
		const char *at = cgroup2_mount(line, &levels);
		if (!at || levels <= most)
			continue;
		free(found);
		found = xstrdup(at);
		most = levels;
	}
	fclose(f);
	if (!found)
		err_set(e, ERR_UNAVAILABLE, "no cgroup2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)");
	return found;
}

/* ---- loading ---- */

static int load(struct hooks *h, bool knows_process, bool any_port, struct err *e)
{
	h->skel = nodelocal__open();
	if (!h->skel)
		return bpf_log_error(e, errno, "open the socket programs");
	h->skel->rodata->knows_process = knows_process;
	h->skel->rodata->any_port = any_port;
	int rc = nodelocal__load(h->skel);
	if (rc == 0)
		return 0;
	nodelocal__destroy(h->skel);
	h->skel = NULL;
	return bpf_log_error(e, -rc, "load the socket programs");
}

/* ---- attaching ---- */

static bool has_others(int cgroup, enum bpf_attach_type type)
{
	__u32 ids[64], n = ARRAY_LEN(ids), flags;

	return bpf_prog_query(cgroup, type, BPF_F_QUERY_EFFECTIVE, &flags, ids, &n) < 0 || n > 0;
}

/* In front of all others where the kernel can do that. Returns the link. */
static int attach_one(struct hooks *h, int cgroup, const struct hook *hook, bool others)
{
	static const __u32 ways[] = { ATTACH_PREORDER | ATTACH_BEFORE, ATTACH_PREORDER, ATTACH_BEFORE };
	int prog = bpf_program__fd(hook->program(h->skel));

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = ways[i]);
		int fd = bpf_link_create(prog, cgroup, hook->type, &opts);
		if (fd >= 0)
			return fd;
	}
	h->first &= !others;
	return bpf_link_create(prog, cgroup, hook->type, NULL);
}

static int attach_all(struct hooks *h, const char *cgroup, struct err *e)
{
	cleanup(closep) int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool others = fd != -1 && (has_others(fd, BPF_CGROUP_INET4_CONNECT) || has_others(fd, BPF_CGROUP_UDP4_SENDMSG));

	if (fd == -1)
		return err_errno(e, errno, "open cgroup '%s'", cgroup);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		h->links[i] = attach_one(h, fd, &all[i], others);
		if (h->links[i] < 0)
			return err_errno(e, errno, "attach a socket program to cgroup '%s'", cgroup);
	}
	return 0;
}

/* ---- who we are ---- */

/* The kernel's number of this process may be another than getpid() says; a socket of ours shows it to the program. */
static int show_self(struct hooks *h, struct err *e)
{
	struct nodelocal_shared *s = hooks_shared(h);
	cleanup(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd == -1 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == -1)
		return err_errno(e, errno, "number a socket");
	__atomic_store_n(&s->self_cookie, cookie, __ATOMIC_RELEASE);
	if (connect(fd, (struct sockaddr *)&loopback, sizeof(loopback)) == -1)
		return err_errno(e, errno, "connect a UDP socket to 127.0.0.1");
	__atomic_store_n(&s->self_cookie, 0, __ATOMIC_RELEASE);
	return 0;
}

static int start(struct hooks *h, const char *cgroup, __be32 local, bool any_port, struct err *e)
{
	if (load(h, true, any_port, e) < 0 && (e->sys_errno != EINVAL || load(h, false, any_port, e) < 0))
		return -1;
	hooks_shared(h)->local = local;
	hooks_shared(h)->beat_max_ns = ALIVE_MAX_NS;
	return attach_all(h, cgroup, e);
}

static void stop(struct hooks *h)
{
	/* In the opposite order. */
	for (size_t i = ARRAY_LEN(all); i-- > 0;) {
		closep(&h->links[i]);
		h->links[i] = -1;
	}
	nodelocal__destroy(h->skel);
	h->skel = NULL;
}

struct hooks *hooks_new(const char *cgroup, __be32 local, struct err *e)
{
	struct hooks *h = xcalloc(1, sizeof(*h));
	libbpf_print_fn_t print = bpf_log_keep();

	memset(h->links, 0xff, sizeof(h->links));
	h->first = true;
	bool ok = start(h, cgroup, local, false, e) == 0;
	if (ok && !h->first) {
		stop(h);
		ok = start(h, cgroup, local, true, e) == 0;
	}
	ok = ok && show_self(h, e) == 0;
	bpf_log_end(print);
	if (ok)
		return h;
	hooks_free(h);
	return NULL;
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	stop(h);
	free(h);
}

struct nodelocal_shared *hooks_shared(struct hooks *h)
{
	return &h->skel->bss->shared;
}

void hooks_targets_set(struct hooks *h, const struct nodelocal_targets *t)
{
	struct nodelocal_shared *s = hooks_shared(h);
	__u32 other = !s->which;

	s->targets[other] = *t;
	__atomic_store_n(&s->which, other, __ATOMIC_RELEASE);
}

bool hooks_first(const struct hooks *h)
{
	return h->first;
}
