/* sync_int.h - sync.c reads the cluster; status.c writes Ingresses' addresses, if peers.c says that it is this replica's turn; lookup.c resolves names;
 * want.c asks for content that was not kept, fetch.c for what has a URL; named.c watches objects outside the namespace that is watched. */
#pragma once

#include "kube/client/informer.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/route/model.h"
#include "roles/ingress/route/sync.h"

/* ---- replicas: peers.c ---- */
struct peers;
struct peers_options {
	const char *beside; /* "ns/name": Leases are kept in this namespace */
	const char *group;  /* what replicas have in common: the class they serve */
	const char *self;   /* what tells them apart, and stays over a restart */
	const char *holder; /* what `kubectl get leases` shows */
};
/* Told again and again: whether this one writes, and the addresses of all (it takes the reference; NULL: not known yet). */
typedef void peers_fn(void *ctx, bool leads, json_t *addresses);
struct peers *peers_new(struct loop *l, struct kube_client *k, const struct peers_options *o, peers_fn *fn, void *ctx);
void peers_free(struct peers *p);
void peers_set(struct peers *p, json_t *own); /* our addresses; steals them. NULL: not known */
/* Gives the Lease up, and nothing is told any more; whether other replicas are there. */
bool peers_retire(struct peers *p, kube_done_fn *done, void *ctx);

/* ---- status.c ---- */
struct status;
/* `m` is borrowed and outlives it. */
struct status *status_new(struct loop *l, struct kube_client *k, struct model *m, const struct peers_options *o);
void status_free(struct status *s);
/* Where this replica is reached; statuses have the addresses of all. NULL: not known yet. Steals it. */
void status_set(struct status *s, json_t *addresses);
bool status_follows(const struct status *s); /* another replica writes, events as well */
void status_check(struct status *s, const char *ns, const char *name); /* it may be wrong there */
void status_check_all(struct status *s);
/* Empties those that are ours, then calls `done` (at the latest when the time is up). */
void status_retire(struct status *s, void (*done)(void *arg), void *arg);
/* "10.0.0.1,lb.example.org" as the API has it. */
json_t *status_addresses(const char *list);
/* What a Service is reached at from outside, as ingress-nginx reads --publish-service. */
json_t *status_of_service(const json_t *service);

/* ---- lookup.c ---- */
struct lookups;
struct lookups *lookups_new(struct loop *l, void (*found)(void *ctx, const char *name, const struct addr *at, size_t n), void *ctx);
void lookups_free(struct lookups *l); /* what is under way ends unheard */
void lookup_start(struct lookups *l, const char *name);

/* ---- fetch.c ---- */
struct fetches;
/* `obj` as a ConfigMap of the namespace SOURCE_URL_NAMESPACE would be; NULL: nothing has come yet, and it is tried again. */
typedef void fetched_fn(void *ctx, const char *url, const json_t *obj);
/* Asked before each fetch: false ends them. */
typedef bool fetch_wanted_fn(void *ctx, const char *url);
struct fetches *fetches_new(struct loop *l, fetched_fn *fetched, fetch_wanted_fn *wanted, void *ctx);
void fetches_free(struct fetches *f); /* what is under way ends unheard */
void fetch_start(struct fetches *f, const char *url);

/* ---- want.c ---- */
struct wants;
struct wants_ops {
	/* obj NULL: there is none, or it may not be read. */
	void (*got)(void *ctx, enum model_kind kind, const char *ns, const char *name, const json_t *obj);
	/* Is what is fetched again and again still of use? */
	bool (*refers)(void *ctx, enum model_kind kind, const char *ns, const char *name);
};
struct wants *wants_new(struct loop *l, struct kube_client *k, const struct wants_ops *ops, void *ctx);
void wants_free(struct wants *ws); /* what is under way ends unheard */
/* Answers later, never within this call; asks again for as long as the API server does not answer. */
void want_start(struct wants *ws, enum model_kind kind, const char *ns, const char *name);

/* ---- named.c ---- */
/* An object (of EndpointSlices: those of the Service) that is watched by its name; `all` is the list of these. */
struct named_options {
	int kind;	   /* the caller's, for named_exists */
	struct kube_gvr gvr;
	const char *key;   /* "ns/name"; NULL: nothing is watched */
	const char *watched_ns; /* a namespace whose objects are watched already; NULL: all are */
	const struct jx_unread *unread; /* borrowed, as are the handlers */
	const struct informer_handlers *handlers;
	void *ctx;
};
/* What is watched by its name already stays as it is. */
void named_start(struct list *all, struct kube_client *k, const struct named_options *o);
bool named_synced(const struct list *all);
void named_complain(const struct list *all); /* logs why those that are not synced are not */
bool named_exists(const struct list *all, int kind, const char *ns, const char *name);
void named_free(struct list *all);
