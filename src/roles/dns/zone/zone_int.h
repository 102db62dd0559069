/* zone_int.h - the zone's tables, for the files of this folder.
 *
 *	table.c    looked up by workers while the main thread changes it
 *	service.c  one Service with its slices, as it lies in the table; draft.c makes it, load.c reads the objects
 *	zone.c     objects into tables
 *	find.c     a name to what it stands for
 *	answer.c   from there to a message; chase.c ExternalNames
 *	pods.c     addresses of pods
 *	mirror.c   the same answers, told to the kernel's map
 *	cluster.c  the informers
 */
#pragma once

#include "kube/object/selector.h"
#include "roles/dns/zone/pods.h"
#include "roles/dns/zone/service.h"
#include "roles/dns/zone/table.h"
#include "roles/dns/zone/zone.h"

#define SOA_BYTES 54
#define SOA_SERIAL_AT 34
#define SOA_TTL_MAX 300 /* CoreDNS': the record's own TTL; its last field is the TTL that was asked for */

struct zone {
	struct zone_options options;
	char **namespaces; /* options.namespaces, owned */
	char *labels_text, *namespace_labels_text;
	struct selector *labels, *namespace_labels; /* NULL: all */
	struct quiesce *quiesce;
	uint32_t serial; /* atomic */
	bool synced;	 /* atomic */
	bool changed;	 /* since the mirror was last told */
	struct table services; /* struct service, by name and namespace */
	struct table spaces;   /* struct space */
	struct table reverse;  /* of addresses; the service's hash, mixed with the address's: reverse_payload */
	struct table slices;   /* the same of slices' ids; the writer's */
	struct pods pods;
	struct zone_mirror mirror; /* put NULL: none */
	uint8_t soa[SOA_BYTES];	   /* but for its serial and where the zone's name is */
};

/* ---- what the tables hold ---- */

/* Two keys of one service have different payloads, so that each can be taken out again. */
static inline uint64_t payload_of(uint64_t key_hash, uint64_t service_hash)
{
	return service_hash ^ (key_hash & UINT32_MAX);
}
static inline struct service *service_at(uint64_t payload)
{
	return (struct service *)(uintptr_t)payload;
}
static inline struct space *space_at(uint64_t payload)
{
	return (struct space *)(uintptr_t)payload;
}
static inline bool space_exposed(const struct space *s)
{
	return __atomic_load_n(&s->exposed, __ATOMIC_RELAXED);
}
/* Does a question find it: the Service is there, and its namespace may be seen. */
static inline bool service_visible(const struct service *s)
{
	return s->present && space_exposed(s->space);
}
/* `key` is "\3web\7default". NULL: neither the Service nor a slice of it. */
const struct service *zone_service(const struct zone *z, const uint8_t *key, size_t len);
const struct service *zone_service_of_hash(const struct zone *z, uint64_t hash);
const struct space *zone_space(const struct zone *z, const uint8_t *label);

/* ---- options.c ---- */

void options_copy(struct zone *z, const struct zone_options *o);
void options_done(struct zone *z);
bool options_namespace(const struct zone *z, const char *ns);
bool options_labels(const struct selector *s, const json_t *obj);

/* ---- load.c: objects into drafts ---- */

void load_service(struct draft *d, const json_t *obj);
size_t load_count_addresses(const json_t *slice);
/* Adds the slice; what is above ENDPOINTS_MAX in all is left out. */
void load_slice(struct draft *d, const json_t *obj, uint64_t id, bool pod_names);

/* ---- find.c: what a name is ---- */

enum found_kind {
	FOUND_NOTHING, /* no such name */
	FOUND_EMPTY,   /* a name without records, or with others below it */
	FOUND_SERVICE,
	FOUND_PORT,	/* _http._tcp.web.default: `port` */
	FOUND_ENDPOINT, /* db-0.db.default: `members` */
	FOUND_EXTERNAL,
	FOUND_ADDRESS, /* a pod's: `ip` */
	FOUND_VERSION,
	FOUND_NAMESERVER, /* ns.dns.<zone> */
	FOUND_APEX,
};
/* Some endpoints of a service: n_named places in `named` from `named_at` on, then n_plain in the order of addresses. */
struct members {
	uint16_t named_at, n_named, plain_at, n_plain;
};
struct port_filter {
	const uint8_t *name; /* a label; NULL: all ports */
	uint8_t name_skip;   /* 1: without its underscore */
	uint8_t protocol;
};
struct found {
	enum found_kind kind;
	const struct service *service;
	struct members members;
	struct port_filter port;
	struct ip ip;
};
#define PREFIX_LABELS_MAX 5 /* _http._tcp.web.default.svc: nothing of ours is longer */
/* The labels in front of the zone. False: the name is not below it. `n` above PREFIX_LABELS_MAX: too many, `at` is not
 * filled. */
struct prefix {
	size_t n, bytes;
	uint8_t at[PREFIX_LABELS_MAX];
};
bool prefix_of(const struct dns_name *name, const struct dns_name *zone, struct prefix *ret);
void zone_find(const struct zone *z, const struct dns_name *name, const struct prefix *p, struct found *ret);
/* For a question that finds it; without a ready endpoint some do not. */
bool service_exists(const struct zone *z, const struct service *s);
/* What the labels in front of ret->service's own are. */
void service_find(const uint8_t *wire, const struct prefix *p, struct found *ret);
/* The Service whose address is this server's. NULL: none. */
const struct service *zone_own_service(const struct zone *z);

static inline size_t members_count(const struct members *m)
{
	return (size_t)m->n_named + m->n_plain;
}
static inline size_t member_at(const struct service *s, const struct members *m, size_t i)
{
	return i < m->n_named ? service_named(s)[m->named_at + i] : m->plain_at + (i - m->n_named);
}
struct members members_all(const struct service *s);
bool port_passes(const struct port_filter *f, const struct port_entry *e);
/* Of this set's ports, how many: one that has none counts as one where all are asked for. */
size_t set_count(const struct service *s, const struct port_set *set, const struct port_filter *f);
bool label_is(const uint8_t *label, const char *text);

/* ---- answer.c ---- */

struct reply {
	const struct zone *z;
	const struct dns_query *q;
	struct dns_writer w;
	uint16_t zone_at; /* where the zone's name is in the question */
	uint16_t type;
	uint32_t pick;
	size_t put; /* answers, or that would be there with more room */
};
void soa_init(struct zone *z);
/* The records of this type that `f` has, for the owner at owner_at. */
void zone_reply_put(struct reply *r, uint16_t owner_at, const struct found *f);
size_t zone_reply_finish(struct reply *r, enum dns_rcode rcode); /* with the SOA unless r->put */
/* srv.c */
void zone_reply_srv(struct reply *r, const struct found *f);
/* "db-0" or NULL, then the service's own name, whole. Returns the length, 0: too long. */
size_t service_name(const struct zone *z, const struct service *s, const uint8_t *host, uint8_t out[DNS_NAME_BYTES_MAX]);
/* chase.c: `f` is FOUND_EXTERNAL; `chased` NULL: nobody has been asked yet. */
enum zone_verdict zone_reply_external(struct reply *r, const struct found *f, const struct dns_message *chased, struct zone_answer *ret);

/* ---- mirror.c ---- */

/* A change is in the tables; either may be NULL. */
void mirror_service(struct zone *z, const struct service *old, const struct service *new);
void mirror_space(struct zone *z, const struct space *s);
