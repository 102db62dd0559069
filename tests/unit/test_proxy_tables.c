/* The changes that the tables ask for, applied to model maps, against what the Services want. */
#include "roles/proxy/tables.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define SERVICES 12
#define STEPS 4000

/* What a kernel would hold. */
struct maps {
	struct svc_backend *backends;
	struct map frontends; /* svc_key bytes → svc_value */
	struct map sources;   /* svc_source bytes */
};

static void maps_init(struct maps *m)
{
	m->backends = xcalloc(DP_BACKENDS_MAX, sizeof(*m->backends));
	map_init(&m->frontends);
	map_init(&m->sources);
}

static void maps_done(struct maps *m)
{
	free(m->backends);
	map_done(&m->frontends, free);
	map_done(&m->sources, NULL);
}

static struct str bytes(const void *p, size_t n)
{
	return (struct str){ p, n };
}

/* A frontend that is served must not see its slots change under it. */
static void maps_apply(struct maps *m, const struct tables_changes *c)
{
	for (size_t i = 0; i < c->n_backends; i++) {
		for (struct map_iter it = { 0 }; map_next(&m->frontends, &it);) {
			const struct svc_value *v = it.value;
			assert_false(v->count && c->backends[i].at >= v->first && c->backends[i].at < v->first + v->count);
		}
		m->backends[c->backends[i].at] = c->backends[i].value;
	}
	for (size_t i = 0; i < c->n_source_puts; i++)
		map_put(&m->sources, bytes(&c->source_puts[i], sizeof(struct svc_source)), m);
	for (size_t i = 0; i < c->n_puts; i++) {
		struct svc_value *v = xmalloc(sizeof(*v));

		*v = c->puts[i].value;
		free(map_put(&m->frontends, bytes(&c->puts[i].key, sizeof(struct svc_key)), v));
	}
	for (size_t i = 0; i < c->n_dels; i++)
		free(map_del(&m->frontends, bytes(&c->dels[i], sizeof(struct svc_key))));
	for (size_t i = 0; i < c->n_source_dels; i++)
		map_del(&m->sources, bytes(&c->source_dels[i], sizeof(struct svc_source)));
}

static size_t flush(struct tables *t, struct maps *m, uint64_t now_ms)
{
	struct tables_changes c;

	tables_flush(t, now_ms, &c);
	assert_int_equal(t->refused, 0);
	maps_apply(m, &c);
	size_t n = c.n_backends + c.n_puts + c.n_dels + c.n_source_puts + c.n_source_dels;
	tables_changes_done(&c);
	return n;
}

struct wish { /* one Service of the random test; n_backends < 0: it does not exist */
	int n_backends, first_backend, node_port, n_sources;
	bool udp;
};

static json_t *service_json(int i, const struct wish *w)
{
	json_t *sources = json_array();

	for (int k = 0; k < w->n_sources; k++)
		json_array_append_new(sources, json_sprintf("10.%d.0.0/16", k));
	return json_pack("{s:s, s:{s:s,s:o}, s:{s:s,s:o,s:o,s:[{s:s,s:i,s:s,s:i}]}, s:{s:{s:[{s:o}]}}}", "kind", "Service",
			 "metadata", "namespace", "d", "name", json_sprintf("s%d", i), "spec", "type", "LoadBalancer",
			 "clusterIP", json_sprintf("10.96.0.%d", i + 1), "loadBalancerSourceRanges", sources, "ports",
			 "name", "web", "port", 80, "protocol", w->udp ? "UDP" : "TCP", "nodePort", w->node_port,
			 "status", "loadBalancer", "ingress", "ip", json_sprintf("198.18.0.%d", i + 1));
}

static json_t *slice_json(int i, const struct wish *w)
{
	json_t *eps = json_array();

	for (int k = 0; k < w->n_backends; k++)
		json_array_append_new(eps, json_pack("{s:[o]}", "addresses", json_sprintf("10.244.0.%d", w->first_backend + k)));
	return json_pack("{s:{s:s,s:o,s:{s:o}}, s:s, s:[{s:s,s:i,s:s}], s:o}", "metadata", "namespace", "d", "name",
			 json_sprintf("s%d-x", i), "labels", "kubernetes.io/service-name", json_sprintf("s%d", i),
			 "addressType", "IPv4", "ports", "name", "web", "port", 8080, "protocol", w->udp ? "UDP" : "TCP",
			 "endpoints", eps);
}

