/* zone.h - the cluster's zone: Services, EndpointSlices, Namespaces and pods as one table of prepared answers.
 *
 * What a name answers is made when an object changes, on the main thread; a question, hit or miss, is one look-up and one
 * copy, on any worker, without locks (the table's memory goes through the quiesce). No I/O and no clock. What the names are:
 * the Kubernetes DNS specification 1.1.0; where it is silent, CoreDNS' kubernetes plug-in.
 */
#pragma once

#include "codec/dns.h"
#include "codec/jx.h"
#include "loop/quiesce.h"

enum zone_pods { ZONE_PODS_DISABLED, ZONE_PODS_INSECURE, ZONE_PODS_VERIFIED };

#define ZONE_REVERSE_MAX 16
#define ZONE_TTL_DEFAULT 5 /* CoreDNS'; kubeadm's Corefile says 30 */
#define ZONE_TTL_MAX 3600

/* Of one kubernetes plug-in. All is copied. */
struct zone_options {
	struct dns_name domain;
	struct dns_name reverse[ZONE_REVERSE_MAX]; /* in-addr.arpa, 10.in-addr.arpa, ip6.arpa …; what PTR is answered under */
	size_t n_reverse;
	uint32_t ttl;
	enum zone_pods pods;
	bool endpoint_pod_names, ignore_empty_service, no_endpoints;
	/* Names that do not exist go on to the next plug-in when they are below one of these; the root: all. */
	struct dns_name fallthrough[ZONE_REVERSE_MAX];
	size_t n_fallthrough;
	const char *const *namespaces; /* only these; NULL: all. NULL-terminated */
	const char *labels, *namespace_labels; /* selectors; NULL: all */
};
bool zone_options_equal(const struct zone_options *a, const struct zone_options *b);

struct zone;
/* `serial` is the SOA's first; every change counts it up. `q` may be NULL: one thread only. */
struct zone *zone_new(const struct zone_options *o, uint32_t serial, struct quiesce *q);
void zone_free(struct zone *z); /* NULL is nothing */
const struct zone_options *zone_options(const struct zone *z);
/* Until then all questions are answered with SERVFAIL: a denial would be kept by the asker. */
void zone_set_synced(struct zone *z);
bool zone_synced(const struct zone *z);
size_t zone_names(const struct zone *z); /* in the table */

/* Objects as the API serves them; put adds or replaces. Fields that make no sense are left out. Main thread. */
void zone_put_namespace(struct zone *z, const json_t *obj);
void zone_del_namespace(struct zone *z, const json_t *obj);
void zone_put_service(struct zone *z, const json_t *obj);
void zone_del_service(struct zone *z, const json_t *obj);
void zone_put_slice(struct zone *z, const json_t *obj);
void zone_del_slice(struct zone *z, const json_t *obj);
void zone_put_pod(struct zone *z, const json_t *obj); /* ZONE_PODS_VERIFIED only */
void zone_del_pod(struct zone *z, const json_t *obj);

/* Is the slice one of a headless Service? */
bool zone_slice_headless(const struct zone *z, const json_t *obj);

/* ---- questions: any worker, within one call-back ---- */

enum zone_verdict {
	ZONE_ANSWERED,
	ZONE_NOT_OURS,	   /* not below the zone or its reverse zones, or there is none and fallthrough covers it: the next one's */
	ZONE_CHASE,	   /* an ExternalName: ask for `target`, then zone_answer_chased with what was said */
};
struct zone_answer {
	size_t len; /* ZONE_ANSWERED: of the message in `out` */
	enum dns_rcode rcode;
	struct dns_name target;
};
/* `max` is what the transport takes. `pick` starts the rotation of many addresses. */
enum zone_verdict zone_answer(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max, uint32_t pick,
			      struct zone_answer *ret);
/* `chased` is the answer about target; one without records stands for an upstream that said nothing. */
enum zone_verdict zone_answer_chased(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max,
				     const struct dns_message *chased, uint32_t pick, struct zone_answer *ret);
/* How the answer came about, for people: "Service default/web (ClusterIP)", "namespace 'x' does not exist". */
void zone_explain(const struct zone *z, const struct dns_query *q, char *out, size_t size);

/* ---- the same answers for the kernel (kernel/) ---- */

/* What follows header and question, ready to copy: names in it point to the question at 12 and into it. */
struct zone_sections {
	uint16_t type, answers, authority, additional;
	uint16_t len; /* 0: ask user space for this type, it is too large */
	/* `answers` records of equal length, 0: they may come in any order and their first `rotates` bytes be rotated by whole
	 * records. */
	uint16_t rotates;
	const uint8_t *bytes;
};
enum zone_name_kind {
	ZONE_NAME_SETS,	     /* `sets` are all there is; other types are NODATA */
	ZONE_NAME_USERSPACE, /* ask user space (ExternalName, the apex, …) */
};
struct zone_name {
	const uint8_t *key; /* the whole name in wire form, lower case, zone included */
	uint8_t key_len;
	enum zone_name_kind kind;
	const struct zone_sections *sets;
	size_t n_sets;
};
/* What every denial carries, and what is not in the table but answered all the same. */
struct zone_denial {
	struct dns_name domain;
	uint32_t ttl, serial;
};
/* Called on the main thread for every name that is there, then for each change. `gone`: only its key counts.
 * There are the zone itself, svc and pod, and all below svc.<zone>; ports with both underscores only, though user space
 * answers without them as well (two labels in front of a Service). Names below pod.<zone> and reverse names are not. */
struct zone_mirror {
	void (*put)(void *ctx, const struct zone_name *n);
	void (*gone)(void *ctx, const uint8_t *key, uint8_t key_len);
	void (*changed)(void *ctx, const struct zone_denial *d); /* the serial moved on; at most once per turn of changes */
	void *ctx;
};
void zone_set_mirror(struct zone *z, const struct zone_mirror *m); /* NULL ends it */
/* A turn of changes has ended: tells the mirror if there were any. */
void zone_tell_changes(struct zone *z);
