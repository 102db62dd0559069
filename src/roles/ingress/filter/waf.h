/* waf.h - a request filter by rules, for those who expect a WAF of an ingress: detects or refuses what looks like an attack.
 *
 * Values of the request are compared with the rules of waf_rules.c; each rule that matches adds its score once, and five
 * points are refused with 403 (WAF_BLOCK) or only counted and logged (WAF_DETECT). Heads are looked at before an upstream
 * is chosen; a body that can be taken apart is held back until it has been, up to WAF_BODY_BYTES_MAX of it.
 */
#pragma once

#include "roles/ingress/filter/waf_rules.h"

#define WAF_BODY_BYTES_MAX (128u << 10) /* ModSecurity's SecRequestBodyNoFilesLimit; what follows is passed on unread */
#define WAF_ARGS_MAX 1000		/* of a query or form: PHP's max_input_vars */
#define WAF_BUDGET_NS 20000000 /* for regular expressions, of one request: ten times what a long text of prose needs */
#define WAF_PIECE_BYTES 2048   /* of a long value: between pieces the budget is looked at */
#define WAF_OVERLAP_BYTES 512  /* nothing that a rule looks for is longer */
#define WAF_SET_WORDS ((WAF_RULES_MAX + 63) / 64)

/* A set of rules, by their place in waf_rules. */
struct waf_set {
	uint64_t word[WAF_SET_WORDS];
};

/* What is known of one request. */
struct waf_result {
	unsigned paranoia, score;
	struct waf_set matched, excluded;
	size_t n_args;
	bool first_only;  /* set by the caller: the score matters, not which rules made it */
	bool done;	  /* no more values are looked at */
	bool undecided;	  /* an expression reached its limit: as good as a used up budget */
	uint64_t spent_ns;
};

/* ---- without sockets: tests, fuzzers, other programs ---- */
void waf_result_init(struct waf_result *r, unsigned paranoia); /* 1 to 4; 0 is 1 */
void waf_exclude(struct waf_result *r, const unsigned *ids, size_t n); /* these rules do not count; unknown ones are nothing */
enum waf_decode { WAF_AS_IS, WAF_PLUS_IS_BLANK };
/* `header`: the name, for WAF_HEADER. */
void waf_inspect(struct waf_result *r, enum waf_target t, struct str header, struct str value, enum waf_decode how);
void waf_fact_found(struct waf_result *r, enum waf_fact f);
/* "a=1&b=2" of a query or form */
void waf_inspect_args(struct waf_result *r, enum waf_target values, struct str text);
void waf_inspect_cookies(struct waf_result *r, struct str header);

enum waf_body_type { WAF_BODY_UNREAD, WAF_BODY_FORM, WAF_BODY_JSON, WAF_BODY_MULTIPART, WAF_BODY_TEXT };
/* Of a Content-Type; *ret_boundary points into it. WAF_BODY_UNREAD: its bytes mean nothing to us. */
enum waf_body_type waf_body_type(struct str content_type, struct str *ret_boundary);
/* `complete`: this is all of it, so what is cut off is an error. */
void waf_inspect_body(struct waf_result *r, enum waf_body_type type, struct str boundary, struct str body, bool complete);
/* The ids of the rules that matched; returns how many there are. */
size_t waf_matched(const struct waf_result *r, unsigned *ret_ids, size_t max);

/* ---- counts, for metrics; any thread ---- */
struct waf_counts {
	uint64_t refused, detected;    /* requests of five points and more */
	uint64_t rules[WAF_RULES_MAX]; /* matches of waf_rules[i] */
};
const struct waf_counts *waf_counts(void); /* relaxed atomics: __atomic_load_n */