static void wish_apply(struct tables *t, int i, const struct wish *w, bool slice_too)
{
	json_t *svc = service_json(i, w), *slice = slice_json(i, w);

	(w->n_backends >= 0 ? tables_service_put : tables_service_del)(t, svc);
	if (slice_too)
		(w->n_backends >= 0 ? tables_slice_put : tables_slice_del)(t, slice);
	json_decref(svc);
	json_decref(slice);
}

static void frontend_check(const struct maps *m, const char *ip, int port, const struct wish *w, uint8_t flags)
{
	struct svc_key k = { .addr = inet_addr(ip), .port = htons(port), .proto = w->udp ? IPPROTO_UDP : IPPROTO_TCP };
	const struct svc_value *v = map_get(&m->frontends, bytes(&k, sizeof(k)));

	assert_non_null(v);
	assert_int_equal(v->count, w->n_backends);
	assert_int_equal(v->flags, flags);
	for (int i = 0; i < v->count; i++) {
		char backend[32];
		bool found = false;

		snprintf(backend, sizeof(backend), "10.244.0.%d", w->first_backend + i);
		for (int s = 0; s < v->count; s++)
			found |= m->backends[v->first + s].addr == inet_addr(backend);
		assert_true(found);
	}
	for (int i = 0; (flags & SVC_SOURCES) && i < w->n_sources; i++) {
		struct svc_source src = { .prefixlen = 48, .id = v->id, .addr = htonl(10u << 24 | (unsigned)i << 16) };
		assert_non_null(map_get(&m->sources, bytes(&src, sizeof(src))));
	}
}

static void maps_check(const struct maps *m, const struct wish *wishes)
{
	size_t n = 0, n_sources = 0;

	for (int i = 0; i < SERVICES; i++) {
		const struct wish *w = &wishes[i];
		char ip[32];

		if (w->n_backends < 0)
			continue;
		snprintf(ip, sizeof(ip), "10.96.0.%d", i + 1);
		frontend_check(m, ip, 80, w, 0);
		frontend_check(m, "0.0.0.0", w->node_port, w, SVC_EXTERNAL);
		snprintf(ip, sizeof(ip), "198.18.0.%d", i + 1);
		frontend_check(m, ip, 80, w, SVC_EXTERNAL | (w->n_sources ? SVC_SOURCES : 0));
		n += 4; /* and the address itself */
		n_sources += w->n_sources;
	}
	assert_int_equal(m->frontends.count, n);
	assert_int_equal(m->sources.count, n_sources);
}

static void wish_draw(struct wish *w, int i)
{
	*w = (struct wish){ .n_backends = rand() % 8 - 2, .first_backend = 1 + rand() % 20,
			    .node_port = 30000 + i * 2 + rand() % 2, .n_sources = rand() % 3, .udp = rand() % 2 };
	w->n_backends = MAX(w->n_backends, -1);
}

/* Takes over what the maps hold, as after a restart; every Service is told anew before the first flush. */
static void restart(struct tables *t, const struct maps *m, const struct wish *wishes)
{
	struct tables_frontend *fe = xcalloc(m->frontends.count + 1, sizeof(*fe));
	struct svc_source *src = xcalloc(m->sources.count + 1, sizeof(*src));
	size_t n = 0, n_src = 0;

	for (struct map_iter it = { 0 }; map_next(&m->frontends, &it); n++) {
		memcpy(&fe[n].key, it.key.ptr, sizeof(fe[n].key));
		fe[n].value = *(struct svc_value *)it.value;
	}
	for (struct map_iter it = { 0 }; map_next(&m->sources, &it); n_src++)
		memcpy(&src[n_src], it.key.ptr, sizeof(*src));
	tables_done(t);
	tables_init(t, "n1");
	tables_adopt(t, fe, n, src, n_src);
	free(fe);
	free(src);
	for (int i = 0; i < SERVICES; i++)
		if (wishes[i].n_backends >= 0)
			wish_apply(t, i, &wishes[i], true);
	tables_adoption_end(t);
}

static void random_changes(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct wish wishes[SERVICES];
	struct tables t;
	struct maps m;
	uint64_t now = 5000;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	maps_init(&m);
	tables_init(&t, "n1");
	for (int i = 0; i < SERVICES; i++)
		wishes[i].n_backends = -1;
	for (int step = 0; step < STEPS; step++, now += rand() % 400) {
		int i = rand() % SERVICES;

		wish_draw(&wishes[i], i);
		wish_apply(&t, i, &wishes[i], true);
		if (rand() % 4 == 0)
			continue; /* several changes in one flush */
		if (rand() % 20 == 0) {
			/* Some of it changes while nobody is there. */
			wish_draw(&wishes[(i + 1) % SERVICES], (i + 1) % SERVICES);
			restart(&t, &m, wishes);
		}
		flush(&t, &m, now);
		maps_check(&m, wishes);
		assert_int_equal(flush(&t, &m, now), 0);
	}
	tables_done(&t);
	maps_done(&m);
}

