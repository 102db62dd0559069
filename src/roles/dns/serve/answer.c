#include "roles/dns/serve/answer.h"

/* What goes out of a plug-in's answer. */
struct rendering {
	const struct dns_query *q;
	struct dns_message m;
	size_t max;
	bool opt_last; /* no OPT, or it is the last record: what is before can be copied as it is */
	size_t len;    /* without that OPT */
};

static void look_for_opt(struct rendering *a)
{
	unsigned seen = 0, total = a->m.counts[1] + a->m.counts[2] + a->m.counts[3];

	a->opt_last = true;
	a->len = a->m.bytes.len;
	for (struct dns_record r = dns_records(&a->m); dns_record_next(&a->m, &r);) {
		seen++;
		if (r.type != DNS_OPT)
			continue;
		a->opt_last = seen == total;
		a->len = r.at;
		return;
	}
}

static bool same_question(const struct rendering *a)
{
	return a->m.name.len == a->q->name.len && memcmp(a->m.name.wire, a->q->name.wire, a->m.name.len) == 0;
}

/* RFC 6840, 5.8: AD only for who understands it. */
static uint16_t flags_of(const struct rendering *a)
{
	uint16_t kept = DNS_FLAG_AA | DNS_FLAG_TC;

	if (a->q->dnssec_ok || a->q->flags & DNS_FLAG_AD)
		kept |= DNS_FLAG_AD;
	return a->m.flags & kept;
}

/* Record by record: whole ones, as many as there is room for; what is only additional may be missing unsaid. */
static size_t render_records(const struct rendering *a, struct dns_writer *w)
{
	for (struct dns_record r = dns_records(&a->m); !w->truncated && dns_record_next(&a->m, &r);)
		if (r.type != DNS_OPT)
			dns_put_copy(w, r.section, &a->m, &r);
	return dns_answer_finish(w, (enum dns_rcode)(a->m.flags & DNS_FLAGS_RCODE), false);
}

/* The records are taken over byte for byte: their pointers lead into a question of the same length at the same place. */
static size_t render_copy(const struct rendering *a, struct dns_writer *w)
{
	size_t records = a->len - a->m.records_at;
	bool opt = a->len != a->m.bytes.len;

	memcpy(w->ptr + w->len, a->m.bytes.ptr + a->m.records_at, records);
	w->len += records;
	w->counts[DNS_ANSWER] = a->m.counts[DNS_ANSWER];
	w->counts[DNS_AUTHORITY] = a->m.counts[DNS_AUTHORITY];
	w->counts[DNS_ADDITIONAL] = (uint16_t)(a->m.counts[DNS_ADDITIONAL] - opt);
	return dns_answer_finish(w, (enum dns_rcode)(a->m.flags & DNS_FLAGS_RCODE), false);
}

size_t answer_render(const struct request *r, const struct dns_query *q, uint8_t *out, size_t max)
{
	struct rendering a = { .q = q, .max = max };
	struct dns_writer w;
	size_t n;

	if (!dns_message_parse((struct str){ (const char *)r->answer.bytes, r->answer.len }, &a.m))
		return dns_answer_error(out, max, q, DNS_SERVFAIL);
	look_for_opt(&a);
	dns_answer_start(&w, out, max, q);
	if (a.opt_last && same_question(&a) && w.len + (a.len - a.m.records_at) <= w.max)
		n = render_copy(&a, &w);
	else
		n = render_records(&a, &w);
	dns_add_flags(out, flags_of(&a));
	return n;
}
