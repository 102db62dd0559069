/* forwarder.h - one `forward` directive at work: its upstreams, and the questions that are under way to them.
 *
 * A question goes to one upstream; if that takes longer than it usually does, to another as well, and the first good answer is
 * taken. Equal questions of one worker are asked once; between workers the cache in front sees to that (answer_cache_claim),
 * without one each asks for itself.
 */
#pragma once

#include "loop/quiesce.h"
#include "roles/dns/resolve/health.h"

#define FORWARD_TOTAL_MS 5000	     /* CoreDNS'; a client's own patience */
#define FORWARD_READ_TIMEOUT_MS 2000 /* the longest that one upstream alone is waited for */
#define FORWARD_EXPIRE_MS 10000	     /* CoreDNS' */
#define FORWARD_TRIES_MAX 8	     /* of one question, in all: with the first patience doubled each time, past the total */
#define FORWARD_TRIES_MIN 4	     /* by default, also with one upstream: packets get lost */
#define FORWARD_QUESTIONS_MAX 1024   /* different ones under way in a worker: about 2 KiB each */
#define FORWARD_ASKERS_MAX 4096	     /* of a worker, all together */
#define FORWARD_CROWD_MS 600	     /* when three quarters of these are taken, older ones are given up: what is answered at all, is by then */
#define FORWARD_FILE_MS 5000	     /* how often files of upstreams are looked at */

enum forward_policy { FORWARD_RANDOM, FORWARD_ROUND_ROBIN, FORWARD_SEQUENTIAL };

struct forwarder_options {
	struct dns_name from;
	enum forward_policy policy;
	unsigned max_tries;	  /* 0: by the number of upstreams */
	uint64_t max_concurrent;  /* of all workers; 0: no limit but ours */
	uint64_t read_timeout_ms;
	bool failfast;		  /* all down: SERVFAIL, instead of trying one of them */
	uint32_t failover;	  /* a bit for each rcode after which another upstream is asked */
	struct line_options line;
	struct health_options health;
};
struct forwarder_file;
struct forwarder {
	struct forwarder_options o;
	struct upstream_set *set; /* atomic pointer: the main thread replaces it when a file changes */
	struct upstream_options upstream; /* owned texts */
	char **words;		  /* addresses and files, as written; NULL-terminated; owned */
	struct forwarder_file *files;
	size_t n_files;
	uint64_t concurrent;	  /* atomic */
	bool probing;		  /* atomic: questions that look for loops are out; later nobody may end an upstream with one */
	struct metric *m_rejects, *m_broken; /* NULL without metrics */
};

/* ---- main thread ---- */

struct forwarder *forwarder_new(void); /* with defaults; `o` and `upstream` are set before the upstreams are read */
void forwarder_free(struct forwarder *f);
/* Takes the words and reads the files among them; a file may come later. */
int forwarder_set_upstreams(struct forwarder *f, const char *const *words, size_t n, struct err *e) must_check;
/* Looks whether files have changed, and makes what is in them now the set. True: they have. */
bool forwarder_reread(struct forwarder *f, struct quiesce *q, struct dns_metrics *m);
void forwarder_metrics(struct forwarder *f, struct dns_metrics *m);
/* Within a call-back, any worker: this question is what an upstream was sent to find loops: it is not asked again. Returns its
 * text when this is the first time it is seen; NULL: nothing new. The text lives as long as the call-back. */
const char *forwarder_probe_seen(struct forwarder *f, const struct dns_name *name, bool *ret_is_probe);

/* ---- a worker's part (exchange.c) ---- */

struct forwarder_worker;
struct forwarder_worker *forwarder_worker_new(struct forwarder *f, struct loop *l, unsigned worker);
void forwarder_worker_free(struct forwarder_worker *w); /* questions under way end without call-backs; NULL is nothing */

struct forward_answer {
	struct str message; /* as upstream_reply_clean makes it; empty: nobody answered */
	const struct addr *upstream; /* who; NULL: nobody */
	unsigned rcode;
	unsigned tries;
	const char *why; /* nobody answered: the newest failure, "10.0.0.1:53: closed the connection"; "": silence */
	bool unhealthy; /* nobody was asked: all are down, or there are none */
};
struct exchange;
struct forward_wait {
	/* Once, possibly before forwarder_ask returns; what it is given lives as long as the call. */
	void (*done)(struct forward_wait *w, const struct forward_answer *a);
	struct list link_;
	struct exchange *x_; /* NULL: not waiting */
};
/* False: too many questions are under way (max_concurrent): nothing happens. `q` is copied. */
bool forwarder_ask(struct forwarder_worker *fw, const struct dns_query *q, struct forward_wait *w) must_check;
void forwarder_forget(struct forward_wait *w); /* does not wait any more */
/* Sends every upstream a question that nobody else would ask; it is seen by forwarder_probe_seen if it comes
 * back. `zone` NULL: answers are not waited for any more. */
void forwarder_probe(struct forwarder_worker *fw, const struct dns_name *zone);