static uint32_t id_of(const struct maps *m, int i)
{
	char ip[32];
	snprintf(ip, sizeof(ip), "10.96.0.%d", i + 1);
	struct svc_key k = { .addr = inet_addr(ip), .port = htons(80), .proto = IPPROTO_TCP };
	const struct svc_value *v = map_get(&m->frontends, bytes(&k, sizeof(k)));

	assert_non_null(v);
	return v->id;
}

/* Affinity is kept by id: it must survive a restart. */
static void ids_survive(void **state)
{
	struct wish wishes[SERVICES] = { 0 };
	uint32_t before[SERVICES];
	struct tables t;
	struct maps m;

	(void)state;
	maps_init(&m);
	tables_init(&t, "n1");
	for (int i = 0; i < SERVICES; i++) {
		wishes[i] = (struct wish){ .n_backends = 2, .first_backend = 1, .node_port = 30000 + i };
		wish_apply(&t, i, &wishes[i], true);
	}
	flush(&t, &m, 5000);
	for (int i = 0; i < SERVICES; i++)
		before[i] = id_of(&m, i);
	restart(&t, &m, wishes);
	flush(&t, &m, 6000);
	for (int i = 0; i < SERVICES; i++)
		assert_int_equal(id_of(&m, i), before[i]);
	tables_done(&t);
	maps_done(&m);
}

/* One node port for two Services cannot come from the API, but may pass by between two watches. */
static void contested(void **state)
{
	struct wish w = { .n_backends = 1, .first_backend = 1, .node_port = 30000 }, gone = { .n_backends = -1 }, w2 = w;
	struct tables t;
	struct maps m;

	(void)state;
	maps_init(&m);
	tables_init(&t, "n1");
	wish_apply(&t, 0, &w, true);
	flush(&t, &m, 5000);
	w2.first_backend = 9;
	wish_apply(&t, 1, &w2, true);
	flush(&t, &m, 5001);
	frontend_check(&m, "0.0.0.0", 30000, &w, SVC_EXTERNAL);
	wish_apply(&t, 0, &gone, true);
	flush(&t, &m, 5002);
	frontend_check(&m, "0.0.0.0", 30000, &w2, SVC_EXTERNAL);
	/* both in one flush: the newcomer takes over at once */
	wish_apply(&t, 1, &gone, true);
	wish_apply(&t, 2, &w, true);
	flush(&t, &m, 5003);
	frontend_check(&m, "0.0.0.0", 30000, &w, SVC_EXTERNAL);
	tables_done(&t);
	maps_done(&m);
}

static void gone_backends(void **state)
{
	struct wish w = { .n_backends = 3, .first_backend = 1, .node_port = 30000, .udp = true };
	struct tables_changes c;
	struct tables t;

	(void)state;
	tables_init(&t, "n1");
	wish_apply(&t, 0, &w, true);
	tables_flush(&t, 5000, &c);
	tables_changes_done(&c);
	w.n_backends = 2;
	wish_apply(&t, 0, &w, true);
	tables_flush(&t, 5000, &c);
	assert_int_equal(c.n_gone, 1);
	assert_int_equal(c.gone[0].addr, inet_addr("10.244.0.3"));
	tables_changes_done(&c);
	tables_done(&t);
}

static void ranges_hand_out(void **state)
{
	struct ranges r;
	uint32_t a, b, c;

	(void)state;
	ranges_init(&r, 8);
	assert_int_equal(ranges_take(&r, 3, 0, &a), 0);
	assert_int_equal(ranges_take(&r, 4, 0, &b), 0);
	assert_true(a != b);
	assert_int_equal(ranges_take(&r, 1, 0, &c), -1);
	assert_int_equal(ranges_take(&r, 0, 0, &c), -1);
	ranges_give(&r, a, 3, 10);
	assert_int_equal(ranges_take(&r, 4, 10 + RANGES_QUARANTINE_MS - 1, &c), -1);
	assert_int_equal(ranges_take(&r, 1, 10 + RANGES_QUARANTINE_MS, &c), 0); /* a split of it */
	assert_int_equal(c, a);
	assert_int_equal(ranges_take(&r, 2, 10 + RANGES_QUARANTINE_MS, &c), 0);
	assert_int_equal(c, a + 2);
	ranges_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes), cmocka_unit_test(ids_survive),   cmocka_unit_test(contested),
		cmocka_unit_test(gone_backends),  cmocka_unit_test(ranges_hand_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
