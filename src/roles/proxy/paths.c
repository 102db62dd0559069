#include "roles/proxy/paths.h"

#include <errno.h>
#include <stdio.h>

#define BPF_DIR "/sys/fs/bpf"
#define RUN_DIR_DEFAULT "/run/portico"

char *proxy_pin_dir(const struct config *c)
{
	if (!c->run_dir || c_eq(c->run_dir, RUN_DIR_DEFAULT))
		return xstrdup(BPF_DIR "/portico");
	char *path = xasprintf(BPF_DIR "/portico%s", c->run_dir);
	/* BPF file systems take no dots in names. */
	for (char *p = path + strlen(BPF_DIR) + 1; *p; p++)
		if (*p == '/' || *p == '.')
			*p = '_';
	return path;
}

char *proxy_cgroup_root(struct err *e)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char target[512], type[64];
	char *found = NULL;

	if (!f) {
		err_errno(e, errno, "open /proc/self/mounts");
		return NULL;
	}
	while (!found && fscanf(f, "%*s %511s %63s %*[^\n]", target, type) == 2)
		if (strcmp(type, "cgroup2") == 0)
			found = xstrdup(target);
	fclose(f);
	if (!found)
		err_set(e, ERR_UNAVAILABLE,
			"no cgroup2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)");
	return found;
}
