/* zone.h - the cluster's zone: Services, EndpointSlices and Namespaces as one table of names.
 *
 * Kept up to date object by object; every question, hit or miss, is one look-up. No I/O and no
 * clock. What the names are: the Kubernetes DNS specification 1.1.0; where it is silent, CoreDNS'
 * kubernetes plugin.
 */
#pragma once

#include "codec/dns.h"
#include "codec/jx.h"

struct zone;
/* `serial` is the SOA's first; every change counts it up. */
struct zone *old_zone_new(struct str domain, uint32_t ttl, uint32_t serial);
void old_zone_free(struct zone *z); /* NULL is nothing */
/* Until then all questions are answered with SERVFAIL: a denial would be kept by the asker. */
void old_zone_set_synced(struct zone *z);
bool old_zone_synced(const struct zone *z);

/* Objects as the API serves them; put adds or replaces. Fields that make no sense are left out. */
void old_zone_put_namespace(struct zone *z, const json_t *obj);
void old_zone_del_namespace(struct zone *z, const json_t *obj);
void old_zone_put_service(struct zone *z, const json_t *obj);
void old_zone_del_service(struct zone *z, const json_t *obj);
void old_zone_put_slice(struct zone *z, const json_t *obj);
void old_zone_del_slice(struct zone *z, const json_t *obj);

enum zone_verdict {
	ZONE_ANSWERED,
	ZONE_NOT_OURS, /* ask an upstream server */
	ZONE_CHASE, /* an ExternalName: ask an upstream for `target`, then call again with what it
		       said */
};
struct zone_answer {
	size_t len; /* ZONE_ANSWERED: of the message in `out` */
	struct dns_name target;
};
/* `max` is what the transport takes. `chased` is NULL, or the answer about target; one without
 * records stands for an upstream that said nothing. `pick` starts the rotation of many addresses.
 */
enum zone_verdict old_zone_answer(const struct zone *z, const struct dns_query *q, uint8_t *out,
			      size_t max, const struct dns_message *chased, uint32_t pick,
			      struct zone_answer *ret);
