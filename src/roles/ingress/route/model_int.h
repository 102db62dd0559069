/* model_int.h - what the model's files share. Data flows down:
 *
 *   model.c     objects in; in which order changes take effect
 *   classes     (model.c) is an Ingress ours?
 *   uses.c      annotations → settings, shared by equal ones
 *   objects.c   Secrets and ConfigMaps that something refers to
 *   services.c  Services, and the backends that want them
 *   slices.c    EndpointSlices
*   fill.c          both, and resolved names → backends' endpoints
 *   claims.c    which Ingresses concern a host name
 *   plan.c      a host name's claims → the paths it has
 *   build.c     … → struct host
 *   certs.c     … → its certificate
 *   problems.c  what is wrong, on which Ingress
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "roles/ingress/route/names.h"
#include "roles/ingress/route/record.h"

#include <openssl/x509.h>

/* ---- Secrets and ConfigMaps ---- */

enum object_state {
	OBJECT_UNKNOWN, /* referenced; nobody has asked yet */
	OBJECT_WANTED,	/* asked for */
	OBJECT_HERE,
	OBJECT_ABSENT,
};
struct object {
	char *key; /* "ns/name"; names's key */
	enum model_kind kind;
	enum object_state state;
	json_t *data;	  /* the object; NULL when only its certificate is needed */
	struct tls *tls;  /* made when first asked for */
	X509 *cert;
	char *bad;	  /* why there is no tls */
	bool tls_tried;
	struct ingress **tls_users; /* Ingresses whose spec.tls names it; once for each mention */
	size_t n_tls_users, cap_tls_users;
	struct settings_use **uses;
	size_t n_uses, cap_uses;
	unsigned for_globals; /* how many times the global settings' record needs it */
	bool for_default_cert;
	struct list dirty; /* in model.dirty_objects, or alone */
};

/* ---- settings ---- */

struct said {
	struct said *next;
	char *annotation, *reason, *message;
};
struct settings_use {
	char *key; /* "ns\0annotations" */
	size_t key_len;
	unsigned users; /* Ingresses */
	const struct settings *set;
	struct object **deps;
	size_t n_deps;
	struct said *said;
	struct list dirty;
};

/* ---- host names ---- */

enum claim_kind {
	CLAIM_RULE,  /* has a rule for it */
	CLAIM_ALIAS, /* server-alias */
	CLAIM_WWW,   /* from-to-www-redirect: the other name of one that it has a rule for */
	CLAIM_TLS,   /* names it in spec.tls only */
};
struct claim {
	struct ingress *ingress;
	enum claim_kind kind;
};
/* A claim in one word: records are aligned, so the kind fits below the pointer. */
struct hostname {
	union {
		uintptr_t one;	  /* n is 0 or 1 */
		uintptr_t *many; /* room for the next power of two */
	};
	struct hostname *next_dirty; /* in model.dirty_hosts */
	uint32_t n;
	bool tls; /* its Ingresses have spec.tls: a certificate counts as configured */
	bool queued, published, has_cert, dirty_routes, dirty_cert;
	char name[]; /* folded */
};
static inline struct claim claim_at(const struct hostname *h, size_t k)
{
	uintptr_t w = h->n > 1 ? h->many[k] : h->one;

	return (struct claim){ (struct ingress *)(w & ~(uintptr_t)3), (enum claim_kind)(w & 3) };
}

/* ---- services ---- */

struct slice;
struct service {
	char *key; /* "ns/name" */
	bool exists, by_name; /* by_name: some address is a name */
	char *spec; /* services.c */
	size_t spec_bytes;
	struct slice *slices;
	struct backend **backends; /* borrowed; they tell when they go */
	size_t n_backends, cap_backends;
	struct list dirty;
};

struct trouble; /* problems.c: all problems of one Ingress */
struct problem {
	struct problem *next;
	uint64_t tag, hash; /* which step found it; of its words */
	bool stale;
	char *annotation, *reason, *message;
};

