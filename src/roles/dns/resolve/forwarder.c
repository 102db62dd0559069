#include "roles/dns/resolve/forwarder.h"

#include "base/file.h"
#include "roles/dns/observe/metrics.h"

#include <sys/stat.h>

#define FILE_BYTES_MAX (64u << 10) /* a resolv.conf has a few lines */

struct forwarder_file {
	const char *path; /* one of the words */
	struct stat seen;
};

struct forwarder *forwarder_new(void)
{
	struct forwarder *f = xcalloc(1, sizeof(*f));

	f->o = (struct forwarder_options){
		.from = { .len = 1 },
		.read_timeout_ms = FORWARD_READ_TIMEOUT_MS,
		.line = { .expire_ms = FORWARD_EXPIRE_MS },
		.health = { .max_fails = HEALTH_MAX_FAILS, .interval_ms = HEALTH_INTERVAL_MS, .name = { .len = 1 } },
	};
	return f;
}

static void free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

void forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	upstream_set_unref(f->set);
	tls_unref(f->o.line.tls);
	free_words(f->words);
	free(f->files);
	free((char *)f->upstream.server_name);
	free_words((char **)f->upstream.own_ips);
	free(f);
}

/* ---- upstreams ---- */

static struct forwarder_file *file_of(struct forwarder *f, const char *path)
{
	for (size_t i = 0; i < f->n_files; i++)
		if (f->files[i].path == path)
			return &f->files[i];
	return NULL;
}

static void add_file(struct forwarder *f, struct upstream_set *s, const char *path)
{
	struct forwarder_file *file = file_of(f, path);
	struct buf text;
	struct err e;

	if (stat(path, &file->seen) == -1)
		memset(&file->seen, 0, sizeof(file->seen));
	buf_init(&text, FILE_BYTES_MAX);
	if (file_read(path, &text, &e) == 0)
		upstream_set_add_file(s, buf_str(&text), &f->upstream);
	buf_done(&text);
}

static struct upstream_set *read_upstreams(struct forwarder *f, struct err *e)
{
	struct upstream_set *s = upstream_set_new();

	for (char **w = f->words; *w; w++) {
		if (file_of(f, *w)) {
			add_file(f, s, *w);
		} else if (upstream_set_add(s, *w, &f->upstream, e) < 0) {
			upstream_set_unref(s);
			return NULL;
		}
	}
	return s;
}

int forwarder_set_upstreams(struct forwarder *f, const char *const *words, size_t n, struct err *e)
{
	f->words = xcalloc(n + 1, sizeof(*f->words));
	f->files = xcalloc(n, sizeof(*f->files));
	for (size_t i = 0; i < n; i++) {
		f->words[i] = xstrdup(words[i]);
		if (f->words[i][0] == '/')
			f->files[f->n_files++].path = f->words[i];
	}
	f->set = read_upstreams(f, e);
	return f->set ? 0 : -1;
}

static bool files_changed(const struct forwarder *f)
{
	for (size_t i = 0; i < f->n_files; i++) {
		const struct stat *old = &f->files[i].seen;
		struct stat st;
		if (stat(f->files[i].path, &st) == -1)
			memset(&st, 0, sizeof(st));
		if (st.st_ino != old->st_ino || st.st_size != old->st_size || st.st_mtim.tv_sec != old->st_mtim.tv_sec ||
		    st.st_mtim.tv_nsec != old->st_mtim.tv_nsec)
			return true;
	}
	return false;
}

/* What was learnt of those that stay. */
static void inherit(struct upstream_set *s, const struct upstream_set *old)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < old->n; k++) {
			struct upstream *u = &s->at[i];
			const struct upstream *o = &old->at[k];
			if (u->tls != o->tls || strcmp(u->text, o->text) != 0)
				continue;
			u->srtt_us = __atomic_load_n(&o->srtt_us, __ATOMIC_RELAXED);
			u->rttvar_us = __atomic_load_n(&o->rttvar_us, __ATOMIC_RELAXED);
			u->no_edns_until_ms = __atomic_load_n(&o->no_edns_until_ms, __ATOMIC_RELAXED);
			u->no_case_until_ms = __atomic_load_n(&o->no_case_until_ms, __ATOMIC_RELAXED);
			u->looping = __atomic_load_n(&o->looping, __ATOMIC_RELAXED);
		}
}

static void unref_retired(void *set)
{
	upstream_set_unref(set);
}

bool forwarder_reread(struct forwarder *f, struct quiesce *q, struct dns_metrics *m)
{
	struct upstream_set *fresh, *old = f->set;
	struct err e;

	if (!f->n_files || !files_changed(f))
		return false;
	fresh = read_upstreams(f, &e);
	if (!fresh)
		return false; /* more than fit, with those that were written out: the old ones stay */
	inherit(fresh, old);
	upstream_set_metrics(fresh, m);
	__atomic_store_n(&f->set, fresh, __ATOMIC_RELEASE);
	quiesce_retire(q, unref_retired, old);
	return true;
}

void forwarder_metrics(struct forwarder *f, struct dns_metrics *m)
{
	if (!m)
		return;
	f->m_rejects = dns_metric(m, "coredns_forward_max_concurrent_rejects_total", METRIC_COUNTER,
				  "Counter of the number of queries rejected because the concurrent queries were at maximum.", "");
	f->m_broken = dns_metric(m, "coredns_forward_healthcheck_broken_total", METRIC_COUNTER,
				 "Counter of the number of complete failures of the healthchecks.", "");
	upstream_set_metrics(f->set, m);
}

const char *forwarder_probe_seen(struct forwarder *f, const struct dns_name *name, bool *ret_is_probe)
{
	struct upstream *u = NULL;

	if (__atomic_load_n(&f->probing, __ATOMIC_RELAXED))
		u = upstream_of_probe(__atomic_load_n(&f->set, __ATOMIC_ACQUIRE), name);
	*ret_is_probe = u != NULL;
	return u && !__atomic_exchange_n(&u->looping, true, __ATOMIC_RELAXED) ? u->text : NULL;
}
