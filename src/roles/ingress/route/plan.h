/* plan.h - what a host is made of: the paths of all Ingresses that have a rule for it, without duplicates. plan.c collects,
 * build.c makes locations of it. */
#pragma once

#include "roles/ingress/route/model_int.h"

struct plan_path {
	struct ingress *ingress; /* NULL: the global default backend */
	const struct settings *set;
	struct ingress_path p;
	size_t order; /* older first */
	bool fallback;
};
struct plan {
	struct model *m;
	struct hostname *name; /* that is built */
	const char *host;      /* whose rules: another one for an alias */
	uint64_t tag;
	struct plan_path *paths, *canaries;
	size_t n, cap, n_canaries, cap_canaries, next_order;
	bool regex, tls, primaries;
	bool quiet; /* an alias: what is wrong was said of the host itself */
	struct ingress *first; /* the oldest primary */
	const struct settings *ciphers, *prefers; /* of the oldest with a rule and ssl-ciphers, ssl-prefer-server-ciphers; NULL: none */
};

#define plan_problem(p, i, ...)                                                        \
	do {                                                                           \
		if (!(p)->quiet)                                                       \
			problem_report((p)->m, (i), (p)->tag, __VA_ARGS__);            \
	} while (0)

/* An annotation's rewriting changes something: a target equal to its path does not. */
bool plan_rewrites(const struct settings *set, const char *path);
/* The rules, default backends and canaries of a name's Ingresses, oldest first. */
void plan_claims(struct plan *p, struct hostname *h);
/* Of the same place only the oldest stays; a fallback gives way to everything, and without a word. */
void plan_settle(struct plan *p);
/* Do two paths stand for the same place? 0: yes; else an order. */
int plan_cmp_place(const struct plan_path *a, const struct plan_path *b, bool regex);
void plan_done(struct plan *p);
