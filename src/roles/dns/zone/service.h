/* service.h - what DNS needs of a Service and its EndpointSlices, in one run of bytes that never changes once it is in the
 * table: a change makes a new one.
 *
 * The addresses that a plain question asks for lie there as records, ready to copy; everything else is kept as small as it
 * can be, and made into records by who answers (answer.c). Names are labels: a length, then the bytes.
 */
#pragma once

#include "base/base.h"
#include "codec/dns.h"

#define A_RECORD_BYTES 16    /* pointer to the question, type, class, TTL, length, address */
#define AAAA_RECORD_BYTES 28
#define RECORD_RDATA_AT 12
#define CLUSTER_IPS_MAX 2    /* one for each family */
#define ENDPOINTS_MAX 16384  /* of one Service: four times what an answer over TCP can name */
#define SLICES_MAX 1024	     /* of one Service: the controller fills them to 100 endpoints */
#define PORTS_MAX 128	     /* of a Service or a slice; the API server takes 100 of a slice */

enum service_kind { KIND_CLUSTER_IP, KIND_HEADLESS, KIND_EXTERNAL };
enum port_protocol { PROTOCOL_TCP = 1, PROTOCOL_UDP, PROTOCOL_SCTP };

/* A namespace; services point to theirs. */
struct space {
	uint64_t hash;
	unsigned refs;	     /* services; the writer's */
	bool exists, exposed; /* atomic */
	uint8_t label[];
};

struct endpoint4 {
	uint32_t host_at; /* of its hostname, from the beginning of the service; 0: named by its address, 10-244-0-5 */
	uint8_t ip[4];
	uint16_t slice;
};
struct endpoint6 {
	uint32_t host_at;
	uint8_t ip[16];
	uint16_t slice;
};

struct service {
	uint64_t hash; /* of name and namespace */
	struct space *space;
	uint32_t bytes; /* the whole of it */
	uint32_t tail_at; /* behind names and records: slice ids, endpoints, and so on, in the order of the counts */
	uint16_t n_slices, n4, n6, n_named, n_sets; /* n_named: endpoints with a hostname, by it */
	uint16_t n_a, n_aaaa;			    /* records: ClusterIPs, or a headless service's addresses, each once */
	uint8_t kind;				    /* enum service_kind */
	bool present;				    /* the Service itself was seen; slices may come before it */
	uint8_t name[]; /* a label; then the A records, the AAAA records, the external name, the hostnames, the ports */
};

/* The tail:
 *	uint64_t slices[n_slices]	ids: namespace and name, hashed with the key; ascending
 *	struct endpoint4 four[n4]	by address
 *	struct endpoint6 six[n6]
 *	uint32_t named[n_named]		numbers of endpoints (four, then six), by hostname, then number
 *	struct port_set sets[n_sets]	[0] is the Service's own, the others are slices'
 *	uint16_t set_of[n_slices]
 */
struct port_set {
	uint32_t at;	    /* its entries, from the beginning of the service */
	uint16_t n;
	uint16_t endpoints; /* that have these ports */
};
/* An entry: number (0: any), protocol, name. */
struct port_entry {
	uint16_t number;
	uint8_t protocol;
	const uint8_t *name; /* a label, lower case; of length 0 if unnamed */
};
#define PORT_ENTRY_BYTES 4 /* and the name's bytes */

struct ip {
	uint8_t len; /* 4 or 16; 0: none */
	uint8_t bytes[16];
};

