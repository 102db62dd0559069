/* wire.h - what upstreams are asked, and what of their answers is believed. No I/O.
 *
 * RFC 5452 (which answers are ours), draft-vixie-dnsext-dns0x20 (letters of random case), RFC 6891 (EDNS).
 */
#pragma once

#include "codec/dns.h"

#define UPSTREAM_QUERY_BYTES 320 /* header, the longest question, OPT */

/* A question as it went out, TCP's length in front. */
struct upstream_query {
	uint16_t id;
	bool edns, cased; /* its letters are of random case */
	size_t len;	  /* without TCP's length */
	uint8_t framed[2 + UPSTREAM_QUERY_BYTES];
};
#define UPSTREAM_CASE_BYTES 32 /* a bit for each byte of a name */
/* `letters` are random bits for the name's case; NULL: as it is. DO, CD and AD are passed on, other options are not. */
void upstream_query_write(struct upstream_query *out, const struct dns_query *q, uint16_t id, bool edns,
			  const uint8_t letters[UPSTREAM_CASE_BYTES]);

enum upstream_reply {
	REPLY_OURS,
	REPLY_OTHER_CASE, /* it would be, if its question were written as ours */
	REPLY_BARE,	  /* a refusal without question: from who does not understand EDNS */
	REPLY_FOREIGN,	  /* another id or question, or no answer at all: forged, or late */
};
/* *ret is only set for the first two. */
enum upstream_reply upstream_reply_check(const struct upstream_query *sent, struct str bytes, struct dns_message *ret);
/* With the upper bits that OPT carries. */
unsigned upstream_reply_rcode(const struct dns_message *m);

/* Writes what of an answer to `q` is given out and kept: its question in lower case, without OPT, the answers that follow
 * from the question, what is below `from` in the other sections. Returns the length; 0: it answers something else. */
size_t upstream_reply_clean(const struct dns_query *q, const struct dns_name *from, const struct dns_message *m,
			    uint8_t out[DNS_MESSAGE_BYTES_MAX]);