struct model {
	struct model_config config;
	struct model_ops ops;
	void *ctx;
	struct routes *routes;
	struct backends *backends;
	struct globals *globals;
	struct map classes; /* name → class flags */
	struct names *ingresses, *hosts, *secrets, *configmaps, *services, *slices, *resolved;
	struct map uses;
	struct names *incoming;	  /* Ingresses that are not in force yet */
	struct names *troubles;	  /* of Ingresses with problems */
	struct trouble *touched;  /* whose problems are in doubt in this flush */
	struct list dirty_objects, dirty_uses, dirty_services;
	struct hostname *dirty_hosts;
	struct model_ingress described; /* what model_get_ingress returns */
	struct backend *default_backend;
	struct object **globals_deps;
	size_t n_globals_deps;
	bool globals_dirty, globals_changed, classes_dirty; /* globals_changed: in this flush */
	bool globals_wait; /* for an object that they name: those before stay in force */
	size_t n_problems;
	bool found_waiting; /* of the look that is under way */
};

#define TAG_SETTINGS 1
#define TAG_INGRESS 2

/* Appends; the arrays here are small or append-only. */
#define array_push(array, n, cap, value)                                                                    \
	do {                                                                                                \
		if ((n) == (cap)) {                                                                         \
			(cap) = (cap) ? (cap) * 2 : 1;                                                      \
			(array) = xrealloc((array), (cap) * sizeof(*(array)));                              \
		}                                                                                           \
		(array)[(n)++] = (value);                                                                   \
	} while (0)

/* Lower case; on the heap. */
char *fold_name(const char *name);

/* problems.c */
void problem_begin(struct model *m, struct ingress *i, uint64_t tag); /* what this step found before is in doubt */
void problem_report(struct model *m, struct ingress *i, uint64_t tag, const char *annotation, const char *reason,
		    const char *fmt, ...) printf_like(6, 7);
void problem_begin_all(struct model *m, struct ingress *i);
void problems_settle(struct model *m); /* forgets what was not found again */
void problems_forget(struct model *m, struct ingress *i); /* the object is gone */
void problems_init(struct model *m);
void problems_free(struct model *m);
uint64_t problem_tag(const char *host_name);

/* objects.c */
struct object *known_object_ref(struct model *m, enum model_kind kind, const char *ns, const char *name); /* made if it is new */
/* Asks for it when it is not known yet. `data`: its content is needed, not just what was made of it. */
void object_need(struct model *m, struct object *o, bool data);
void object_add_tls_user(struct object *o, struct ingress *i);
void object_del_tls_user(struct model *m, struct object *o, struct ingress *i);
void object_add_use(struct object *o, struct settings_use *u);
void object_del_use(struct model *m, struct object *o, struct settings_use *u);
void object_del_global(struct model *m, struct object *o);
/* NULL: none, o->bad says why. Borrowed. */
struct tls *object_tls(struct model *m, struct object *o);
void object_free(void *o);
void objects_flush(struct model *m);

/* uses.c */
struct settings_use *use_get(struct model *m, const struct ingress *i);
void use_put(struct model *m, struct settings_use *u);
bool use_waits(const struct settings_use *u);
void use_report(struct model *m, struct ingress *i);
void uses_flush(struct model *m);
void use_free(void *u);
void globals_flush(struct model *m);

/* services.c */
void service_add_backend(struct model *m, struct backend *b); /* new ones are filled at once */
void services_flush(struct model *m);
void services_sweep(struct model *m);
void services_free(struct model *m);

/* claims.c */
void claims_link(struct model *m, struct ingress *i);
void claims_unlink(struct model *m, struct ingress *i);
struct hostname *hostname_get(struct model *m, const char *folded); /* made if it is new */
void hostname_dirty(struct model *m, struct hostname *h, bool routes, bool cert);
void claims_sort(struct hostname *h, int (*cmp)(const struct claim *a, const struct claim *b));
/* The certificates of all names that the Ingress has to do with. */
void claims_dirty_certs(struct model *m, struct ingress *i);
void hostname_free(void *h);

/* build.c */
void host_build(struct model *m, struct hostname *h);
struct backend *model_get_backend(struct model *m, const char *ns, const char *service, const char *port, bool cluster_ip);
/* certs.c */
void host_cert(struct model *m, struct hostname *h);
