/* filter.h - what a location does to requests and answers besides passing them on.
 *
 * A filter is a row: which locations need it, and what it does at each point. The list in filters.c is the order in which
 * request filters run; answer filters run in the reverse order. A location carries only those it needs, so the others cost
 * nothing.
 */
#pragma once

#include "roles/ingress/http/exchange.h"

enum filter_verdict {
	FILTER_NEXT,
	FILTER_ANSWERED, /* it has called exchange_answer*() or exchange_redirect() */
	FILTER_WAIT,	 /* it will call exchange_resume() or exchange_answer*() later */
};

struct filter {
	const char *name;
	bool pure; /* request() has no effect beyond x: `portico explain` runs it on a dry exchange */
	/* Main thread, when a location is built: is it needed there? */
	bool (*wanted)(const struct location *loc, const struct globals *g);
	/* Before an upstream is chosen. May be NULL. */
	enum filter_verdict (*request)(struct exchange *x, void **state);
	/* The request's body on its way; may change *data (to bytes of the arena or of its own), or answer. May be NULL. */
	enum filter_verdict (*request_body)(struct exchange *x, void **state, struct str *data, bool end);
	/* The upstream's request is made (x->up_headers, x->up_target): the last chance to change it. May be NULL. */
	void (*upstream)(struct exchange *x, void **state);
	/* The answer's head (x->ans), from the upstream or made here (then x->up is NULL). FILTER_ANSWERED: it has replaced
	 * the answer. May be NULL. */
	enum filter_verdict (*answer)(struct exchange *x, void **state);
	/* The answer's body; gives out what goes on instead, valid until the next call. NULL: untouched. A location whose
	 * answer's body nobody touches for this exchange (x->ans) may be spliced. */
	bool (*body_wanted)(struct exchange *x, void **state); /* asked after `answer`; NULL means never */
	int (*body)(struct exchange *x, void **state, struct str data, bool end, struct str *ret_out) must_check;
	/* Always, when the exchange is over. May be NULL. */
	void (*done)(struct exchange *x, void **state);
};
struct filter_use {
	const struct filter *filter; /* NULL ends the list */
};

/* In the order of their requests. */
extern const struct filter *const all_filters[]; /* ends with NULL */
/* Those that `loc` needs, on the heap; a shared empty list when there are none. */
struct filter_use *filters_for(const struct location *loc, const struct globals *g);
