#include "roles/node/node_facts.h"

#include "base/file.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define PODS_MAX 110 /* kubelet's default; a /24 holds them */
#define FACT_BYTES 4096

int64_t machine_memory_bytes(void)
{
	struct sysinfo si;

	return sysinfo(&si) == 0 ? (int64_t)si.totalram * si.mem_unit : 0;
}

int64_t machine_milli_cpus(void)
{
	return (int64_t)get_nprocs() * 1000;
}

/* The first line of a file; "" when it cannot be read. On the heap. */
static char *read_fact(const char *path)
{
	struct buf text;
	struct err none;

	buf_init(&text, FACT_BYTES);
	if (file_read(path, &text, &none) < 0 || !text.len) {
		buf_done(&text);
		return xstrdup("");
	}
	text.ptr[strcspn(text.ptr, "\n")] = '\0';
	return buf_take(&text);
}

/* PRETTY_NAME="…" of os-release(5) */
static char *os_image(void)
{
	struct buf text;
	struct err none;
	char *name = NULL;

	buf_init(&text, FACT_BYTES);
	struct str rest =
		file_read("/etc/os-release", &text, &none) < 0 ? STR_NONE : buf_str(&text);
	while (rest.ptr && !name) {
		struct str value, key = str_cut(str_cut(rest, '\n', &rest), '=', &value);
		if (!str_eq_c(key, "PRETTY_NAME") || !value.ptr)
			continue;
		if (value.len >= 2 && value.ptr[0] == '"')
			value = (struct str){ value.ptr + 1, value.len - 2 };
		name = str_dup(value);
	}
	buf_done(&text);
	return name ? name : xstrdup("Linux");
}

static const char *architecture(const char *machine)
{
	return c_eq(machine, "x86_64") ? "amd64" : c_eq(machine, "aarch64") ? "arm64" : machine;
}

json_t *node_info(const char *runtime_version)
{
	cleanup(freep) char *machine = read_fact("/etc/machine-id");
	cleanup(freep) char *system = read_fact("/sys/class/dmi/id/product_uuid");
	cleanup(freep) char *boot = read_fact("/proc/sys/kernel/random/boot_id");
	cleanup(freep) char *os = os_image();
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "machineID", machine,
			 "systemUUID", system[0] ? system : machine, "bootID", boot,
			 "kernelVersion", u.release, "osImage", os, "containerRuntimeVersion",
			 runtime_version, "kubeletVersion", "v1.33.0", "kubeProxyVersion",
			 "v1.33.0", "operatingSystem", "linux", "architecture",
			 architecture(u.machine));
}

json_t *node_capacity(const struct node *n)
{
	struct statvfs fs;
	char cpu[32], memory[32], disk[32], pods[16];
	uint64_t disk_kib = statvfs(n->config->data_dir, &fs) == 0
				    ? (uint64_t)fs.f_blocks * fs.f_frsize / 1024
				    : 0;

	snprintf(cpu, sizeof(cpu), "%lld", (long long)n->milli_cpus / 1000);
	snprintf(memory, sizeof(memory), "%lldKi", (long long)n->memory_bytes / 1024);
	snprintf(disk, sizeof(disk), "%lluKi", (unsigned long long)disk_kib);
	snprintf(pods, sizeof(pods), "%d", PODS_MAX);
	return json_pack("{s:s, s:s, s:s, s:s}", "cpu", cpu, "ephemeral-storage", disk, "memory",
			 memory, "pods", pods);
}

json_t *node_labels(const char *node_name)
{
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "beta.kubernetes.io/arch",
			 architecture(u.machine), "beta.kubernetes.io/os", "linux",
			 "kubernetes.io/arch", architecture(u.machine), "kubernetes.io/hostname",
			 node_name, "kubernetes.io/os", "linux");
}
