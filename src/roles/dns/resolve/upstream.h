/* upstream.h - name servers that questions are forwarded to: where they are, and what is known of them.
 *
 * A set never changes after it was made, but for the atomic fields; all workers use it and keep it by reference.
 */
#pragma once

#include "net/addr.h"
#include "net/tls.h"
#include "codec/dns.h"

#define UPSTREAMS_MAX 15	     /* CoreDNS' */
#define UPSTREAM_SERVER_NAME_BYTES 254 /* of a host name */

struct metric;

enum upstream_transport { UPSTREAM_UDP, UPSTREAM_TCP, UPSTREAM_TLS };
#define UPSTREAM_TRANSPORTS 3
/* Rcodes that answers are counted by: those below, and the rest. */
#define UPSTREAM_RCODES 7

struct upstream {
	struct addr addr;
	bool tls;
	char server_name[UPSTREAM_SERVER_NAME_BYTES]; /* whose certificate it has to show; an address without one */
	char text[ADDR_TEXT_BYTES];		      /* "10.0.0.1:53": for people and metrics */
	uint64_t probe[2];			      /* random: this question coming back to us is a loop */

	/* Written by all workers, atomic, relaxed. Times are milliseconds of CLOCK_MONOTONIC. */
	unsigned fails;		/* health checks without an answer, since the last answer */
	bool checking;		/* some worker checks its health */
	bool looping;		/* what it is asked comes back to us: never asked again */
	uint64_t checked_ms;
	uint64_t no_edns_until_ms, no_case_until_ms; /* it does not understand EDNS, does not keep letters' case */
	uint32_t srtt_us, rttvar_us; /* RFC 6298; 0: nothing measured */
	uint64_t foreign;	/* messages from its address that answered nothing we asked */

	/* NULL without metrics */
	struct metric *m_duration[UPSTREAM_RCODES], *m_check_failures;
	struct metric *m_conn_hits[UPSTREAM_TRANSPORTS], *m_conn_misses[UPSTREAM_TRANSPORTS];
};

/* What is the same for all of a directive's. */
struct upstream_options {
	struct tls *tls;	 /* for tls:// */
	const char *server_name; /* NULL: each its own */
	uint16_t port;		 /* of name servers in files, and of addresses without one */
	const char *const *own_ips; /* NULL-terminated, may be NULL: not taken from files, they lead back here */
};

struct upstream_set {
	unsigned refs_; /* atomic */
	size_t n;
	struct upstream at[UPSTREAMS_MAX];
};
struct upstream_set *upstream_set_new(void);
struct upstream_set *upstream_set_ref(struct upstream_set *s);
void upstream_set_unref(struct upstream_set *s); /* any thread; NULL is nothing */
/* Is the word an address, with or without a scheme? Otherwise it can only be a file. */
bool upstream_word_is_address(const char *word);
/* "10.0.0.1", "10.0.0.1:53", "[::1]:53", "dns://…", "tls://9.9.9.9%dns.quad9.net:853". */
int upstream_set_add(struct upstream_set *s, const char *word, const struct upstream_options *o, struct err *e) must_check;
/* The nameserver lines of a resolv.conf(5); those that are there already, and those beyond the limit, are left out. */
void upstream_set_add_file(struct upstream_set *s, struct str text, const struct upstream_options *o);
struct dns_metrics;
void upstream_set_metrics(struct upstream_set *s, struct dns_metrics *m);

void upstream_random(void *p, size_t len); /* not to be guessed: ids, letters' case, names of probes */

/* ---- what is known ---- */

bool upstream_down(const struct upstream *u, unsigned max_fails); /* 0: never */
/* After this long without an answer it is worth asking another one. */
#define UPSTREAM_PATIENCE_MIN_MS 120   /* a resolver that has to ask others takes about as long */
#define UPSTREAM_PATIENCE_FIRST_MS 400 /* nothing measured yet */
#define UPSTREAM_PATIENCE_MAX_MS 1200
uint64_t upstream_patience_ms(const struct upstream *u);
void upstream_answered(struct upstream *u, unsigned worker, unsigned rcode, uint64_t us);
/* The name whose coming back tells of a loop: two random labels below `zone`. False: the zone's name is too long. */
bool upstream_probe_name(const struct upstream *u, const struct dns_name *zone, struct dns_name *ret);
/* Whose it is; NULL: nobody's. */
struct upstream *upstream_of_probe(struct upstream_set *s, const struct dns_name *name);
