#include "codec/dns_text_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends the record's line as an answer with it is printed; false when there is no such answer. */
static bool print(const struct dns_text_record *r, struct buf *text)
{
	static uint8_t msg[DNS_MESSAGE_BYTES_MAX];
	struct dns_query q = { .question = { "\0\0\1\0\1", 5 } };
	struct dns_writer w;
	struct dns_message m;

	dns_answer_start(&w, msg, sizeof(msg), &q);
	if (!dns_text_put(&w, DNS_ANSWER, r))
		return false;
	size_t len = dns_answer_finish(&w, DNS_NOERROR, false);
	if (!dns_message_parse((struct str){ (char *)msg, len }, &m))
		return false; /* \# may say anything */
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		dns_text_print(text, &m, &rr);
	return true;
}

/* What was printed is read again as the same: the record of a line (`exact`), or only the text of one whose names are
 * compressed. */
static void same_again(const struct dns_text_record *r, bool exact)
{
	static struct dns_text_record again;
	struct buf text, second;
	struct err e;

	buf_init(&text, 1 << 20);
	buf_init(&second, 1 << 20);
	if (print(r, &text)) {
		bool read = dns_text_parse(buf_str(&text), 0, &again, &e) == 0;
		if (!read && (exact || !strstr(text.ptr, "\t\\# "))) /* what is malformed is printed, but not read */
			abort();
		if (read && (!print(&again, &second) || !str_eq(buf_str(&text), buf_str(&second))))
			abort();
		if (exact && (again.type != r->type || again.class != r->class || again.ttl != r->ttl ||
			      again.owner.len != r->owner.len || again.rdata_len != r->rdata_len ||
			      memcmp(again.owner.wire, r->owner.wire, r->owner.len) != 0 ||
			      memcmp(again.rdata, r->rdata, r->rdata_len) != 0))
			abort();
	}
	buf_done(&text);
	buf_done(&second);
}

/* A line of text; or, behind a zero, a type and its data as another server may send them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_text_record r;
	struct err e;

	if (size > 3 && data[0] == 0 && size - 3 <= sizeof(r.rdata)) {
		r = (struct dns_text_record){ .owner = { .len = 1 }, .type = get_u16(data + 1), .class = DNS_CLASS_IN };
		r.rdata_len = size - 3;
		memcpy(r.rdata, data + 3, r.rdata_len);
		same_again(&r, false);
	} else if (dns_text_parse((struct str){ (const char *)data, size }, 60, &r, &e) == 0) {
		same_again(&r, true);
	}
	return 0;
}
