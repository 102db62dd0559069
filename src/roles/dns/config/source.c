#include "roles/dns/config/source.h"

#include "base/file.h"
#include "base/fnv.h"
#include "kube/client/informer.h"
#include "roles/config.h"
#include "roles/dns/config/config_int.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/plugin/reload.h"
#include "roles/dns/worker.h"

#include <sys/random.h>
#include <sys/stat.h>

/* For the API server's answer about the ConfigMap: less than a resolver's 5 s. */
#define PATIENCE_MS 4000

struct dns_source {
	struct dns_shared *shared;
	struct plugin_scope scope;
	const struct dns_source_handlers *handlers;
	void *ctx;
	const char *path;	/* of the file; NULL: none */
	struct reload reload;	/* interval 0: never again */
	struct timer look, patience;
	uint64_t digest;	/* of what was last taken over */
	char *ns, *name, *field; /* of the ConfigMap */
	struct informer_options options;
	struct informer *informer;
	bool given;		/* config() has been called */
	char *told;		/* the last error: a file that stays wrong is told once */
};

/* ---- what was read ---- */

static void failed(struct dns_source *s, const char *text)
{
	struct metric *m;

	if (c_eq(s->told, text))
		return;
	free(s->told);
	s->told = xstrdup(text);
	m = s->shared->metrics ? dns_metric(s->shared->metrics, "coredns_reload_failed_total", METRIC_COUNTER,
					    "Counter of the number of failed reload attempts.", "") : NULL;
	if (m)
		metric_add(m, METRIC_MAIN, 1);
	s->handlers->error(s->ctx, text);
}

/* Of a file: changes with what its directive names, since that is read with it. */
static uint64_t digest_file(uint64_t digest, const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return digest;
	const uint64_t parts[] = { (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec };
	return fnv1a_64(digest, parts, sizeof(parts));
}

static uint64_t digest_all(const struct corefile *c)
{
	uint64_t digest = c->digest;

	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t i = 0; i < c->blocks[b].n; i++) {
			const struct corefile_line *l = &c->blocks[b].directives[i].head;
			for (size_t w = 1; w < l->n && strcmp(l->words[0], "tls") == 0; w++)
				digest = digest_file(digest, l->words[w]);
		}
	return digest;
}

static const struct reload *reload_of(const struct dns_config *c)
{
	const struct reload *r = NULL;

	for (size_t i = 0; i < c->n_blocks && !r; i++)
		r = dns_block_settings(&c->blocks[i], &plugin_reload);
	return r;
}

/* The jitter keeps many servers, started at once, from reading at once. */
static uint64_t wait_ms(const struct reload *r)
{
	uint64_t random = 0;

	if (r->jitter_ms == 0 || getrandom(&random, sizeof(random), 0) != sizeof(random))
		return r->interval_ms;
	return r->interval_ms - r->jitter_ms / 2 + random % r->jitter_ms;
}

static void look_later(struct dns_source *s)
{
	timer_stop(&s->look);
	if (s->reload.interval_ms)
		timer_start(s->shared->main_loop, &s->look, wait_ms(&s->reload));
}

static void all_is_well(struct dns_source *s)
{
	free(s->told);
	s->told = NULL;
}

static void give(struct dns_source *s, struct dns_config *c)
{
	const struct reload *r = s->path ? reload_of(c) : NULL;

	s->reload = r ? *r : (struct reload){ 0 };
	s->given = true;
	timer_stop(&s->patience);
	all_is_well(s);
	look_later(s);
	s->handlers->config(s->ctx, c);
}

/* ---- a file ---- */

/* Reads it as far as it takes to see whether anything is new. */
static int look_at_file(const struct dns_source *s, struct buf *text, uint64_t *ret_digest, struct err *e)
{
	cleanup(freep) char *dir = dns_config_folder(s->path);
	struct corefile *c;

	if (file_read(s->path, text, e) < 0)
		return -1;
	c = corefile_parse(buf_str(text), s->path, dir, e);
	if (!c)
		return -1;
	*ret_digest = digest_all(c);
	corefile_free(c);
	return 0;
}

/* *ret_config is NULL when nothing is new. */
static int read_file(struct dns_source *s, struct dns_config **ret_config, struct err *e)
{
	uint64_t digest = 0;
	struct buf text;
	int rc;

	*ret_config = NULL;
	buf_init(&text, COREFILE_BYTES_MAX);
	rc = look_at_file(s, &text, &digest, e);
	if (rc == 0 && (digest != s->digest || !s->given)) {
		*ret_config = dns_config_parse(buf_str(&text), s->path, &s->scope, e);
		rc = *ret_config ? 0 : -1;
		s->digest = *ret_config ? digest : s->digest;
	}
	buf_done(&text);
	return rc;
}

static void on_look(struct timer *t)
{
	struct dns_source *s = t->ctx;
	struct dns_config *fresh;
	struct err e;

	look_later(s);
	if (read_file(s, &fresh, &e) < 0)
		failed(s, e.message);
	else if (fresh)
		give(s, fresh);
	else
		all_is_well(s);
}

static int start_file(struct dns_source *s, struct err *e)
{
	struct dns_config *c;

	if (read_file(s, &c, e) < 0)
		return -1;
	give(s, c);
	return 0;
}

