/* informer_int.h - informer.c speaks with the API server, informer_cache.c holds what it learnt. */
#pragma once

#include "base/map.h"
#include "kube/client/client_int.h"
#include "kube/client/informer.h"
#include "kube/client/list_stream.h"
#include "kube/object/selector.h"

enum phase { PHASE_LIST, PHASE_WATCH };

struct informer {
	struct kube_client *kube;
	struct loop *loop;
	struct informer_handlers on;
	void *ctx;
	struct map cache; /* "ns/name" or "name" → struct cached */

	char *path, *selectors; /* selectors: "&labelSelector=…", or "" */
	bool metadata_only, handlers_only;
	const struct jx_unread *unread;
	char *kind, *api_version; /* of items, learnt from the list */
	char *version;		  /* resourceVersion to watch from */
	char *next_page;	  /* the list's continue token, or NULL */
	uint64_t version_number;
	unsigned generation;

	enum phase phase;
	struct http_call *call;
	struct list_stream list;
	struct buf in; /* the watch's unfinished line, or what a refusal says */
	size_t scanned; /* bytes of `in` known to hold no line end */
	int status;
	uint64_t started_ms, failed_ms;
	bool got_event, relist, synced, freed, failing;
	unsigned failures;
	struct timer retry;
	struct defer reaper;
	struct err last_error;

	/* From files (files_int.h): what is wanted, and the place among those that are told. */
	char *group, *plural, *ns;
	struct selector *labels;
	struct field_selector fields;
	struct list files_link;
	bool files_fresh; /* has not been told yet what there is */
};

void cache_init(struct informer *i);
void cache_done(struct informer *i);
/* The newest resourceVersion seen; NULL or empty changes nothing. */
void cache_take_version(struct informer *i, const char *version);
/* An object as it is now, from a list or a watch; handlers may free the informer (i->freed). */
void cache_apply(struct informer *i, json_t *obj);
void cache_remove(struct informer *i, const json_t *obj);
/* Removes what the list that has just ended did not contain: it was deleted while nobody watched. */
void cache_sweep(struct informer *i);
