/* tables.h - everything the data plane's maps should hold, and the smallest changes towards it.
 *
 * Services and slices go in as JSON; tables_flush gives the map writes that are due since the last one, in
 * the order in which they must be made: backends, then sources, then frontends that point at them, then
 * removals. No I/O, no clock.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "roles/proxy/plan.h"
#include "roles/proxy/ranges.h"

struct tables_backend {
	uint32_t at;
	struct svc_backend value;
};
struct tables_frontend {
	struct svc_key key;
	struct svc_value value;
};
struct tables_changes {
	struct tables_backend *backends;
	struct svc_source *source_puts, *source_dels;
	struct tables_frontend *puts;
	struct svc_key *dels;
	struct svc_backend *gone; /* UDP backends that left a service: sockets connected to them are to be ended */
	size_t n_backends, n_source_puts, n_source_dels, n_puts, n_dels, n_gone;
};
void tables_changes_done(struct tables_changes *c);

struct tables_service;
struct tables {
	const char *node_name; /* borrowed */
	struct map services;   /* "ns/name" → struct tables_service */
	struct map slices;     /* "ns/name" of the slice → struct slice */
	struct map owners;     /* svc_key bytes → struct tables_service */
	struct map adopted;    /* svc_key bytes → struct tables_frontend: in the maps, not yet claimed */
	struct ranges_used *adopted_ranges;
	size_t n_adopted_ranges;
	struct svc_source *adopted_sources;
	size_t n_adopted_sources;
	struct list dirty;
	bool adopting, drop_adopted;
	struct ranges ranges, ids;
	uint8_t *id_claimed; /* a bit an id */
	size_t contested; /* services that want a frontend of another one */
	size_t refused;	  /* services that did not fit into the maps; counted once a flush */
};
void tables_init(struct tables *t, const char *node_name);
void tables_done(struct tables *t);

void tables_service_put(struct tables *t, const json_t *obj);
void tables_service_del(struct tables *t, const json_t *obj);
void tables_slice_put(struct tables *t, const json_t *obj);
void tables_slice_del(struct tables *t, const json_t *obj);
/* The caller frees *ret_changes. */
void tables_flush(struct tables *t, uint64_t now_ms, struct tables_changes *ret_changes);

/* After a restart, before anything else: what the pinned maps hold. Service ids are kept (affinity goes on),
 * lists are written anew beside the old ones. Whatever no service claims is removed by the flush after
 * tables_adoption_end, which is due when all services and slices are known. */
void tables_adopt(struct tables *t, const struct tables_frontend *frontends, size_t n,
		  const struct svc_source *sources, size_t n_sources);
void tables_adoption_end(struct tables *t);
