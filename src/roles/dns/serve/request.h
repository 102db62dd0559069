/* request.h - a question on its way through a block's plug-ins.
 *
 * Belongs to one worker. Questions that the direct path answers (serve/server.h) never become one.
 */
#pragma once

#include "codec/dns.h"
#include "codec/jx.h"
#include "net/addr.h"
#include "roles/dns/config/config.h"
#include "roles/dns/worker.h"

enum dns_proto { DNS_UDP, DNS_TCP, DNS_DOT };

struct dns_client {
	struct addr addr;
	enum dns_proto proto;
};

/* Who made the answer: for logs, metrics and explanations. */
enum request_source { FROM_NOBODY, FROM_ZONE, FROM_CACHE, FROM_CACHE_STALE, FROM_UPSTREAM, FROM_HOSTS, FROM_TEMPLATE, FROM_PLUGIN };

typedef void request_done_fn(void *ctx, struct request *r); /* r->answer is the answer; its len 0: there is none */

#define REQUEST_DEPTH_MAX 8	/* questions that questions ask: ExternalName, DNS64, autopath */
#define REQUEST_CHILDREN_MAX 16 /* in all, for one question of a client */

#define REQUEST_FAILURE_BYTES 160

struct request {
	struct list link_;
	struct dns_worker *worker;
	struct dns_config *config; /* kept until the end */
	const struct dns_block *block;
	struct dns_client client;
	struct dns_query query; /* what is asked now: rewrite changes it. `question` lies in text_, lower case */
	struct dns_query asked; /* what the client asked; for a child, what its parent asked */
	struct request *parent; /* NULL: a client's */
	size_t at;		/* the plug-in that has it */
	size_t first_;		/* where it came in */
	bool back_;		/* the answer is on its way back */
	bool stepping_, resumed_; /* a plug-in is being called; it resumed before it returned */
	enum plugin_verdict verdict_;
	unsigned depth, children;
	uint64_t start_us;
	struct {
		uint8_t *bytes;	   /* a whole message: header, r->query's question, records; ids and OPT do not matter */
		size_t len, cap_;
	} answer;
	enum request_source source;
	const struct plugin_instance *by; /* who answered; NULL: nobody yet */
	struct addr upstream;	/* FROM_UPSTREAM: who answered; len 0 otherwise */
	json_t *trace;		/* not NULL: request_note appends to it (`portico dns query`) */
	bool no_cache;		/* a prefetch: neither looks into the cache nor counts */
	/* What a plug-in must remember for this request, at its place; NULL at first; freed by on_end_ at the latest. */
	void *scratch[DNS_BLOCK_PLUGINS_MAX];
	void (*on_end_[DNS_BLOCK_PLUGINS_MAX])(void *scratch);
	request_done_fn *done;
	void *done_ctx;
	char failure[REQUEST_FAILURE_BYTES]; /* request_fail; "": none */
	char text_[DNS_NAME_BYTES_MAX + 4], asked_text_[DNS_NAME_BYTES_MAX + 4];
};

/* ---- for plug-ins ---- */

void *request_state(struct request *r, struct plugin_instance *i); /* of this worker; made when first asked for */
/* Copies. */
void request_set_answer(struct request *r, const void *message, size_t len, enum request_source from);
/* An answer without records. */
void request_set_rcode(struct request *r, enum dns_rcode rcode, enum request_source from);
/* Room of DNS_MESSAGE_BYTES_MAX for making an answer; the worker's own, valid until the next call of anything here. */
uint8_t *request_space(struct request *r);
/* After PLUGIN_LATER: goes on. From any call-back of the worker's loop; r may be gone afterwards. */
void request_resume(struct request *r, enum plugin_verdict v);
/* Asks another question, from the top of the block that its name belongs to, or (`below`) behind the plug-in that has r now.
 * `done` runs once, on this worker, possibly before this returns; the child is freed after it. False: too many, too deep. */
bool request_ask(struct request *r, const struct dns_name *name, uint16_t type, bool below, request_done_fn *done, void *ctx) must_check;
/* Asks r's own question once more behind the plug-in that has it (no_cache is set), on nobody's behalf: it may outlive r.
 * `done` as above. For caches that refresh what they keep. */
void request_ask_again(struct request *r, request_done_fn *done, void *ctx);
/* What is asked from now on, by the plug-ins behind: the name is copied. */
void request_change(struct request *r, const struct dns_name *name, uint16_t type);
void request_on_end(struct request *r, size_t at, void (*fn)(void *scratch)); /* for scratch[at] */
/* One step of `portico dns query`; nothing unless somebody explains. */
void request_note(struct request *r, const char *fmt, ...) printf_like(2, 3);
bool request_explains(const struct request *r); /* for notes that cost */
/* Why the answer will be SERVFAIL or REFUSED, for the errors plug-in's log: "10.0.0.1:53: no answer within 2 s". Also a note.
 * The last one counts. */
void request_fail(struct request *r, const char *fmt, ...) printf_like(2, 3);

/* ---- for who brings questions ---- */

/* Takes the question through the block's chain. `q` is copied. `done` runs once, possibly before this returns. The answer
 * in r->answer is without id, OPT or limits: answer_render (serve/answer.h) makes it the client's. */
void request_start(struct dns_worker *w, const struct dns_block *b, const struct dns_client *c, const struct dns_query *q,
		   json_t *trace, request_done_fn *done, void *ctx);
