/* reply.h - what plug-ins that answer have in common: messages made from records, others' messages made anew, counters.
 */
#pragma once

#include "codec/dns.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/serve/request.h"

/* An answer to r->query, in request_space. Between the two nothing else may use that. */
void reply_start(struct request *r, struct dns_writer *w);
void reply_finish(struct request *r, struct dns_writer *w, enum dns_rcode rcode, bool authoritative, enum request_source from);
/* A record of the question's own name. */
void reply_put(struct dns_writer *w, enum dns_section s, uint16_t type, uint32_t ttl, const void *rdata, size_t len);

/* r->answer, parsed; false: there is none, or it is malformed. */
bool reply_message(const struct request *r, struct dns_message *ret) must_check;
/* Copies the records of these sections, without OPT. */
void reply_copy(struct dns_writer *w, const struct dns_message *m, bool answer, bool authority, bool additional);
/* Takes over rcode and flags of `m`: in place of reply_finish. */
void reply_finish_as(struct request *r, struct dns_writer *w, const struct dns_message *m, enum request_source from);

/* A counter with CoreDNS' labels server, zone and view; `more` is appended to them ("" for none). NULL without metrics. */
struct metric *plugin_counter(const struct dns_shared *s, const struct plugin_instance *i, const char *name, const char *help,
			      const char *more);
static inline void plugin_count(struct metric *m, const struct dns_worker *w)
{
	if (m)
		metric_add(m, w->number, 1);
}
