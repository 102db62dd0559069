#include "roles/proxy/dp_int.h"

#include "base/bpf_log.h"
#include "dataplane.skel.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kernel 6.6 and later; not in the UAPI header of Debian 12. linux/bpf.h, enum bpf_attach_type. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

#define CLSACT_HANDLE 1
#define CLSACT_PRIORITY 0x7074 /* ours: below what CNI plugins use, above the kernel's automatic ones */
#define CLSACT_MARKER "cls_%d_%s" /* a filter of ours */
#define QDISC_MARKER "clsq_%d"	   /* the qdisc under it is ours too */

struct attachment {
	const char *name; /* of the pin */
	enum bpf_attach_type type;
	struct bpf_program *(*program)(struct dataplane *s);
};

#define PROGRAM(field)                                                     \
	static struct bpf_program *program_##field(struct dataplane *s)    \
	{                                                                  \
		return s->progs.field;                                     \
	}
PROGRAM(sock_connect4)
PROGRAM(sock_connect6)
PROGRAM(sock_sendmsg4)
PROGRAM(sock_sendmsg6)
PROGRAM(sock_recvmsg4)
PROGRAM(sock_recvmsg6)
PROGRAM(sock_getpeername4)
PROGRAM(sock_getpeername6)

/* What restores the service's address comes before what takes it away. */
static const struct attachment sockets[] = {
	{ "recvmsg4", BPF_CGROUP_UDP4_RECVMSG, program_sock_recvmsg4 },
	{ "recvmsg6", BPF_CGROUP_UDP6_RECVMSG, program_sock_recvmsg6 },
	{ "getpeername4", BPF_CGROUP_INET4_GETPEERNAME, program_sock_getpeername4 },
	{ "getpeername6", BPF_CGROUP_INET6_GETPEERNAME, program_sock_getpeername6 },
	{ "sendmsg4", BPF_CGROUP_UDP4_SENDMSG, program_sock_sendmsg4 },
	{ "sendmsg6", BPF_CGROUP_UDP6_SENDMSG, program_sock_sendmsg6 },
	{ "connect4", BPF_CGROUP_INET4_CONNECT, program_sock_connect4 },
	{ "connect6", BPF_CGROUP_INET6_CONNECT, program_sock_connect6 },
};

static int link_info(int fd, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len);
}

static int link_create(int prog_fd, int target, enum bpf_attach_type type, const char *pin, struct err *e)
{
	cleanup(closep) int fd = bpf_link_create(prog_fd, target, type, NULL);

	if (fd < 0)
		return err_errno(e, errno, "attach a BPF program");
	if (bpf_obj_pin(fd, pin) < 0)
		return err_errno(e, errno, "pin '%s'", pin);
	return 0;
}

/* --- sockets --- */

static int socket_attach(struct dp *dp, const struct attachment *a, int cgroup_fd, uint64_t cgroup_id, struct err *e)
{
	cleanup(freep) char *pin = xasprintf("%s/%s", dp->links_dir, a->name);
	cleanup(closep) int old = bpf_obj_get(pin);
	int prog = bpf_program__fd(a->program(dp->skel));
	struct bpf_link_info info;

	if (old >= 0 && link_info(old, &info) == 0 && info.cgroup.cgroup_id == cgroup_id) {
		if (bpf_link_update(old, prog, NULL) < 0)
			return err_errno(e, errno, "replace the program of '%s'", pin);
		return 0;
	}
	if (old >= 0 && unlink(pin) == -1)
		return err_errno(e, errno, "remove '%s'", pin);
	return link_create(prog, cgroup_fd, a->type, pin, e);
}