/* ---- what is built in ---- */

static int start_builtin(struct dns_source *s, struct err *e)
{
	cleanup(freep) char *text = dns_config_builtin(s->scope.cluster_domain);
	struct dns_config *c = dns_config_parse_in(str_of(text), DNS_CONFIG_BUILTIN, NULL, &s->scope, e);

	if (!c)
		return -1;
	give(s, c);
	return 0;
}

static void fall_back(struct dns_source *s)
{
	struct err e;

	if (!s->given && start_builtin(s, &e) < 0)
		failed(s, e.message);
}

/* ---- a ConfigMap ---- */

static void on_map(void *ctx, const json_t *obj)
{
	struct dns_source *s = ctx;
	const char *text = json_string_value(json_object_get(jx_at(obj, "data"), DNS_CONFIGMAP_KEY));
	cleanup(freep) char *label = xasprintf("ConfigMap %s/%s", s->ns, s->name);
	struct dns_config *c;
	struct err e;

	if (!c_eq(jx_name(obj), s->name))
		return;
	if (!text) {
		cleanup(freep) char *why = xasprintf("%s has no key " DNS_CONFIGMAP_KEY, label);
		failed(s, why);
		fall_back(s);
		return;
	}
	c = dns_config_parse_in(str_of(text), label, DNS_CONFIGMAP_FOLDER, &s->scope, &e);
	if (c && s->given && dns_config_digest(c) == s->digest) {
		dns_config_free(c);
		all_is_well(s);
		return;
	}
	if (c) {
		s->digest = dns_config_digest(c);
		give(s, c);
		return;
	}
	failed(s, e.message);
	fall_back(s);
}

static void on_map_gone(void *ctx, const json_t *obj)
{
	struct dns_source *s = ctx;
	cleanup(freep) char *why = xasprintf("ConfigMap %s/%s is gone: its settings stay in use", s->ns, s->name);

	if (c_eq(jx_name(obj), s->name))
		failed(s, why);
}

static void on_maps_listed(void *ctx)
{
	struct dns_source *s = ctx;
	cleanup(freep) char *why = xasprintf("ConfigMap %s/%s is not there: built-in settings are used until it is", s->ns, s->name);

	if (s->given)
		return;
	failed(s, why);
	fall_back(s);
}

static void on_patience_end(struct timer *t)
{
	struct dns_source *s = t->ctx;
	const char *why = informer_error(s->informer);
	cleanup(freep) char *text = xasprintf("ConfigMap %s/%s cannot be read yet (%s): built-in settings are used until it is", s->ns, s->name,
					      why ? why : "no answer from the API server");

	failed(s, text);
	fall_back(s);
}

static const struct informer_handlers map_handlers = {
	.put = on_map,
	.deleted = on_map_gone,
	.synced = on_maps_listed,
};

static int start_map(struct dns_source *s, const char *configmap, struct err *e)
{
	static const struct kube_gvr configmaps = { "", "v1", "configmaps" };
	const char *slash = strchr(configmap, '/');

	if (!slash || slash == configmap || !slash[1] || strchr(slash + 1, '/'))
		return err_set(e, ERR_INVALID, "--dns-configmap: '%s' is not NAMESPACE/NAME", configmap);
	if (!s->shared->kube)
		return err_set(e, ERR_INVALID, "--dns-configmap needs a cluster, or --from with the ConfigMap among its manifests");
	s->ns = xstrndup(configmap, (size_t)(slash - configmap));
	s->name = xstrdup(slash + 1);
	s->field = xasprintf("metadata.name=%s", s->name);
	s->options = (struct informer_options){ .ns = s->ns, .field_selector = s->field };
	s->informer = informer_new(s->shared->kube, configmaps, &s->options, &map_handlers, s);
	timer_start(s->shared->main_loop, &s->patience, PATIENCE_MS);
	return 0;
}

/* ---- the whole ---- */

static int start(struct dns_source *s, struct err *e)
{
	const struct config *c = s->shared->settings;
	bool map = c->dns_configmap && *c->dns_configmap;

	s->path = c->corefile && *c->corefile ? c->corefile : NULL;
	if (s->path && map)
		return err_set(e, ERR_INVALID, "--corefile and --dns-configmap: give one of them");
	return map ? start_map(s, c->dns_configmap, e) : s->path ? start_file(s, e) : start_builtin(s, e);
}

struct dns_source *dns_source_new(struct dns_shared *shared, const struct plugin_scope *scope, const struct dns_source_handlers *h, void *ctx,
				  struct err *e)
{
	struct dns_source *s = xcalloc(1, sizeof(*s));

	*s = (struct dns_source){ .shared = shared, .scope = *scope, .handlers = h, .ctx = ctx, .look = { .fire = on_look, .ctx = s },
				.patience = { .fire = on_patience_end, .ctx = s } };
	if (start(s, e) == 0)
		return s;
	dns_source_free(s);
	return NULL;
}

void dns_source_free(struct dns_source *s)
{
	if (!s)
		return;
	timer_stop(&s->look);
	timer_stop(&s->patience);
	informer_free(s->informer);
	free(s->ns);
	free(s->name);
	free(s->field);
	free(s->told);
	free(s);
}
