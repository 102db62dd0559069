#include "roles/dns/plugin/reply.h"

#include "base/buf.h"

void reply_start(struct request *r, struct dns_writer *w)
{
	dns_answer_start(w, request_space(r), DNS_MESSAGE_BYTES_MAX, &r->query);
}

void reply_finish(struct request *r, struct dns_writer *w, enum dns_rcode rcode, bool authoritative, enum request_source from)
{
	size_t len = dns_answer_finish(w, rcode, authoritative);

	request_set_answer(r, w->ptr, len, from);
}

void reply_put(struct dns_writer *w, enum dns_section s, uint16_t type, uint32_t ttl, const void *rdata, size_t len)
{
	struct dns_rdata rd = { .fixed = rdata, .fixed_len = len };

	dns_put(w, s, DNS_QUESTION_AT, type, ttl, &rd);
}

bool reply_message(const struct request *r, struct dns_message *ret)
{
	return r->answer.len && dns_message_parse((struct str){ (const char *)r->answer.bytes, r->answer.len }, ret);
}

void reply_copy(struct dns_writer *w, const struct dns_message *m, bool answer, bool authority, bool additional)
{
	const bool wanted[] = { false, answer, authority, additional };

	for (struct dns_record rr = dns_records(m); dns_record_next(m, &rr);)
		if (wanted[rr.section] && rr.type != DNS_OPT)
			dns_put_copy(w, rr.section, m, &rr);
}

void reply_finish_as(struct request *r, struct dns_writer *w, const struct dns_message *m, enum request_source from)
{
	size_t len = dns_answer_finish(w, (enum dns_rcode)(m->flags & DNS_FLAGS_RCODE), m->flags & DNS_FLAG_AA);
	uint8_t kept = (DNS_FLAG_AD | DNS_FLAG_RA) & 0xff;

	w->ptr[2] |= (uint8_t)((m->flags & DNS_FLAG_TC) >> 8);
	w->ptr[3] = (uint8_t)((w->ptr[3] & ~kept) | (m->flags & kept));
	request_set_answer(r, w->ptr, len, from);
}

struct metric *plugin_counter(const struct dns_shared *s, const struct plugin_instance *i, const char *name, const char *help,
			      const char *more)
{
	char zone[DNS_NAME_TEXT_BYTES];
	struct metric *m = NULL;
	struct buf labels;

	if (!s || !s->metrics)
		return NULL;
	buf_init(&labels, 8192);
	metric_label(&labels, "server", i->block->server);
	metric_label(&labels, "zone", dns_name_text(&i->block->zones[0], zone));
	metric_label(&labels, "view", "");
	buf_puts(&labels, more);
	if (!labels.overflow)
		m = dns_metric(s->metrics, name, METRIC_COUNTER, help, labels.ptr);
	buf_done(&labels);
	return m;
}
