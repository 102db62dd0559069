/* source.h - from Kubernetes objects to settings.h's records, and what that needs of the rest of the cluster.
 *
 * All of this runs on the main thread. The caller caches: a record is shared by all Ingresses of one namespace whose
 * annotations are equal, so settings_of_ingress reads nothing of the Ingress but metadata.namespace and
 * metadata.annotations, and often gets no more.
 * Every get_* call is remembered as a dependency, also when it found nothing: when that object appears, changes or goes,
 * the settings are made again.
 */
#pragma once

#include "codec/jx.h"
#include "roles/ingress/config/settings.h"

/* get_configmap's namespace for documents by URL, which is the name then; no namespace is called so. The object's data has
 * the text as this key. NULL: it has not come yet. */
#define SOURCE_URL_NAMESPACE "(url)"
#define SOURCE_URL_KEY "text"

struct settings_source {
	void *ctx;
	/* NULL: there is none. Borrowed, valid until the settings function returns. With `data` (a Secret's is base64). Whether
	 * another namespace may be asked for at all (allow-cross-namespace-resources) is the caller's to check. */
	const json_t *(*get_secret)(void *ctx, const char *ns, const char *name);
	const json_t *(*get_configmap)(void *ctx, const char *ns, const char *name);
	/* A value that cannot be used: becomes an event on the Ingress, a line of `portico ingress check`, and a metric.
	 * `annotation`: its name without prefix, or the ConfigMap's key. `reason`: CamelCase. May be NULL. */
	void (*problem)(void *ctx, const char *annotation, const char *reason, const char *message);
	bool offline; /* no URL is fetched: what it would give is not missed. For a look at manifests only */
};

/* A referenced record; that of the defaults (`g->defaults`, referenced once more) when there are no annotations of ours. */
const struct settings *settings_of_ingress(const json_t *ingress, const struct globals *g, const struct settings_source *src);

/* The global ConfigMap's settings; NULL: all defaults. Never fails: what cannot be used is reported and keeps its default. */
struct globals *globals_of_configmap(const json_t *configmap, const struct settings_source *src);
void globals_unref(struct globals *g); /* NULL is nothing. Workers may still read it: retire it through quiesce.h */
