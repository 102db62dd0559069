/* pool.h - the addresses that LoadBalancer Services may get. IPv4; host byte order inside. */
#pragma once

#include "base/err.h"

#define POOL_RANGES_MAX 64 /* a setting that a person writes */

struct pool_range {
	uint32_t first, last;
	bool skip_ends; /* a network: addresses that end in .0 or .255 are left out, some clients refuse them */
};
struct pool {
	struct pool_range ranges[POOL_RANGES_MAX];
	size_t n;
};

/* "198.18.0.0/24, 10.0.0.5-10.0.0.9,10.1.1.1": networks, ranges, single addresses. Empty: an empty pool. */
int pool_parse(const char *text, struct pool *ret_pool, struct err *e) must_check;
bool pool_has(const struct pool *p, uint32_t ip);
/* The first address for which taken() is false; false when there is none. */
bool pool_find(const struct pool *p, bool (*taken)(void *ctx, uint32_t ip), void *ctx, uint32_t *ret_ip);

bool ip4_parse(const char *text, uint32_t *ret_ip) must_check;
#define IP4_TEXT_BYTES 16
const char *ip4_text(uint32_t ip, char out[IP4_TEXT_BYTES]);
