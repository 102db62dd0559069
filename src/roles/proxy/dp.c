#include "roles/proxy/dp_int.h"

#include "base/bpf_log.h"
#include "dataplane.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH 4096		/* entries a system call: 64 KB of keys and values at most */
#define BATCH_WORTH 8		/* fewer are written one by one */
#define LOAD_LOG_BYTES (64 << 10)

static int maps_pin(struct dp *dp, struct err *e)
{
	cleanup(freep) char *dir = dp_maps_dir(dp->pin_dir);
	struct bpf_map *m;

	bpf_object__for_each_map(m, dp->skel->obj) {
		cleanup(freep) char *path = xasprintf("%s/%s", dir, bpf_map__name(m));

		if (bpf_map__name(m)[0] == '.' || strchr(bpf_map__name(m), '.'))
			continue; /* constants of the programs themselves */
		int rc = bpf_map__set_pin_path(m, path);
		if (rc < 0)
			return bpf_log_error(e, -rc, "name the pin of a map");
	}
	return 0;
}

static int config_write(struct dp *dp, const struct dp_config *c, struct err *e)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(dp->skel->maps.dp_config), &zero, c, BPF_ANY) < 0)
		return err_errno(e, errno, "write the data plane's configuration");
	return 0;
}

static int programs_load(struct dp *dp, struct err *e)
{
	int rc;

	dp->skel = dataplane__open();
	if (!dp->skel)
		return bpf_log_error(e, errno, "open the BPF programs");
	if (maps_pin(dp, e) < 0)
		return -1;
	rc = dataplane__load(dp->skel);
	if (rc < 0)
		return bpf_log_error(e, -rc, "load the BPF programs");
	return 0;
}

struct dp *dp_open(const struct dp_options *o, const struct dp_config *c, struct err *e)
{
	struct dp *dp = xcalloc(1, sizeof(*dp));
	libbpf_print_fn_t print = bpf_log_keep();

	dp->pin_dir = xstrdup(o->pin_dir);
	dp->links_dir = xasprintf("%s/links", o->pin_dir);
	dp->cgroup = xstrdup(o->cgroup);
	dp->clsact = o->clsact;
	bool ok = dp_pins_prepare(o->pin_dir, e) == 0 && programs_load(dp, e) == 0 && config_write(dp, c, e) == 0;
	bpf_log_end(print);
	if (ok)
		return dp;
	dp_close(dp);
	return NULL;
}

void dp_close(struct dp *dp)
{
	if (!dp)
		return;
	dataplane__destroy(dp->skel);
	free(dp->pin_dir);
	free(dp->links_dir);
	free(dp->cgroup);
	free(dp);
}

int dp_sock_origins_fd(const struct dp *dp)
{
	return bpf_map__fd(dp->skel->maps.sock_origins);
}

/* --- reading --- */

int dp_snapshot(struct dp *dp, struct tables_frontend **ret_frontends, size_t *ret_n, struct svc_source **ret_sources,
		size_t *ret_n_sources, struct err *e)
{
	int fd = bpf_map__fd(dp->skel->maps.svc_frontends), sources_fd = bpf_map__fd(dp->skel->maps.svc_sources);
	struct tables_frontend *fe = NULL;
	struct svc_source *src = NULL, source;
	size_t n = 0, n_src = 0;
	struct svc_key key;

	for (void *prev = NULL; bpf_map_get_next_key(fd, prev, &key) == 0; prev = &key) {
		fe = n & (n - 1) ? fe : xrealloc(fe, MAX(n * 2, 1) * sizeof(*fe));
		fe[n].key = key;
		if (bpf_map_lookup_elem(fd, &key, &fe[n].value) == 0)
			n++;
	}
	if (errno == ENOENT)
		for (void *prev = NULL; bpf_map_get_next_key(sources_fd, prev, &source) == 0; prev = &source) {
			src = n_src & (n_src - 1) ? src : xrealloc(src, MAX(n_src * 2, 1) * sizeof(*src));
			src[n_src++] = source;
		}
	if (errno != ENOENT) {
		free(fe);
		free(src);
		return err_errno(e, errno, "read the pinned maps");
	}
	*ret_frontends = fe;
	*ret_n = n;
	*ret_sources = src;
	*ret_n_sources = n_src;
	return 0;
}

int dp_counters_read(struct dp *dp, uint64_t ret_counters[DP_COUNTERS], struct err *e)
{
	int cpus = libbpf_num_possible_cpus(), fd = bpf_map__fd(dp->skel->maps.dp_counters);
	cleanup(freep) __u64 *each = cpus > 0 ? xcalloc(cpus, sizeof(*each)) : NULL;

	if (!each)
		return err_set(e, ERR_INTERNAL, "number of CPUs is unknown");
	for (__u32 i = 0; i < DP_COUNTERS; i++) {
		ret_counters[i] = 0;
		if (bpf_map_lookup_elem(fd, &i, each) < 0)
			return err_errno(e, errno, "read a counter");
		for (int cpu = 0; cpu < cpus; cpu++)
			ret_counters[i] += each[cpu];
	}
	return 0;
}

/* --- writing --- */

/* Two arrays of what the map wants, copied out of the changes in portions. */
struct batch {
	int fd;
	const char *what;
	size_t key_bytes, value_bytes;
	char *keys, *values;
	__u32 n;
};

static int batch_write(struct batch *b, struct err *e)
{
	__u32 done = b->n;

	if (b->n == 0)
		return 0;
	if (b->n < BATCH_WORTH || bpf_map_update_batch(b->fd, b->keys, b->values, &done, NULL) < 0)
		for (__u32 i = 0; i < b->n; i++)
			if (bpf_map_update_elem(b->fd, b->keys + i * b->key_bytes, b->values + i * b->value_bytes,
						BPF_ANY) < 0)
				return err_errno(e, errno, "write %s", b->what);
	b->n = 0;
	return 0;
}

