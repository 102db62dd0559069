/* event.h - one answered question, as the query log, the statistics and whoever watches see it.
 */
#pragma once

#include "roles/dns/observe/watch.h"

struct event_addr {
	uint8_t family; /* 4, 6; 0: none */
	uint16_t port;
	uint8_t ip[16];
};
enum event_class { EVENT_SUCCESS = 1, EVENT_DENIAL = 2, EVENT_ERROR = 4, EVENT_ALL = 7 };
/* CoreDNS' plugin/pkg/response: what kind of an answer it is. */
enum event_kind { EVENT_NOERROR, EVENT_NXDOMAIN, EVENT_SERVERERROR, EVENT_NODATA, EVENT_DELEGATION, EVENT_OTHERERROR };

struct log_rule;
struct dns_event {
	uint64_t at_us; /* since 1970 */
	struct event_addr client, upstream;
	uint8_t proto, source, kind, class;
	bool edns, dnssec_ok;
	uint16_t id, question_flags, type, qclass, rcode, flags, udp_bytes, answers;
	uint32_t question_bytes, answer_bytes;
	uint64_t duration_us;
	const struct log_rule *log; /* the block's log plug-in wants it in this form; NULL: it does not */
	struct dns_name name;	    /* lower case */
};
#define EVENT_ADDR_BYTES 48
const char *event_addr_text(const struct event_addr *a, char out[EVENT_ADDR_BYTES]); /* without the port; "" for none */
/* Of a whole message; `type` is what was asked. */
enum event_kind event_kind_of(struct str answer, uint16_t type);
enum event_class event_class_of(enum event_kind kind);
extern const char *const event_kind_names[], *const event_source_names[];
const char *event_class_name(enum event_class c);
void event_init(struct dns_event *ret, const struct watch_question *q, uint64_t at_us);
/* "example.org." */
const char *event_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_BYTES + 1]);
/* A JSON object; `pod` is "ns/name" or NULL. */
void event_put_json(struct buf *out, const struct dns_event *e, const char *pod);