int dp_attach_sockets(struct dp *dp, struct err *e)
{
	cleanup(closep) int fd = open(dp->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_errno(e, errno, "open cgroup '%s'", dp->cgroup);
	/* kernfs: the inode number is the cgroup's id. */
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		if (socket_attach(dp, &sockets[i], fd, st.st_ino, e) < 0)
			return err_wrap(e, "cgroup '%s', %s", dp->cgroup, sockets[i].name);
	dp_pins_drop_old(dp->pin_dir);
	return 0;
}

/* --- interfaces --- */

static int tcx_attach(struct dp *dp, int ifindex, const char *dir, enum bpf_attach_type type, int prog, struct err *e)
{
	cleanup(freep) char *pin = xasprintf("%s/tcx_%d_%s", dp->links_dir, ifindex, dir);
	cleanup(closep) int old = bpf_obj_get(pin);
	struct bpf_link_info info;

	/* The index in the info is 0 once the interface is gone (its number may be another's now); it stands
	 * where XDP links have theirs. */
	if (old >= 0 && link_info(old, &info) == 0 && info.xdp.ifindex == (uint32_t)ifindex)
		return bpf_link_update(old, prog, NULL) < 0 ?
			       err_errno(e, errno, "replace the program of '%s'", pin) :
			       0;
	if (old >= 0 && unlink(pin) == -1)
		return err_errno(e, errno, "remove '%s'", pin);
	return link_create(prog, ifindex, type, pin, e);
}

static enum bpf_tc_attach_point attach_point(const char *dir)
{
	return strcmp(dir, "in") == 0 ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

/* Markers are pins of the program: dp_remove learns from their names what to take away. */
static int marker_pin(struct dp *dp, int prog, const char *name, struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/%s", dp->links_dir, name);

	if (bpf_obj_pin(prog, path) < 0 && errno != EEXIST)
		return err_errno(e, errno, "pin '%s'", path);
	return 0;
}

static int qdisc_ensure(struct dp *dp, int ifindex, int prog, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	libbpf_print_fn_t print = bpf_log_keep(); /* it complains about a qdisc that is there */
	cleanup(freep) char *marker = xasprintf(QDISC_MARKER, ifindex);
	int rc = bpf_tc_hook_create(&hook);

	bpf_log_end(print);
	if (rc == -EEXIST)
		return 0;
	if (rc < 0)
		return err_errno(e, -rc, "add a clsact qdisc to interface %d", ifindex);
	return marker_pin(dp, prog, marker, e);
}

static int clsact_attach(struct dp *dp, int ifindex, const char *dir, int prog, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = attach_point(dir));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY, .prog_fd = prog,
		    .flags = BPF_TC_F_REPLACE);
	cleanup(freep) char *marker = xasprintf(CLSACT_MARKER, ifindex, dir);
	int rc;

	if (qdisc_ensure(dp, ifindex, prog, e) < 0)
		return -1;
	rc = bpf_tc_attach(&hook, &opts);
	if (rc < 0)
		return err_errno(e, -rc, "add a filter to interface %d", ifindex);
	return marker_pin(dp, prog, marker, e);
}

bool dp_clsact_remove(const char *marker)
{
	libbpf_print_fn_t print;
	char dir[8] = "";
	int ifindex;

	if (sscanf(marker, "cls_%d_%7s", &ifindex, dir) != 2 && sscanf(marker, QDISC_MARKER, &ifindex) != 1)
		return false;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);
	print = bpf_log_keep(); /* an interface that went has taken all with it */
	hook.attach_point = dir[0] ? attach_point(dir) : BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (dir[0])
		bpf_tc_detach(&hook, &opts);
	else
		bpf_tc_hook_destroy(&hook);
	bpf_log_end(print);
	return true;
}

static int direction_attach(struct dp *dp, int ifindex, const char *dir, enum bpf_attach_type type, int prog,
			    struct err *e)
{
	if (!dp->clsact && tcx_attach(dp, ifindex, dir, type, prog, e) == 0)
		return 0;
	if (!dp->clsact && e->sys_errno != EINVAL)
		return -1;
	dp->clsact = true; /* an older kernel: it does not know these attach types */
	return clsact_attach(dp, ifindex, dir, prog, e);
}

int dp_attach_link(struct dp *dp, int ifindex, enum dp_side side, struct err *e)
{
	struct bpf_program *in = side == DP_SIDE_POD ? dp->skel->progs.pod_ingress : dp->skel->progs.host_ingress;

	/* Egress first: no reply may leave untranslated once requests are translated. */
	int out_fd = bpf_program__fd(dp->skel->progs.node_egress), in_fd = bpf_program__fd(in);

	if (direction_attach(dp, ifindex, "out", ATTACH_TCX_EGRESS, out_fd, e) < 0)
		return -1;
	return direction_attach(dp, ifindex, "in", ATTACH_TCX_INGRESS, in_fd, e);
}

void dp_detach_link(struct dp *dp, int ifindex)
{
	static const char *const names[] = { "tcx_%d_in", "tcx_%d_out", "cls_%d_in", "cls_%d_out", QDISC_MARKER };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup(freep) char *name = xasprintf(names[i], ifindex);
		cleanup(freep) char *pin = xasprintf("%s/%s", dp->links_dir, name);

		if (access(pin, F_OK) == 0) {
			dp_clsact_remove(name);
			unlink(pin);
		}
	}
}

static bool index_in(const int *at, size_t n, int index)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] == index)
			return true;
	return false;
}

void dp_links_keep(struct dp *dp, const int *ifindexes, size_t n)
{
	DIR *d = opendir(dp->links_dir);
	struct dirent *de;
	int index;

	while (d && (de = readdir(d)))
		if ((sscanf(de->d_name, "tcx_%d_", &index) == 1 || sscanf(de->d_name, "cls_%d_", &index) == 1 ||
		     sscanf(de->d_name, QDISC_MARKER, &index) == 1) &&
		    !index_in(ifindexes, n, index))
			dp_detach_link(dp, index);
	if (d)
		closedir(d);
}
