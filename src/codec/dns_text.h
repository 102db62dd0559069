/* dns_text.h - records as people write them: RFC 1035's master file format, one record a line, both ways. No I/O.
 *
 * RFC 1035 5.1, 3597 (TYPE65280, \# 4 0a000001), 8659 (CAA), 9460 (SVCB, HTTPS). Names are absolute, with or without their
 * last dot; "@" is the root. A type without a format of its own is read and written as RFC 3597 has it.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "codec/dns.h"

#define DNS_TEXT_RDATA_BYTES_MAX 4096 /* of one record that is written by hand: a 4096-bit DKIM key is below 800 */
#define DNS_TEXT_TYPE_BYTES 16	      /* "TYPE65535" */

/* "AAAA", "aaaa", "TYPE28"; the record types that a question may have are among them ("ANY", "AXFR"). */
bool dns_type_from_text(struct str text, uint16_t *ret_type) must_check;
const char *dns_type_text(uint16_t type, char out[DNS_TEXT_TYPE_BYTES]);
bool dns_class_from_text(struct str text, uint16_t *ret_class) must_check; /* IN CH HS ANY CLASS12 */
const char *dns_class_text(uint16_t class, char out[DNS_TEXT_TYPE_BYTES]);
bool dns_rcode_from_text(struct str text, uint16_t *ret_rcode) must_check; /* "NXDOMAIN", or a number below 4096 */
const char *dns_rcode_text(uint16_t rcode, char out[DNS_TEXT_TYPE_BYTES]);
/* As dns_name_from_text, with escapes (\. \032) and "@"; the case is kept. */
bool dns_name_from_escaped(struct str text, struct dns_name *ret) must_check;

struct dns_text_record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl;
	size_t rdata_len;
	uint8_t rdata[DNS_TEXT_RDATA_BYTES_MAX]; /* names in it are not compressed */
};
/* "web.example.org. 60 IN A 10.0.0.1": TTL and class may be left out, and be in either order. The TTL is then `ttl`. */
int dns_text_parse(struct str line, uint32_t ttl, struct dns_text_record *ret, struct err *e) must_check;
/* Appends it to an answer; 0 when it does not fit, as dns_put. */
uint16_t dns_text_put(struct dns_writer *w, enum dns_section s, const struct dns_text_record *r);

/* Appends the record's line without a line's end: owner, TTL, class, type and data, with one tab between them. What is
 * malformed is written as RFC 3597's. */
void dns_text_print(struct buf *out, const struct dns_message *m, const struct dns_record *r);
/* Its data only: "10.0.0.1", "10 mail.example.org." */
void dns_text_print_rdata(struct buf *out, const struct dns_message *m, const struct dns_record *r);
