/* config.h - the role's settings: server blocks, each a chain of plug-ins in CoreDNS' order.
 *
 * A Corefile is the one format (docs/dns.md): CoreDNS' is read as it is; what CoreDNS does not have (rate limits, cookies)
 * are plug-ins of the same shape. A struct dns_config never changes after it was made; workers use the newest, and requests
 * under way keep the one they began with.
 */
#pragma once

#include "codec/dns.h"
#include "net/addr.h"
#include "roles/dns/config/directive.h"
#include "roles/dns/plugin/plugin.h"

struct zone;

#define DNS_PORT 53
#define DNS_TLS_PORT 853
#define DNS_BLOCKS_MAX 256	   /* server blocks of one Corefile: stub domains are written one by one */
#define DNS_ZONES_MAX 4096	   /* of all blocks: networks become up to 128 each */
#define DNS_BLOCK_PLUGINS_MAX 32   /* plug-ins of one block: there are fewer kinds */

enum dns_transport { DNS_PLAIN, DNS_TLS };

/* A plug-in in a block: one, however many directives of its name there are when it takes `more`; otherwise one each. */
struct plugin_instance {
	const struct plugin *plugin;
	struct corefile_line at;     /* its first directive */
	void *settings;		     /* what parse() made */
	void *started;		     /* what start() made on the main thread; NULL without one */
	void **worker_states;	     /* what worker_start() made, by worker number; NULL: not needed yet */
	const struct dns_block *block;
};

struct dns_block {
	struct dns_config *config;
	struct corefile_line at;     /* the names in the text */
	struct dns_name *zones;	     /* at least one; the root is "." */
	size_t n_zones;
	enum dns_transport transport;
	uint16_t port;
	const char *server;	     /* "dns://:53", as CoreDNS' metrics name it */
	struct plugin_instance *plugins; /* in the order they act */
	size_t n_plugins;
	const char *const *bind;     /* addresses; NULL: all. NULL-terminated */
	struct tls *tls;	     /* of its `tls` directive: DNS_TLS only */
	const void *chaos;	     /* of its `chaos` directive: answers class CH (plugin/chaos.h); NULL: REFUSED */
	/* The kubernetes plug-in's zone when nothing before it could want to see questions about the zone: such questions
	 * are answered in the call that read them. NULL: every question goes through the chain. Atomic: dns_block_direct. */
	struct zone *direct;
	struct plugin_instance **guards, **leaves; /* those of `plugins` with such a function; made when published */
	size_t n_guards, n_leaves;
	bool metrics;		     /* a prometheus directive is there, or the block is built in */
	unsigned metrics_id;	     /* its first zone's place in the metrics (dns_metrics_config); 0: none yet */
};

struct dns_config {
	struct dns_block *blocks;
	size_t n_blocks;
	struct corefile *text;	     /* owns words and lines */
	struct block_index *index_;
	unsigned refs_;		     /* atomic */
	struct dns_shared *shared_;
};

/* Reads and checks; starts nothing. Every error names file, line, plug-in and the way out. `name` is the file's for errors
 * and for what it imports (relative to it). `scope` is what plug-ins need while parsing. */
struct dns_config *dns_config_parse(struct str text, const char *name, const struct plugin_scope *scope, struct err *e) must_check;
/* All that is wrong, not only the first: `tell` gets each. NULL when there was something. */
typedef void dns_config_tell_fn(void *ctx, const char *text);
struct dns_config *dns_config_check(struct str text, const char *name, const struct plugin_scope *scope, dns_config_tell_fn *tell,
				    void *ctx) must_check;
/* What has no effect here. */
void dns_config_warnings(const struct dns_config *c, dns_config_tell_fn *tell, void *ctx);
/* kubeadm's Corefile for this domain, with the machine's own resolvers: what is used when none is given. */
char *dns_config_builtin(const char *cluster_domain);
#define DNS_CONFIG_BUILTIN "built-in" /* its name */
/* Frees one that was never published. NULL is nothing. */
void dns_config_free(struct dns_config *c);
/* The block for a name that came to a port: the longest zone. NULL: none, the answer is REFUSED. Any thread. */
const struct dns_block *dns_config_block(const struct dns_config *c, enum dns_transport t, uint16_t port, const struct dns_name *name);
/* Do questions about the cluster need no chain? The first plug-in that wants to see them; NULL: none, or the block has no
 * kubernetes. */
bool dns_block_is_direct(const struct dns_block *b, const struct plugin_instance **ret_obstacle);
/* Sets block->direct, when its plug-ins have been started. Main thread. True: it is another one now. */
bool dns_block_find_direct(struct dns_block *b);
static inline struct zone *dns_block_direct(const struct dns_block *b)
{
	return __atomic_load_n(&b->direct, __ATOMIC_ACQUIRE);
}
/* The settings of this block's plug-in, NULL: it has none. */
void *dns_block_settings(const struct dns_block *b, const struct plugin *p);
/* All files it came from, for whoever watches them: NULL-terminated, borrowed. */
const char *const *dns_config_files(const struct dns_config *c);
uint64_t dns_config_digest(const struct dns_config *c); /* the same for the same words, however they are laid out */