static inline const uint8_t *service_a(const struct service *s)
{
	return s->name + 1 + s->name[0];
}
static inline const uint8_t *service_aaaa(const struct service *s)
{
	return service_a(s) + (size_t)s->n_a * A_RECORD_BYTES;
}
/* KIND_EXTERNAL only; wire form. Empty (the root): there is none that makes sense. */
static inline const uint8_t *service_external(const struct service *s)
{
	return service_aaaa(s) + (size_t)s->n_aaaa * AAAA_RECORD_BYTES;
}
static inline const uint64_t *service_slices(const struct service *s)
{
	return (const uint64_t *)((const uint8_t *)s + s->tail_at);
}
static inline const struct endpoint4 *service_four(const struct service *s)
{
	return (const struct endpoint4 *)(service_slices(s) + s->n_slices);
}
static inline const struct endpoint6 *service_six(const struct service *s)
{
	return (const struct endpoint6 *)(service_four(s) + s->n4);
}
static inline const uint32_t *service_named(const struct service *s)
{
	return (const uint32_t *)(service_six(s) + s->n6);
}
static inline const struct port_set *service_sets(const struct service *s)
{
	return (const struct port_set *)(service_named(s) + s->n_named);
}
static inline const uint16_t *service_set_of(const struct service *s)
{
	return (const uint16_t *)(service_sets(s) + s->n_sets);
}
static inline size_t service_endpoints(const struct service *s)
{
	return (size_t)s->n4 + s->n6;
}
static inline uint32_t endpoint_host_at(const struct service *s, size_t i)
{
	return i < s->n4 ? service_four(s)[i].host_at : service_six(s)[i - s->n4].host_at;
}
static inline uint16_t endpoint_slice(const struct service *s, size_t i)
{
	return i < s->n4 ? service_four(s)[i].slice : service_six(s)[i - s->n4].slice;
}
static inline const uint8_t *endpoint_ip(const struct service *s, size_t i)
{
	return i < s->n4 ? service_four(s)[i].ip : service_six(s)[i - s->n4].ip;
}
static inline uint8_t endpoint_ip_len(const struct service *s, size_t i)
{
	return i < s->n4 ? 4 : 16;
}
static inline const struct port_set *endpoint_set(const struct service *s, size_t i)
{
	return &service_sets(s)[service_set_of(s)[endpoint_slice(s, i)]];
}
/* for (const uint8_t *p = port_first(s, set), *end…; n times;) p = port_read(p, &entry) */
static inline const uint8_t *port_first(const struct service *s, const struct port_set *set)
{
	return (const uint8_t *)s + set->at;
}
static inline const uint8_t *port_read(const uint8_t *p, struct port_entry *ret)
{
	*ret = (struct port_entry){ (uint16_t)(p[0] << 8 | p[1]), p[2], p + 3 };
	return p + PORT_ENTRY_BYTES + p[3];
}

/* Its hostname, or what its address makes. `space` has room for a label. */
const uint8_t *endpoint_host(const struct service *s, size_t i, uint8_t space[DNS_LABEL_BYTES_MAX + 1]);
/* Endpoints first … first + n - 1, in the order of addresses, have this address. */
size_t service_find_ip(const struct service *s, const uint8_t *ip, size_t len, size_t *ret_first);
bool service_has_cluster_ip(const struct service *s, const uint8_t *ip, size_t len);
/* Places first … in `named` that have this hostname. */
size_t service_find_named(const struct service *s, const uint8_t *label, size_t *ret_first);
/* Every address it has a name for, each once: false at the end. */
bool service_each_ip(const struct service *s, size_t *at, struct ip *ret);

/* 10-244-0-5, 2001-db8--1, fe80--0: the address that a label means, of any spelling; len 0: none. */
struct ip ip_of_label(const uint8_t *label);
/* The label for an address: its usual spelling. Returns `out`. */
const uint8_t *ip_label(const uint8_t *ip, size_t len, uint8_t out[DNS_LABEL_BYTES_MAX + 1]);
bool ip_read(const char *text, struct ip *ret);

static inline int label_cmp(const uint8_t *a, const uint8_t *b)
{
	return a[0] != b[0] ? a[0] - b[0] : memcmp(a + 1, b + 1, a[0]);
}

/* ---- making one ---- */

struct draft_endpoint {
	struct ip ip;
	uint16_t slice;
	const uint8_t *host; /* a label; NULL: named by its address */
};
struct draft_ports {
	uint8_t *bytes; /* entries */
	size_t len;
	uint16_t n;
};
struct draft {
	struct arena arena;
	uint64_t hash;
	struct space *space;
	const uint8_t *name;
	bool present;
	enum service_kind kind;
	struct ip ips[CLUSTER_IPS_MAX];
	size_t n_ips;
	struct dns_name external; /* len 0: none */
	struct draft_ports ports; /* the Service's */
	struct draft_endpoint *endpoints;
	size_t n_endpoints;
	struct {
		uint64_t id;
		struct draft_ports ports;
	} *slices;
	size_t n_slices;
};
/* `old` may be NULL (then hash, space and name are to be set); `more` more endpoints will come. All but the slice of this
 * id is taken over from `old`, which has to live as long as the draft. */
void draft_init(struct draft *d, const struct service *old, uint64_t without_slice, size_t more);
void draft_done(struct draft *d);
/* Slices are kept in the order of their ids, so that equal objects make equal bytes. Returns its number. */
uint16_t draft_add_slice(struct draft *d, uint64_t id, const struct draft_ports *ports);
/* NULL: neither the Service nor a slice is left. */
struct service *draft_build(struct draft *d, uint32_t ttl);
