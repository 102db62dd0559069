/* tables_int.h - what tables.c and tables_sync.c share. */
#pragma once

#include "base/list.h"
#include "roles/proxy/tables.h"

struct applied_list {
	struct plan_list l;
	uint32_t first; /* meaningless when l.n is 0 */
};

struct tables_service {
	char *key;
	struct service *service;
	struct slice **slices;
	size_t n_slices;
	struct list dirty_link;
	bool contested;
	/* What the maps hold of it. */
	struct applied_list *lists;
	struct tables_frontend *frontends;
	struct ip_range *sources;
	uint32_t *ids; /* one a port */
	size_t n_lists, n_frontends, n_sources, n_ids;
};

/* State of one flush: the changes, and which frontends were removed in it (a put of the same key wins). */
struct tables_flush {
	struct tables *t;
	struct tables_changes *c;
	uint64_t now_ms;
	struct map removed;
};

static inline struct str tables_key(const struct svc_key *k)
{
	return (struct str){ (const char *)k, sizeof(*k) };
}

/* Room for one more: grows at each power of two. */
void *tables_grow(void *at, size_t n, size_t size);
void tables_sync_service(struct tables_flush *f, struct tables_service *s);
void tables_service_mark(struct tables *t, struct tables_service *s);
void tables_id_claim(struct tables *t, uint32_t id);
