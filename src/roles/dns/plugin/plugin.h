/* plugin.h - a step that a question passes: what a Corefile calls a plug-in.
 *
 * A plug-in is one file with one `struct plugin`: how its directive is read, documented, and what it does. A question passes
 * the block's plug-ins in order until one answers; the answer passes back through those before it, in reverse.
 * On workers a plug-in reads its settings without locks and keeps what it writes per worker (worker_start).
 */
#pragma once

#include "roles/dns/config/directive.h"

struct dns_client;
struct dns_edns_reply;
struct dns_name;
struct dns_query;
struct dns_shared;
struct dns_worker;
struct plugin_instance;
struct request;

enum plugin_verdict {
	PLUGIN_NEXT,	 /* not mine: the next one (from `answer`: go on back to the asker) */
	PLUGIN_ANSWERED, /* request_set_answer or the like was called */
	PLUGIN_LATER,	 /* request_resume will be called with one of the others */
	PLUGIN_DROP,	 /* no answer at all */
};

struct plugin_refusal {
	int rcode; /* enum dns_rcode */
	bool truncate; /* TC: ask again over TCP */
};

/* What a directive's reading may need of its surroundings. */
struct plugin_scope {
	const char *cluster_domain;
	const char *resolv_conf;	 /* "/etc/resolv.conf"; another one in tests */
	const char *const *own_ips;	 /* NULL-terminated: upstreams that would lead back here */
	uint16_t upstream_port;		 /* 53; tests take another */
	const char *const *block_zones;	 /* of the block that is being read; NULL-terminated; "." is the root */
	struct dns_shared *shared;	 /* NULL: only checking (`portico dns check`) */
};

struct plugin_property { /* a line in its braces */
	const char *name; /* in capitals: stands for whatever word comes there ("ADDRESS"), which parse() judges */
	const char *args;
	const char *doc; /* "accepted; …": without effect here, which `portico dns check` tells */
};
struct plugin {
	const char *name;
	const char *args, *doc;			   /* of the directive itself: docs, and `portico dns plugins`; as a property's */
	const struct plugin_property *properties; /* name NULL ends; NULL: takes no braces. Others are refused for it */
	bool more; /* directives of one name in a block are read one after the other into the same settings */
	bool once; /* a second directive of its name in a block is refused */
	/* One directive. *settings is NULL, or what an earlier directive made (`more`). */
	int (*parse)(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e);
	void (*free_settings)(void *settings); /* also half-read ones; main thread */
	/* Main thread, once the configuration is in use, and when nobody uses it any more. May be NULL. */
	int (*start)(struct plugin_instance *i, struct dns_shared *s, struct err *e);
	void (*stop)(struct plugin_instance *i, struct dns_shared *s);
	/* On the worker: when first needed, and at the end. request_state() gives it. May be NULL. */
	void *(*worker_start)(struct plugin_instance *i, struct dns_worker *w);
	void (*worker_stop)(struct plugin_instance *i, struct dns_worker *w, void *state);
	enum plugin_verdict (*ask)(struct request *r, struct plugin_instance *i);    /* NULL: no part in questions */
	enum plugin_verdict (*answer)(struct request *r, struct plugin_instance *i); /* NULL: lets answers pass */
	/* Before anything else, on the direct path as well: PLUGIN_NEXT lets the question pass, PLUGIN_ANSWERED answers with
	 * *ret_rcode (and TC when *ret_truncate), PLUGIN_DROP says nothing. May put options into `reply`. May be NULL. */
	enum plugin_verdict (*guard)(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c, struct dns_query *q,
				     struct dns_edns_reply *reply, struct plugin_refusal *ret);
	/* What is about to leave, complete: PLUGIN_NEXT, PLUGIN_DROP, or PLUGIN_ANSWERED: an empty one with *ret instead. May be
	 * NULL. Response-rate limits. */
	enum plugin_verdict (*leave)(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c, const struct dns_query *q,
				     struct str answer, struct plugin_refusal *ret);
	/* Could it do anything to a question about a name of this zone, or to its answer? NULL: always. False lets such
	 * questions be answered at once, in user space or in the kernel, without passing it. */
	bool (*touches)(const struct plugin_instance *i, const struct dns_name *zone);
	/* For /ready: false as long as it cannot answer yet. Main thread. NULL: always ready. */
	bool (*ready)(const struct plugin_instance *i);
};
/* In the order they act: CoreDNS' plugin.cfg, ours among them. NULL ends. plugin/plugins.c */
extern const struct plugin *const dns_plugins[];
const struct plugin *plugin_find(const char *name); /* NULL: there is none */
