/* client.h - a client of any kube-apiserver: kubeconfig, requests, events.
 *
 * One HTTP/2 connection carries everything, watches included. Calls that fail because the
 * connection broke end with an error; list/watch (informer.h) resumes by itself.
 */
#pragma once

#include "codec/jx.h"
#include "loop/loop.h"

struct kube_config {
	char *server;	  /* "https://127.0.0.1:6443" */
	char *ca_pem;	  /* NULL: the system's roots */
	char *cert_pem, *key_pem; /* NULL without a client certificate */
	char *token;	  /* bearer; NULL if none */
	char *token_file; /* read again every minute and preferred to `token`; NULL if none */
	char *tls_server_name; /* NULL: the server's host */
};
/* The current context of a kubeconfig file (YAML or JSON; *-data fields and file references). */
int kube_config_load(const char *path, struct kube_config *ret_config, struct err *e) must_check;
/* /var/run/secrets/kubernetes.io/serviceaccount and KUBERNETES_SERVICE_HOST/PORT. */
int kube_config_in_cluster(struct kube_config *ret_config, struct err *e) must_check;
void kube_config_done(struct kube_config *c);

struct kube_client;
struct kube_client *kube_client_new(struct loop *l, const struct kube_config *c, const char *user_agent,
				    struct err *e) must_check;
/* The same from a folder of manifests (.yaml, .yml, .json; sub-folders too), which is watched: informers work as ever, with
 * objects as an API server would give them out. Requests see what the files hold; statuses and Events that are written
 * are kept in memory, any other write is answered 405. One file or document that cannot be read hides no other, and what
 * it held before stays. Nothing is read before the loop runs. The folder may be empty, but must exist. */
struct kube_client *kube_client_from_files(struct loop *l, const char *dir, struct err *e) must_check;
enum kube_files_note {
	KUBE_FILES_PROBLEM, /* "FILE:LINE: …": an object that could not be read */
	KUBE_FILES_WARNING, /* "FILE:LINE: …": something that was left out */
	KUBE_FILES_EVENT,   /* an Event was written: "Warning Rejected Ingress ns/name: …" */
	KUBE_FILES_STATUS,  /* a status was written: "Ingress ns/name: {…}" */
};
typedef void kube_files_note_fn(void *ctx, enum kube_files_note what, const char *text);
/* Who is told; nobody at first. `text` is one line. */
void kube_client_on_files_note(struct kube_client *k, kube_files_note_fn *fn, void *ctx);
void kube_client_free(struct kube_client *k);
struct loop *kube_client_loop(const struct kube_client *k);
const char *kube_client_ca(const struct kube_client *k); /* PEM of the server's CA, borrowed; NULL: the system's roots */

/* `e` is NULL on 2xx; on an API error it holds the Status' reason and message (status is set), on a
 * transport error status is 0. `obj` is the decoded body (a Status on errors), borrowed, may be NULL. */
typedef void kube_done_fn(void *ctx, int status, const json_t *obj, const struct err *e);

#define KUBE_JSON "application/json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_STRATEGIC_PATCH "application/strategic-merge-patch+json"
#define KUBE_JSON_PATCH "application/json-patch+json"

struct kube_call;
/* `path` is absolute ("/api/v1/namespaces/default/pods"); body is borrowed and may be NULL. `done` may be NULL.
 * The handle is valid until `done` ran. */
struct kube_call *kube_request(struct kube_client *k, const char *method, const char *path,
			       const char *content_type, const json_t *body, kube_done_fn *done, void *ctx);
/* GET with an Accept header of the caller's. */
struct kube_call *kube_get_as(struct kube_client *k, const char *path, const char *accept, kube_done_fn *done,
			      void *ctx);
void kube_cancel(struct kube_call *c); /* no call-back; NULL is nothing */

/* Where a kind lives: { "apps", "v1", "deployments" }; the core group is "". */
struct kube_gvr {
	const char *group, *version, *resource;
};
/* "/apis/apps/v1/namespaces/ns/deployments/name/sub"; ns, name, sub may be NULL. On the heap. */
char *kube_path(struct kube_gvr gvr, const char *ns, const char *name, const char *sub);
void kube_get(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name, kube_done_fn *done, void *ctx);
void kube_create(struct kube_client *k, struct kube_gvr gvr, const json_t *obj, kube_done_fn *done, void *ctx);
/* PUT of obj (name and namespace from its metadata) to the object or its subresource ("status"). */
void kube_update(struct kube_client *k, struct kube_gvr gvr, const char *sub, const json_t *obj, kube_done_fn *done, void *ctx);
void kube_patch(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name, const char *sub,
		const char *patch_type, const json_t *patch, kube_done_fn *done, void *ctx);
/* options: a DeleteOptions object or NULL. */
void kube_delete(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name,
		 const json_t *options, kube_done_fn *done, void *ctx);

/* A core/v1 Event about `obj` (which has kind and apiVersion). Equal events within ten minutes are counted up
 * with a PATCH instead of written anew, as client-go's correlator does. type is "Normal" or "Warning". */
void kube_event(struct kube_client *k, const json_t *obj, const char *component, const char *type,
		const char *reason, const char *fmt, ...) printf_like(6, 7);
