/* worker.h - a thread with a loop and sockets of its own that answers questions; workers share nothing they write often.
 *
 * The main thread watches the cluster and the settings and publishes zones and configurations; workers only read them.
 */
#pragma once

#include "loop/loop.h"
#include "loop/quiesce.h"

struct dns_config;
struct cluster;
struct dns_metrics;
struct metrics_shard_dns;
struct dns_watch; /* observe/watch.h: query log and statistics on request */
struct kernel_answers;
struct udp_batch;
struct config;
struct kube_client;

struct dns_shared {
	struct loop *main_loop;
	struct quiesce *quiesce;
	const struct config *settings;	/* the command line's */
	struct kube_client *kube;
	struct cluster *cluster;	/* zone/cluster.h: what the kubernetes plug-ins answer from */
	struct dns_config *config;	/* atomic pointer: dns_config_now */
	struct dns_metrics *metrics;	/* observe/metrics.h */
	struct dns_watch *watch;
	struct kernel_answers *kernel;	/* kernel/kernel.h; NULL: the kernel answers nothing */
	void (*touches_changed)(void *ctx); /* main thread: a plug-in touches other names than when it started; may be NULL */
	void *touches_changed_ctx;
	struct dns_worker **workers;
	unsigned n_workers;
	bool stopping;			/* atomic: set before the workers are told to end */
	bool lame;			/* atomic: going away soon; still answers, but is not ready (health's lameduck) */
};

struct dns_worker {
	struct loop *loop;
	struct dns_shared *shared;
	unsigned number;
	uint32_t pick;			/* counts questions: rotates many addresses */
	struct metrics_shard_dns *metrics;
	struct list free_requests;
	size_t n_free_requests, n_requests; /* waiting to be used again; under way */
	struct udp_batch *udp_batch;	/* serve/udp.c; NULL until needed */
	uint8_t space[65536], space2[65536]; /* request_space, and where answers are rendered */
};

/* Valid within the call-back; a request that lasts references it. Any worker. */
struct dns_config *dns_config_now(const struct dns_shared *s);
struct dns_config *dns_config_ref(struct dns_config *c);
void dns_config_unref(struct dns_config *c); /* any thread; the last one has its plug-ins stopped */
/* Main thread: starts the plug-ins. On error nothing has changed. One that is not used after all: dns_config_unref. */
int dns_config_start(struct dns_shared *s, struct dns_config *c, struct err *e) must_check;
/* Can all plug-ins of one that was started answer? A zone that no configuration had before is empty at first. */
bool dns_config_ready(const struct dns_config *c);
/* Main thread: workers use it from now on; lets go of the one before. */
void dns_config_use(struct dns_shared *s, struct dns_config *c);
