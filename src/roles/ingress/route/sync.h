/* sync.h - keeps routes, certificates and backends equal to the cluster, and says so on it: status and events.
 *
 * Informers in; model.h decides; what happens in one turn of the loop is put into effect at its end. Main thread only.
 */
#pragma once

#include "codec/jx.h"
#include "roles/ingress/worker.h"
#include "roles/role.h"

#define INGRESS_COMPONENT "nginx-ingress-controller" /* source of events, as ingress-nginx writes them */

/* What ingress-nginx takes as flags. Strings are borrowed until sync_free. */
struct sync_options {
	const char *controller;		       /* IngressClass.spec.controller; NULL: k8s.io/ingress-nginx */
	const char *class_name;		       /* of kubernetes.io/ingress.class; NULL: nginx */
	bool watch_without_class;
	const char *watch_namespace;	       /* NULL: all; what other options name is watched wherever it is */
	const char *configmap;		       /* "ns/name"; NULL: ingress-nginx/ingress-nginx-controller */
	const char *default_backend_service;   /* "ns/name"; NULL: built in */
	const char *default_ssl_certificate;   /* "ns/name"; NULL: shared->default_tls stays what it is */
	const char *publish_status_address;    /* "ip,name": what status says; NULL: see publish_service */
	const char *publish_service;	       /* "ns/name" whose LoadBalancer status is copied; NULL: the node's address */
	bool no_status, no_events;	       /* writes nothing to the cluster: objects that come from files */
	/* Everything is there for the first time: listen now. */
	void (*first_sync)(void *arg);
	/* Other readers of ConfigMaps (tcp-services): each object as it comes, NULL when it is deleted. May be NULL. Those of
	 * the keys "ns/name" come from outside watch_namespace, too; NULLs are passed over. */
	const char *const *configmaps;
	size_t n_configmaps;
	void (*configmap_changed)(void *arg, const char *ns, const char *name, const json_t *obj);
	/* New global settings are in shared->globals. May be NULL. */
	void (*globals_changed)(void *arg, const struct globals *g);
	/* A server's TLS context from PEM, see tls/server.h; NULL: net/tls.h's */
	struct tls *(*server_tls)(void *arg, struct str cert_pem, struct str key_pem, struct err *e);
	void *arg;
};

struct sync;
/* shared->routes, backends, quiesce and main_loop are set; globals and synced, and default_tls when there is an option for it,
 * are set from here. */
struct sync *sync_new(struct role_ctx *ctx, struct shared *sh, const struct sync_options *o);
/* The workers have ended; shared->globals is the caller's to give back. */
void sync_free(struct sync *s);
/* Orderly exit, after the loop has ended: runs it until our address is out of every status; at most a few seconds. */
void sync_retire_wait(struct sync *s);
/* A backend of any Service, kept filled (tcp-services); referenced. `port`: as model_backend's. */
struct backend *sync_backend(struct sync *s, const char *ns, const char *service, const char *port);
/* What is wrong with Ingresses now: for metrics, `portico explain`. */
void sync_each_problem(const struct sync *s, void (*fn)(void *ctx, const char *ingress, const char *reason, const char *message),
		       void *ctx);

/* Standalone: what ingress-nginx's manifests would bring: IngressClass "nginx" (default), namespace ingress-nginx and the
 * Service that `kubectl get all -A` shows. Retries until the API server has them. */
void standalone_ensure(struct role_ctx *ctx);
