/* /metrics/resource: what metrics-server asks for, read from the control groups. */
#include "roles/node/cgroup.h"
#include "roles/node/kubelet_server.h"
#include "roles/node/pod.h"
#include "roles/node/resources.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define METRICS_BYTES (4u << 20) /* 110 pods with a few containers each need under 100 KiB */

struct usage {
	double cpu_s;
	int64_t memory_bytes, inactive_bytes;
	bool cpu_known, memory_known;
};

/* The number behind `key` in a flat keyed file, or the whole file's number when key is NULL; -1 if
 * absent. */
static int64_t read_number(const char *dir, const char *file, const char *key)
{
	cleanup(freep) char *path = xasprintf("%s/%s", dir, file);
	FILE *f = fopen(path, "re");
	int64_t value = -1;
	char name[64];
	int64_t v;

	if (!f)
		return -1;
	if (!key) {
		if (fscanf(f, "%" SCNd64, &value) != 1)
			value = -1;
	} else {
		while (value < 0 && fscanf(f, "%63s %" SCNd64, name, &v) == 2)
			if (c_eq(name, key))
				value = v;
	}
	fclose(f);
	return value;
}

static void put_cpu(struct usage *u, int64_t value, bool v2)
{
	u->cpu_s = (double)value / (v2 ? 1e6 : 1e9);
	u->cpu_known = true;
}

static void put_memory(struct usage *u, int64_t value, bool v2)
{
	(void)v2;
	u->memory_bytes = value;
	u->memory_known = true;
}

static void put_inactive(struct usage *u, int64_t value, bool v2)
{
	(void)v2;
	u->inactive_bytes = value;
}

static const struct counter {
	const char *file, *key; /* on version 2 */
	const char *v1_controller, *v1_file, *v1_key;
	void (*put)(struct usage *u, int64_t value, bool v2);
} counters[] = {
	{ "cpu.stat", "usage_usec", "cpuacct", "cpuacct.usage", NULL, put_cpu },
	{ "memory.current", NULL, "memory", "memory.usage_in_bytes", NULL, put_memory },
	{ "memory.stat", "inactive_file", "memory", "memory.stat", "total_inactive_file",
	  put_inactive },
};

static void collect(void *ctx, const char *dir, const char *controllers)
{
	bool v2 = c_eq(controllers, "unified");

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		const struct counter *c = &counters[i];
		if (!v2 && !strstr(controllers, c->v1_controller))
			continue;
		int64_t value =
			read_number(dir, v2 ? c->file : c->v1_file, v2 ? c->key : c->v1_key);
		if (value >= 0)
			c->put(ctx, value, v2);
	}
}

static struct usage usage_of(const char *path)
{
	struct usage u = { 0 };

	cgroup_each(path, collect, &u);
	return u;
}

static int64_t working_set(const struct usage *u)
{
	return MAX(u->memory_bytes - u->inactive_bytes, 0);
}

static void put_sample(struct buf *out, const char *what, const char *labels, const struct usage *u)
{
	if (u->cpu_known)
		buf_printf(out, "%s_cpu_usage_seconds_total%s %.6f\n", what, labels, u->cpu_s);
	if (u->memory_known)
		buf_printf(out, "%s_memory_working_set_bytes%s %" PRId64 "\n", what, labels,
			   working_set(u));
}

static void put_pod(struct buf *out, const struct pod *p)
{
	cleanup(freep) char *group = pod_cgroup_path(p->obj);
	cleanup(freep) char *labels = xasprintf("{namespace=\"%s\",pod=\"%s\"}", p->ns, p->name);
	struct usage u = usage_of(group);

	put_sample(out, "pod", labels, &u);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		const struct ctr *c = &p->ctrs[i];
		if (c->state != CTR_RUNNING)
			continue;
		cleanup(freep) char *path = xasprintf("%s/%s", group, c->id);
		cleanup(freep) char *names = xasprintf(
			"{container=\"%s\",namespace=\"%s\",pod=\"%s\"}", c->name, p->ns, p->name);
		struct usage one = usage_of(path);
		put_sample(out, "container", names, &one);
		buf_printf(out, "container_start_time_seconds%s %.3f\n", names,
			   (double)c->started_at_ms / 1000);
	}
}

/* "MemTotal:  24684096 kB": a value and its unit per line. */
static int64_t meminfo_bytes(const char *wanted)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	int64_t kib, found = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %" SCNd64, name, &kib) == 2 && c_eq(name, wanted))
			found = kib * 1024;
	if (f)
		fclose(f);
	return found;
}

/* The root group of version 2 has no memory.current: the machine's own figures. */
static struct usage machine_usage(void)
{
	struct usage u = { .memory_known = true };
	unsigned long long t[7] = { 0 };
	FILE *f = fopen("/proc/stat", "re");

	/* user, nice, system, idle, iowait, irq, softirq */
	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
			&t[4], &t[5], &t[6]) == 7) {
		u.cpu_s = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / (double)sysconf(_SC_CLK_TCK);
		u.cpu_known = true;
	}
	if (f)
		fclose(f);
	u.memory_bytes = meminfo_bytes("MemTotal") - meminfo_bytes("MemAvailable");
	return u;
}

void kubelet_resource_metrics(struct node *n, struct http_exchange *x, struct str rest)
{
	const struct http_header type = { STR("content-type"),
					  STR("text/plain; version=0.0.4; charset=utf-8") };
	struct usage machine = machine_usage();
	struct buf out;

	(void)rest;
	buf_init(&out, METRICS_BYTES);
	put_sample(&out, "node", "", &machine);
	for (struct map_iter it = { 0 }; map_next(&n->pods, &it);) {
		const struct pod *p = it.value;
		if (p->stage == POD_RUNNING && p->sandbox_ready)
			put_pod(&out, p);
	}
	http_reply(x, 200, &type, 1, buf_str(&out));
	buf_done(&out);
}