static int batch_put(struct batch *b, const void *key, const void *value, struct err *e)
{
	if (b->n == BATCH && batch_write(b, e) < 0)
		return -1;
	memcpy(b->keys + b->n * b->key_bytes, key, b->key_bytes);
	memcpy(b->values + b->n * b->value_bytes, value, b->value_bytes);
	b->n++;
	return 0;
}

static struct batch batch_new(struct bpf_map *m, size_t n, const char *what)
{
	struct batch b = { .fd = bpf_map__fd(m), .what = what,
			   .key_bytes = bpf_map__key_size(m), .value_bytes = bpf_map__value_size(m) };

	n = MIN(MAX(n, 1), BATCH);
	b.keys = xcalloc(n, b.key_bytes);
	b.values = xcalloc(n, b.value_bytes);
	return b;
}

static void batch_done(struct batch *b)
{
	free(b->keys);
	free(b->values);
}

static int backends_write(struct dp *dp, const struct tables_changes *c, struct err *e)
{
	cleanup(batch_done) struct batch b = batch_new(dp->skel->maps.svc_backends, c->n_backends, "backends");

	for (size_t i = 0; i < c->n_backends; i++)
		if (batch_put(&b, &c->backends[i].at, &c->backends[i].value, e) < 0)
			return -1;
	return batch_write(&b, e);
}

static int frontends_write(struct dp *dp, const struct tables_changes *c, struct err *e)
{
	cleanup(batch_done) struct batch b = batch_new(dp->skel->maps.svc_frontends, c->n_puts, "frontends");

	for (size_t i = 0; i < c->n_puts; i++)
		if (batch_put(&b, &c->puts[i].key, &c->puts[i].value, e) < 0)
			return -1;
	return batch_write(&b, e);
}

static int sources_write(struct dp *dp, const struct tables_changes *c, struct err *e)
{
	int fd = bpf_map__fd(dp->skel->maps.svc_sources);
	__u8 allowed = 1;

	for (size_t i = 0; i < c->n_source_puts; i++)
		if (bpf_map_update_elem(fd, &c->source_puts[i], &allowed, BPF_ANY) < 0)
			return err_errno(e, errno, "write source ranges");
	return 0;
}

static int key_del(int fd, const void *key, const char *what, struct err *e)
{
	return bpf_map_delete_elem(fd, key) < 0 && errno != ENOENT ? err_errno(e, errno, "remove %s", what) : 0;
}

int dp_apply(struct dp *dp, const struct tables_changes *c, struct err *e)
{
	if (backends_write(dp, c, e) < 0 || sources_write(dp, c, e) < 0 || frontends_write(dp, c, e) < 0)
		return -1;
	for (size_t i = 0; i < c->n_dels; i++)
		if (key_del(bpf_map__fd(dp->skel->maps.svc_frontends), &c->dels[i], "a frontend", e) < 0)
			return -1;
	for (size_t i = 0; i < c->n_source_dels; i++)
		if (key_del(bpf_map__fd(dp->skel->maps.svc_sources), &c->source_dels[i], "a source range", e) < 0)
			return -1;
	return 0;
}

/* Deletes the keys of a small set that are not wanted. */
static int set_keep(int fd, size_t key_bytes, const void *wanted, size_t n, struct err *e)
{
	cleanup(freep) char *drop = NULL;
	size_t n_drop = 0;
	char key[8];

	assert(key_bytes <= sizeof(key));
	for (void *prev = NULL; bpf_map_get_next_key(fd, prev, key) == 0; prev = key) {
		bool keep = false;

		for (size_t i = 0; i < n && !keep; i++)
			keep = memcmp((const char *)wanted + i * key_bytes, key, key_bytes) == 0;
		if (keep)
			continue;
		drop = xrealloc(drop, (n_drop + 1) * key_bytes);
		memcpy(drop + n_drop++ * key_bytes, key, key_bytes);
	}
	for (size_t i = 0; i < n_drop; i++)
		if (key_del(fd, drop + i * key_bytes, "what is gone", e) < 0)
			return -1;
	return 0;
}

int dp_node_addrs_set(struct dp *dp, const __be32 *addrs, size_t n, struct err *e)
{
	int fd = bpf_map__fd(dp->skel->maps.node_addrs);
	__u32 here = 1;

	for (size_t i = 0; i < n; i++)
		if (bpf_map_update_elem(fd, &addrs[i], &here, BPF_ANY) < 0)
			return err_errno(e, errno, "write node addresses");
	return set_keep(fd, sizeof(*addrs), addrs, n, e);
}

int dp_netns_set(struct dp *dp, uint64_t cookie, enum netns_kind kind, struct err *e)
{
	__u32 value = kind;

	if (bpf_map_update_elem(bpf_map__fd(dp->skel->maps.netns_kinds), &cookie, &value, BPF_ANY) < 0)
		return err_errno(e, errno, "write a network namespace");
	return 0;
}

int dp_netns_del(struct dp *dp, uint64_t cookie, struct err *e)
{
	return key_del(bpf_map__fd(dp->skel->maps.netns_kinds), &cookie, "a network namespace", e);
}

int dp_netns_keep(struct dp *dp, const uint64_t *cookies, size_t n, struct err *e)
{
	return set_keep(bpf_map__fd(dp->skel->maps.netns_kinds), sizeof(*cookies), cookies, n, e);
}
