#include "roles/cli/sandbox.h"

#include "base/log.h"
#include "roles/cli/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Never needed by a role that only talks to sockets; each is a way to the kernel or out of the sandbox. */
static const int denied_syscalls[] = {
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(open_by_handle_at), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(execve), SCMP_SYS(execveat),
};

#define LANDLOCK_WRITES                                                                                     \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |   \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |         \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |      \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Of those to keep, what this process has: a container may have been given less. */
static int set_capabilities(uint64_t keep, struct err *e)
{
	cap_t has = cap_get_proc(), caps = cap_init();
	int rc = 0;

	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++) {
		cap_flag_value_t on = CAP_CLEAR;

		if (keep & (uint64_t)1 << c)
			cap_get_flag(has, c, CAP_PERMITTED, &on);
		if (on == CAP_CLEAR)
			continue;
		cap_set_flag(caps, CAP_PERMITTED, 1, &c, CAP_SET);
		cap_set_flag(caps, CAP_EFFECTIVE, 1, &c, CAP_SET);
	}
	if (cap_set_proc(caps) == -1)
		rc = err_errno(e, errno, "drop capabilities");
	cap_free(caps);
	cap_free(has);
	return rc;
}

int sandbox_identity(const struct role *r, struct err *e)
{
	uid_t uid = role_uid(r->name);

	if (geteuid() != 0 || r->root || uid == 0)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1 || setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		return err_errno(e, errno, "become uid %u", uid);
	if (set_capabilities(r->caps_keep, e) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_errno(e, errno, "set no_new_privs");
	return 0;
}

static int landlock_allow(int ruleset, const char *path, struct err *e)
{
	cleanup(closep) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = LANDLOCK_WRITES, .parent_fd = fd };
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_errno(e, errno, "open '%s'", path);
	/* The kernel refuses rights over directories in a rule about anything else. */
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == -1)
		return err_errno(e, errno, "Landlock rule for '%s'", path);
	return 0;
}

static int landlock_apply(const char *writable, struct err *e)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_WRITES | LANDLOCK_ACCESS_FS_EXECUTE };
	cleanup(closep) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset == -1)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : err_errno(e, errno, "create a Landlock ruleset");
	if (landlock_allow(ruleset, "/dev/null", e) < 0 || (writable && landlock_allow(ruleset, writable, e) < 0))
		return -1;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		return err_errno(e, errno, "apply Landlock");
	return 0;
}

/* linux/bpf.h, enum bpf_cmd: look up, update, delete an element and find the next key. */
#define BPF_ELEMENTS_FIRST 1
#define BPF_ELEMENTS_LAST 4

/* The kernel looks at 32 bits of the command, the filter at 64: what has others set is above the last. */
static int bpf_deny(scmp_filter_ctx ctx, const struct role *r)
{
	const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
	int rc;

	if (r->caps_keep & (uint64_t)1 << CAP_BPF)
		return 0;
	if (!r->bpf_maps)
		return seccomp_rule_add(ctx, deny, SCMP_SYS(bpf), 0);
	rc = seccomp_rule_add(ctx, deny, SCMP_SYS(bpf), 1, SCMP_A0(SCMP_CMP_LT, BPF_ELEMENTS_FIRST));
	return rc ? rc : seccomp_rule_add(ctx, deny, SCMP_SYS(bpf), 1, SCMP_A0(SCMP_CMP_GT, BPF_ELEMENTS_LAST));
}

static int seccomp_apply(const struct role *r, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(denied_syscalls); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied_syscalls[i], 0);
	if (rc == 0)
		rc = bpf_deny(ctx, r);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_errno(e, -rc, "load the seccomp filter") : 0;
}

int sandbox_lock(const struct role *r, const char *writable, struct err *e)
{
	if (r->root || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 0;
	if (landlock_apply(writable, e) < 0)
		return -1;
	return seccomp_apply(r, e);
}
