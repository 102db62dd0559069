/* kit_int.h - what kit.c (caches) and run.c (actions) share. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "roles/controllers/index.h"
#include "roles/controllers/kit.h"

struct kit_cache {
	struct kit *kit;
	enum kit_kind kind;
	struct informer *informer;
	struct index index[KI_COUNT];
};
struct kit {
	struct loop *loop;
	const struct config *config;
	struct kube_client *kube;
	struct kit_cache cache[KK_COUNT];
	struct controller_run *runs;
	size_t n_runs;
	struct list waiting; /* struct key_run: acted, and the caches do not show it yet */
	void (*on_synced)(void *ctx);
	void *ctx;
	bool synced;
};

int run_start(struct controller_run *c, struct err *e);
void run_stop(struct controller_run *c);
void run_synced(struct controller_run *c);
/* The cache of `kind` has moved on. */
void run_progress(struct kit *k, enum kit_kind kind);
