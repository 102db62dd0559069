/* model.h - the cluster as far as routing needs it, in compact records, and what follows from it: hosts, certificates,
 * backends.
 *
 * Objects go in as they come (JSON is read once and not kept); model_flush puts into effect what has changed since the last
 * one. Only hosts that a change touches are built anew. One object that cannot be used is reported and never affects
 * another. No informers here: sync.c feeds it from a cluster, `portico ingress check` and tests from lists of objects.
 * Main thread only.
 */
#pragma once

#include "codec/jx.h"
#include "net/addr.h"
#include "net/tls.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/route/routes.h"
#include "roles/ingress/upstream/upstream.h"

#define MODEL_CONTROLLER "k8s.io/ingress-nginx" /* IngressClass.spec.controller that is ours */
#define MODEL_CLASS "nginx"			/* the old annotation's value that is ours without an IngressClass */

/* The object that a problem is about: enough for an event. Borrowed. */
struct model_object {
	const char *kind, *api_version; /* "Ingress", "networking.k8s.io/v1"; "ConfigMap", "v1" */
	const char *ns, *name, *uid;
};

enum model_kind { MODEL_SECRET, MODEL_CONFIGMAP };

/* Any of them may be NULL. */
struct model_ops {
	/* Once for each problem, when it comes up (again). `annotation` is NULL when it does not come from one. */
	void (*problem)(void *ctx, const struct model_object *obj, const char *annotation, const char *reason,
			const char *message);
	/* The content of an object that exists, but was not referenced when it was seen, is needed: hand it in with
	 * model_set_secret or model_set_configmap, or say model_del_* when there is none. NULL: what is not known does not exist. */
	void (*want)(void *ctx, enum model_kind kind, const char *ns, const char *name);
	/* Is there such an object at all? Asked before `want`. */
	bool (*exists)(void *ctx, enum model_kind kind, const char *ns, const char *name);
	/* A server's TLS context from PEM; NULL: tls_server_new with HTTP/2 and HTTP/1.1. */
	struct tls *(*server_tls)(void *ctx, struct str cert_pem, struct str key_pem, struct err *e);
	/* The certificate of --default-ssl-certificate; t NULL: none (any more). Takes the reference over. */
	void (*default_tls)(void *ctx, struct tls *t);
	/* New global settings are in force for what is built from now on; the old ones go with globals_unref when nobody reads
	 * them any more. */
	void (*globals)(void *ctx, struct globals *now, struct globals *old);
	/* A certificate is served for a name; cert NULL: not any more. For metrics. */
	void (*cert)(void *ctx, const char *host, const char *ns, const char *secret, X509 *cert);
	/* A host was built and is about to be published; h NULL: it is gone. For active health checks. */
	void (*host)(void *ctx, const char *name, const struct host *h);
	/* A name must be resolved (ExternalName): answer with model_resolved, then again and again. */
	void (*resolve)(void *ctx, const char *host_name);
	/* Slots of metrics.h; any thread (a location's last user may be a worker), and later than model_free. */
	unsigned (*location_ref)(void *location_ctx, const struct location *l);
	void (*location_unref)(void *location_ctx, unsigned metrics_id);
	void *location_ctx;
	struct filter_use *(*filters_for)(const struct location *loc, const struct globals *g);
};

struct model_config {
	const char *controller;		     /* NULL: MODEL_CONTROLLER */
	const char *class_name;		     /* of the old annotation; NULL: MODEL_CLASS */
	bool watch_without_class;	     /* Ingresses that name no class are ours, too */
	const char *configmap;		     /* "ns/name" of the global settings; NULL: none */
	const char *default_backend_service; /* "ns/name"; NULL: built-in 404 */
	const char *default_ssl_certificate; /* "ns/name"; NULL: none */
	const char *watch_namespace;	     /* NULL: all */
};

struct model;
/* `ops` and `c` are copied; ctx, routes and backends are borrowed and outlive the model. */
struct model *model_new(const struct model_config *c, const struct model_ops *ops, void *ctx, struct routes *r,
			struct backends *bs);
void model_free(struct model *m);

/* Objects in any order. v1beta1 Ingresses are converted (in place: `obj` changes). */
void model_set_class(struct model *m, const json_t *obj);
void model_del_class(struct model *m, const char *name);
bool model_set_ingress(struct model *m, json_t *obj); /* false: nothing that counts is different */
void model_del_ingress(struct model *m, const char *ns, const char *name);
void model_set_service(struct model *m, const json_t *obj);
void model_del_service(struct model *m, const char *ns, const char *name);
void model_set_slice(struct model *m, const json_t *obj);
void model_del_slice(struct model *m, const char *ns, const char *name);
void model_set_secret(struct model *m, const json_t *obj); /* kept only if something refers to it */
void model_del_secret(struct model *m, const char *ns, const char *name);
void model_set_configmap(struct model *m, const json_t *obj);
void model_del_configmap(struct model *m, const char *ns, const char *name);
/* Does anything refer to it, so that the model keeps its content? */
bool model_refers(struct model *m, enum model_kind kind, const char *ns, const char *name);
/* The addresses of a name (ports are ignored); n 0: resolution failed, the old ones stay. */
void model_resolved(struct model *m, const char *host_name, const struct addr *at, size_t n);
/* Every name that is in use: for resolving them again. */
void model_each_name(struct model *m, void (*fn)(void *ctx, const char *host_name), void *ctx);

/* Puts into effect what has changed. An Ingress that refers to content which has been asked for (model_ops.want) waits for it;
 * its former state stays in force. So do the global settings. */
void model_flush(struct model *m);
bool model_waits(const struct model *m);
/* Now and then: frees backends and endpoints that no host uses any more. */
void model_sweep(struct model *m);

/* ---- what sync.c asks ---- */
struct model_ingress {
	const char *ns, *name, *uid;
	bool ours;
	uint64_t status; /* of model_status_hash; of status.loadBalancer.ingress as the object was last seen */
};
/* Also one that is not in force yet. Until the next change. */
const struct model_ingress *model_get_ingress(struct model *m, const char *ns, const char *name);
void model_each_ingress(struct model *m, void (*fn)(void *ctx, const struct model_ingress *i), void *ctx);
/* `ingress`: the array status.loadBalancer.ingress; NULL is an empty one. */
uint64_t model_status_hash(const json_t *ingress);

/* A backend that is kept filled for somebody else (tcp-services); referenced. `port`: a name or number, of UDP's with
 * MODEL_UDP behind it. */
#define MODEL_UDP "/udp"
struct backend *model_backend(struct model *m, const char *ns, const char *service, const char *port);
const struct globals *model_globals(const struct model *m);
size_t model_problem_count(const struct model *m);
void model_each_problem(const struct model *m, void (*fn)(void *ctx, const char *ingress, const char *reason,
							     const char *message), void *ctx);

/* Rewrites a networking.k8s.io/v1beta1 (or extensions/v1beta1) Ingress to v1: serviceName and servicePort, missing pathType.
 * One of v1 is left as it is. */
void ingress_normalise(json_t *obj);
