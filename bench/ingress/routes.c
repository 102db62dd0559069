/* The routing state alone, with 1 to 100,000 hosts or paths: a table of what a look-up costs. Linked with libportico.
 *
 *	routes time				nanoseconds for each look-up
 *	routes hosts|exact|prefix|implementation N	LOOKUPS look-ups in `look_up`, to be counted by callgrind --toggle-collect
 */
#include "loop/quiesce.h"
#include "roles/ingress/route/match.h"

#include <stdio.h>
#include <time.h>

#define LOOKUPS 20000
#define TEXT_BYTES 64

static const size_t sizes[] = { 1, 10, 100, 1000, 10000, 100000 };
static const char *const kinds[] = { "hosts", "exact", "prefix", "implementation" };

static void host_done(struct host *h)
{
	host_index_free(h);
	for (size_t i = 0; i < h->n_all; i++) {
		free(h->all[i]->path);
		free(h->all[i]);
	}
	free(h->all);
	free(h->name);
	free(h);
}

static struct host *host_with(const char *name, size_t n, enum path_type type, const char *form)
{
	struct host *h = xcalloc(1, sizeof(*h));

	h->refs_ = 1;
	h->name = xstrdup(name);
	h->free_ = host_done;
	h->n_all = n;
	h->all = xcalloc(n, sizeof(struct location *));
	for (size_t i = 0; i < n; i++) {
		struct location *l = h->all[i] = xcalloc(1, sizeof(*l));
		l->host = h;
		l->type = type;
		l->path = xasprintf(form, i);
	}
	host_index(h);
	return h;
}

static enum path_type type_of(const char *kind)
{
	return c_eq(kind, "exact") ? PATH_EXACT : c_eq(kind, "prefix") ? PATH_PREFIX : PATH_IMPLEMENTATION;
}

static struct routes *make(const char *kind, size_t n)
{
	struct routes *r = routes_new(NULL);
	char name[TEXT_BYTES];

	if (!c_eq(kind, "hosts")) {
		routes_put_host(r, host_with("a.example", n, type_of(kind), "/service-%06zu/api"));
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "h%06zu.bench.example", i);
		routes_put_host(r, host_with(name, 1, PATH_PREFIX, "/"));
	}
	return r;
}

struct question {
	char host[TEXT_BYTES], path[TEXT_BYTES];
};

/* Every one of them has an answer, in an order that caches cannot guess. */
static struct question *questions(const char *kind, size_t n)
{
	struct question *q = xcalloc(LOOKUPS, sizeof(*q));

	for (size_t i = 0; i < LOOKUPS; i++) {
		size_t at = i * 7919 % n;
		if (c_eq(kind, "hosts")) {
			snprintf(q[i].host, TEXT_BYTES, "h%06zu.bench.example", at);
			snprintf(q[i].path, TEXT_BYTES, "/service-000000/api");
		} else {
			snprintf(q[i].host, TEXT_BYTES, "a.example");
			snprintf(q[i].path, TEXT_BYTES, c_eq(kind, "exact") ? "/service-%06zu/api" : "/service-%06zu/api/x", at);
		}
		/* Of one length, whatever their kind. */
		if (c_eq(kind, "implementation"))
			q[i].path[strlen(q[i].path) - 2] = '\0';
	}
	return q;
}

__attribute__((noinline)) void look_up(const struct routes *r, const struct question *q);
void look_up(const struct routes *r, const struct question *q)
{
	for (size_t i = 0; i < LOOKUPS; i++) {
		const struct location *l = routes_match(r, str_of(q[i].host), str_of(q[i].path));
		if (!l)
			abort();
		host_unref(l->host);
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void time_one(const char *kind, size_t n)
{
	struct routes *r = make(kind, n);
	struct question *q = questions(kind, n);
	double best = 1e18;

	for (int round = 0; round < 5; round++) {
		double before = now_ns();
		look_up(r, q);
		best = MIN(best, now_ns() - before);
	}
	printf(" %.0f |", best / LOOKUPS);
	routes_free(r);
	free(q);
}

int main(int argc, char **argv)
{
	if (argc == 2 && c_eq(argv[1], "time")) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			printf("| %s |", kinds[k]);
			for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
				time_one(kinds[k], sizes[i]);
			printf("\n");
		}
		return 0;
	}
	if (argc != 3)
		return 2;
	size_t n = strtoul(argv[2], NULL, 10);
	struct routes *r = make(argv[1], n);
	struct question *q = questions(argv[1], n);
	look_up(r, q);
	routes_free(r);
	free(q);
	return 0;
}
