#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t copy[DNS_MESSAGE_BYTES_MAX + DNS_OPT_BYTES], out[DNS_UDP_BYTES_MAX];
	struct dns_query q = { 0 };
	struct dns_message m;
	struct dns_writer w;
	char text[DNS_NAME_TEXT_BYTES];
	uint8_t ip[16];

	if (size > DNS_MESSAGE_BYTES_MAX)
		return 0;
	memcpy(copy, data, size);
	struct str in = { (char *)copy, size };
	if (dns_query_parse(in, &q) >= 0) {
		dns_answer_error(out, q.udp_bytes, &q, DNS_SERVFAIL);
		if (q.question.len) {
			dns_query_write(out, 1, &q);
			dns_name_text(&q.name, text);
			dns_reverse_ip(&q.name, ip);
		}
	}
	if (!dns_message_parse(in, &m))
		return 0;
	q = (struct dns_query){ .edns = size & 1 };
	dns_message_ttl(&m);
	dns_answer_start(&w, out, sizeof(out), &q);
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);)
		dns_put_copy(&w, r.section, &m, &r);
	dns_answer_finish(&w, DNS_NOERROR, false);
	return 0;
}
