#include "codec/dns_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read and printed is read again as the same. */
static void same_again(const struct dns_text_record *r)
{
	static uint8_t msg[DNS_MESSAGE_BYTES_MAX];
	static struct dns_text_record again;
	struct dns_query q = { .question = { "\0\0\1\0\1", 5 } };
	struct dns_writer w;
	struct dns_message m;
	struct err e;
	struct buf text;

	dns_answer_start(&w, msg, sizeof(msg), &q);
	if (!dns_text_put(&w, DNS_ANSWER, r))
		return;
	size_t len = dns_answer_finish(&w, DNS_NOERROR, false);
	if (!dns_message_parse((struct str){ (char *)msg, len }, &m))
		return; /* \# may say anything */
	buf_init(&text, 1 << 20);
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		dns_text_print(&text, &m, &rr);
	if (dns_text_parse(buf_str(&text), 0, &again, &e) || again.type != r->type || again.class != r->class ||
	    again.ttl != r->ttl || again.owner.len != r->owner.len || again.rdata_len != r->rdata_len ||
	    memcmp(again.owner.wire, r->owner.wire, r->owner.len) != 0 || memcmp(again.rdata, r->rdata, r->rdata_len) != 0)
		abort();
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_text_record r;
	struct err e;

	if (dns_text_parse((struct str){ (const char *)data, size }, 60, &r, &e) == 0)
		same_again(&r);
	return 0;
}
