/* dns.h - DNS messages: queries in, answers out, other servers' answers walked. No I/O, no
 * allocation.
 *
 * RFC 1035, 2181, 2308, 2782, 3596, 6891, 7766. Names are in wire form: length-prefixed labels with
 * the root's zero at their end. Whoever compares names lower-cases them first; answers echo the
 * question as it was asked.
 */
#pragma once

#include "base/base.h"

#define DNS_HEADER_BYTES 12
#define DNS_NAME_BYTES_MAX 255
#define DNS_LABEL_BYTES_MAX 63
#define DNS_UDP_BYTES_MIN 512  /* what every client takes (RFC 1035) */
#define DNS_UDP_BYTES_MAX 1232 /* what no path fragments (DNS flag day 2020) */
#define DNS_MESSAGE_BYTES_MAX 65535
#define DNS_OPT_BYTES 11
#define DNS_QUESTION_AT DNS_HEADER_BYTES /* where an answer's question name is: the usual owner */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_DNAME = 39,
	DNS_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};
#define DNS_CLASS_IN 1

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
	DNS_BADCOOKIE = 23, /* RFC 7873 */
};

/* ---- names ---- */

struct dns_name {
	uint8_t len, labels; /* with, and without, the root */
	uint8_t wire[DNS_NAME_BYTES_MAX];
};
/* "web.default.svc" with or without the last dot, lower-cased; false when a label or the whole is
 * too long or empty. */
bool dns_name_from_text(struct str text, struct dns_name *ret) must_check;
/* Reads a name that may be compressed; keeps its case. *ret_end is the offset behind it. */
bool dns_name_read(struct str msg, size_t at, struct dns_name *ret, size_t *ret_end) must_check;
void dns_name_lower(struct dns_name *n);
bool dns_name_under(const struct dns_name *n, const struct dns_name *zone); /* equal, or below */
#define DNS_NAME_TEXT_BYTES (4 * DNS_NAME_BYTES_MAX)
const char *dns_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_BYTES]); /* for people */
/* The address in "4.3.2.1.in-addr.arpa" or an ip6.arpa name (lower case): its length, or 0. */
size_t dns_reverse_ip(const struct dns_name *n, uint8_t ret_ip[16]);

/* ---- queries ---- */

struct dns_query {
	uint16_t id, flags, type, class;
	struct dns_name name; /* lower case */
	struct str question;  /* name, type and class as sent: borrowed from the message */
	bool edns, dnssec_ok;
	uint16_t udp_bytes; /* how much the asker takes over UDP, already within our limits */
	uint16_t udp_offered; /* the same as its OPT says it; 0: has none */
	struct str options; /* of its OPT, well-formed (dns_edns.h): borrowed from the message */
	struct str reply_options; /* what the answer's OPT gets; only with edns. Borrowed until the answer is made */
	bool cookie; /* the asker has shown that it gets what is sent to its address (dns_cookie.h): set by who checks it */
};
/* 0: answer it. Above 0: answer with this rcode (what could be read is in *ret). -1: never answer
 * (too short, or itself an answer). */
int dns_query_parse(struct str msg, struct dns_query *ret) must_check;

/* ---- answers ---- */

enum dns_section { DNS_ANSWER = 1, DNS_AUTHORITY = 2, DNS_ADDITIONAL = 3 };

struct dns_writer {
	uint8_t *ptr;
	size_t len, max;
	uint16_t counts[4];
	bool truncated; /* an answer or authority record did not fit */
	const struct dns_query *query;
};
/* `max` is the most the transport takes; room for OPT is kept. `out` has at least DNS_UDP_BYTES_MIN
 * bytes. */
void dns_answer_start(struct dns_writer *w, uint8_t *out, size_t max, const struct dns_query *q);
/* rdata is `fixed`, then `name` (labels; the root included unless `tail_at`), then a pointer to
 * tail_at if not 0. */
struct dns_rdata {
	const void *fixed;
	size_t fixed_len;
	const uint8_t *name;
	size_t name_len;
	uint16_t tail_at;
	const void *more; /* behind the name */
	size_t more_len;
};
/* The owner is the name that starts at owner_at. Returns where rdata starts, or 0 when it does not
 * fit. */
uint16_t dns_put(struct dns_writer *w, enum dns_section s, uint16_t owner_at, uint16_t type,
		 uint32_t ttl, const struct dns_rdata *rd);
/* The same for an owner that is nowhere in the message yet. */
uint16_t dns_put_named(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		       uint16_t type, uint32_t ttl, const struct dns_rdata *rd);
/* Sets flags and counts, appends OPT with the query's reply_options if it had one. Returns the message's length. */
size_t dns_answer_finish(struct dns_writer *w, enum dns_rcode rcode, bool authoritative);
/* A whole answer without records. */
size_t dns_answer_error(uint8_t *out, size_t max, const struct dns_query *q, enum dns_rcode rcode);

/* ---- other servers' messages ---- */

struct dns_message {
	struct str bytes;
	uint16_t id, flags, counts[4];
	struct dns_name name; /* of the question, lower case */
	uint16_t type, class;
	size_t records_at;
};
/* Checks every record: after that, walking cannot fail. One question exactly. */
bool dns_message_parse(struct str bytes, struct dns_message *ret) must_check;

struct dns_record {
	enum dns_section section;
	uint16_t type, class;
	uint32_t ttl;
	size_t at, ttl_at, rdata_at, rdata_len, end;
	size_t left_[4]; /* the walker's own */
};
/* for (struct dns_record r = dns_records(m); dns_record_next(m, &r);) */
struct dns_record dns_records(const struct dns_message *m);
bool dns_record_next(const struct dns_message *m, struct dns_record *r);

/* How long the answer may be kept: the least TTL, or for a denial min(SOA's TTL, its minimum) (RFC
 * 2308); 0 when it may not be kept at all. */
uint32_t dns_message_ttl(const struct dns_message *m);
/* Appends a record of another message, names inside rdata expanded. Returns as dns_put. */
uint16_t dns_put_copy(struct dns_writer *w, enum dns_section s, const struct dns_message *m,
		      const struct dns_record *r);

/* A query of our own: `q` under another id. `out` has at least DNS_UDP_BYTES_MIN bytes. */
size_t dns_query_write(uint8_t *out, uint16_t id, const struct dns_query *q);
void dns_set_id(uint8_t *msg, uint16_t id);
void dns_add_flags(uint8_t *msg, uint16_t flags);

#define DNS_FLAG_QR 0x8000
#define DNS_FLAG_AA 0x0400
#define DNS_FLAG_TC 0x0200
#define DNS_FLAG_RD 0x0100
#define DNS_FLAG_RA 0x0080
#define DNS_FLAG_AD 0x0020
#define DNS_FLAG_CD 0x0010
#define DNS_FLAGS_OPCODE 0x7800
#define DNS_FLAGS_RCODE 0x000f
