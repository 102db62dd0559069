#include "roles/dns/kernel/attach.h"

#include "base/bpf_log.h"

#include <bpf/bpf.h>
#include <errno.h>

/* Kernel 6.6 and later; not in the UAPI header of Debian 12. linux/bpf.h, enum bpf_attach_type. */
#define ATTACH_TYPE_TCX_INGRESS 46
#define FLAG_BEFORE (1U << 3) /* BPF_F_BEFORE; of nothing in particular: at the head */

#define CLSACT_HANDLE 0x646e /* ours among filters of the same priority */
#define CLSACT_PRIORITY 0x10 /* before those of CNI plugins that leave room, and of the proxy */

static int clsact_attach(int prog_fd, int ifindex, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	libbpf_print_fn_t print = bpf_log_keep(); /* it complains about a qdisc that is there */
	int rc = bpf_tc_hook_create(&hook);

	bpf_log_end(print);
	if (rc < 0 && rc != -EEXIST)
		return err_errno(e, -rc, "add a clsact qdisc to interface %d", ifindex);
	rc = bpf_tc_attach(&hook, &opts);
	return rc < 0 ? err_errno(e, -rc, "add a filter to interface %d", ifindex) : 0;
}

int attach(struct attachment *a, int prog_fd, int ifindex, enum attach_way *way, struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = FLAG_BEFORE);

	*a = (struct attachment){ .ifindex = ifindex, .way = *way, .prog_fd = prog_fd, .link_fd = -1 };
	if (*way == ATTACH_TCX) {
		a->link_fd = bpf_link_create(prog_fd, ifindex, ATTACH_TYPE_TCX_INGRESS, &opts);
		if (a->link_fd >= 0)
			return 0;
		if (errno != EINVAL)
			return err_errno(e, errno, "attach to interface %d", ifindex);
		a->way = *way = ATTACH_CLSACT;
	}
	return clsact_attach(prog_fd, ifindex, e);
}

static uint32_t id_of(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &len) == 0 ? info.id : 0;
}

/* The process that replaced this one may have put its own in the same place. */
static bool is_ours(const struct bpf_tc_hook *hook, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

	return bpf_tc_query(hook, &opts) == 0 && opts.prog_id == id_of(prog_fd);
}

void detach(struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = a->ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);
	libbpf_print_fn_t print;

	closep(&a->link_fd);
	a->link_fd = -1;
	if (a->way != ATTACH_CLSACT)
		return;
	print = bpf_log_keep(); /* an interface that went has taken all with it */
	if (is_ours(&hook, a->prog_fd))
		bpf_tc_detach(&hook, &opts); /* the qdisc stays: others may have filters there by now */
	bpf_log_end(print);
}
