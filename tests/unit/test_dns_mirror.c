/* What the zone tells the kernel's map is what it answers itself, after every change. */
#include "base/map.h"
#include "roles/dns/zone/zone.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define SETS_MAX 3

struct kept {
	enum zone_name_kind kind;
	size_t n_sets;
	struct zone_sections sets[SETS_MAX];
	uint8_t bytes[SETS_MAX][DNS_UDP_BYTES_MAX];
};
static struct map names; /* key → struct kept */
static unsigned told, changes;

static void on_put(void *ctx, const struct zone_name *n)
{
	struct kept *k = xcalloc(1, sizeof(*k));

	(void)ctx;
	assert_true(n->n_sets <= SETS_MAX);
	k->kind = n->kind;
	k->n_sets = n->n_sets;
	for (size_t i = 0; i < n->n_sets; i++) {
		k->sets[i] = n->sets[i];
		memcpy(k->bytes[i], n->sets[i].bytes, n->sets[i].len);
	}
	free(map_put(&names, (struct str){ (const char *)n->key, n->key_len }, k));
	told++;
}

static void on_gone(void *ctx, const uint8_t *key, uint8_t key_len)
{
	struct kept *k = map_del(&names, (struct str){ (const char *)key, key_len });

	(void)ctx;
	assert_non_null(k); /* only what was put goes */
	free(k);
}

static void on_changed(void *ctx, const struct zone_denial *d)
{
	(void)ctx;
	assert_int_equal(d->ttl, 30);
	changes++;
}

static void put(struct zone *z, void (*fn)(struct zone *z, const json_t *obj), const char *quoted)
{
	char *text = xstrdup(quoted);
	struct err e;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *obj = jx_parse(str_of(text), 1 << 20, &e);
	if (!obj)
		fail_msg("%s in %s", e.message, quoted);
	fn(z, obj);
	json_decref(obj);
	free(text);
}

/* ---- is it the same? ---- */

static size_t question_of(struct str key, uint16_t type, uint8_t out[DNS_NAME_BYTES_MAX + 4], struct dns_query *q)
{
	*q = (struct dns_query){ .type = type, .class = DNS_CLASS_IN, .udp_bytes = DNS_UDP_BYTES_MAX };
	memset(out, 0, DNS_NAME_BYTES_MAX + 4);
	memcpy(out, key.ptr, key.len);
	out[key.len + 1] = (uint8_t)type;
	out[key.len + 3] = DNS_CLASS_IN;
	memcpy(q->name.wire, key.ptr, key.len);
	q->name.len = (uint8_t)key.len;
	for (size_t at = 0; q->name.wire[at]; at += 1 + (size_t)q->name.wire[at])
		q->name.labels++;
	q->question = (struct str){ (char *)out, key.len + 4 };
	return DNS_HEADER_BYTES + key.len + 4;
}

static const struct zone_sections *set_of(const struct kept *k, uint16_t type)
{
	for (size_t i = 0; i < k->n_sets; i++)
		if (k->sets[i].type == type)
			return &k->sets[i];
	return NULL;
}

static void check_name(const struct zone *z, struct str key, const struct kept *k, uint16_t type)
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4], out[DNS_UDP_BYTES_MAX];
	struct dns_query q;
	struct zone_answer a;
	size_t at = question_of(key, type, question, &q);
	const struct zone_sections *s = set_of(k, type);

	if (k->kind == ZONE_NAME_USERSPACE)
		return;
	assert_int_equal(zone_answer(z, &q, out, sizeof(out), 0, &a), ZONE_ANSWERED);
	assert_int_equal(a.rcode, DNS_NOERROR);
	assert_int_equal(out[7], s ? s->answers : 0);
	assert_int_equal(out[9], s ? s->authority : 1); /* NODATA has the SOA */
	if (!s)
		return;
	assert_int_equal(out[11], s->additional);
	assert_int_equal(a.len - at, s->len);
	assert_memory_equal(out + at, k->bytes[s - k->sets], s->len);
	if (s->rotates) {
		assert_int_equal(s->rotates % s->answers, 0);
		assert_int_equal(s->additional, 0);
	}
}

static void check_all(const struct zone *z)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_SRV, DNS_TXT };

	for (struct map_iter it = { 0 }; map_next(&names, &it);)
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			check_name(z, it.key, it.value, types[i]);
}

static const struct kept *kept(const char *text)
{
	struct dns_name n;

	assert_true(dns_name_from_text(str_of(text), &n));
	return map_get(&names, (struct str){ (char *)n.wire, n.len });
}

#define SLICE(name, service, rest)                                                                                    \
	"{'metadata':{'namespace':'d','name':'" name "','labels':{'kubernetes.io/service-name':'" service "'}}," rest "}"
#define SERVICE(name, spec) "{'metadata':{'namespace':'d','name':'" name "'},'spec':{" spec "}}"
#define HTTP "'ports':[{'name':'http','port':80}]"

static void test_mirror(void **state)
{
	static const struct zone_mirror mirror = { on_put, on_gone, on_changed, NULL };
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_INSECURE };

	(void)state;
	map_init(&names);
	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	struct zone *z = zone_new(&o, 1, NULL);
	zone_set_synced(z);
	put(z, zone_put_namespace, "{'metadata':{'name':'d'}}");
	put(z, zone_put_service, SERVICE("web", "'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1','fd00::1']," HTTP));
	put(z, zone_put_slice, SLICE("web-1", "web", HTTP ",'endpoints':[{'addresses':['10.1.0.1']}]"));
	/* what is there is told at once */
	zone_set_mirror(z, &mirror);
	check_all(z);
	assert_int_equal(changes, 1);
	assert_non_null(kept("web.d.svc.cluster.local"));
	assert_non_null(kept("_http._tcp.web.d.svc.cluster.local"));
	assert_non_null(kept("10-1-0-1.web.d.svc.cluster.local"));
	assert_non_null(kept("d.svc.cluster.local"));
	assert_int_equal(kept("cluster.local")->kind, ZONE_NAME_USERSPACE);
	assert_int_equal(kept("svc.cluster.local")->kind, ZONE_NAME_SETS);
	/* changes: only the names that they touch */
	told = 0;
	put(z, zone_put_service, SERVICE("web", "'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1','fd00::1']," HTTP));
	assert_int_equal(told, 0);
	put(z, zone_put_slice, SLICE("web-1", "web", HTTP ",'endpoints':[{'addresses':['10.1.0.1']},{'addresses':['10.1.0.2']}]"));
	assert_int_equal(told, 1); /* 10-1-0-2 */
	check_all(z);
	put(z, zone_put_service, SERVICE("db", "'clusterIP':'None'"));
	assert_null(kept("db.d.svc.cluster.local")); /* no endpoint yet */
	put(z, zone_put_slice, SLICE("db-1", "db", HTTP ",'endpoints':[{'addresses':['10.1.1.1','10.1.1.2','fd00::9'],'hostname':'a'},"
				     "{'addresses':['10.1.1.3']}]"));
	assert_int_equal(set_of(kept("db.d.svc.cluster.local"), DNS_A)->rotates, 3 * 16);
	check_all(z);
	put(z, zone_put_slice, SLICE("db-1", "db", HTTP ",'endpoints':[{'addresses':['10.1.1.2'],'hostname':'a'}]"));
	assert_null(kept("10-1-1-3.db.d.svc.cluster.local"));
	check_all(z);
	put(z, zone_del_slice, SLICE("db-1", "db", "'endpoints':[]"));
	assert_null(kept("db.d.svc.cluster.local"));
	assert_null(kept("_http._tcp.db.d.svc.cluster.local"));
	put(z, zone_put_service, SERVICE("web", "'type':'ExternalName','externalName':'example.com'"));
	assert_int_equal(kept("web.d.svc.cluster.local")->kind, ZONE_NAME_USERSPACE);
	assert_null(kept("10-1-0-1.web.d.svc.cluster.local"));
	put(z, zone_put_service, SERVICE("web", "'clusterIP':'10.0.0.2'," HTTP));
	check_all(z);
	/* a namespace that goes takes its names along, and brings them back */
	size_t all = names.count;
	put(z, zone_del_namespace, "{'metadata':{'name':'d'}}");
	assert_null(kept("web.d.svc.cluster.local"));
	assert_null(kept("d.svc.cluster.local"));
	put(z, zone_put_namespace, "{'metadata':{'name':'d'}}");
	assert_int_equal(names.count, all);
	check_all(z);
	/* once a turn */
	zone_tell_changes(z);
	zone_tell_changes(z);
	assert_int_equal(changes, 2);
	zone_set_mirror(z, NULL);
	told = 0;
	put(z, zone_del_service, SERVICE("web", ""));
	assert_int_equal(told, 0);
	map_done(&names, free);
	zone_free(z);
}

/* Too large for a packet: user space cuts it short. */
static void test_large(void **state)
{
	static const struct zone_mirror mirror = { on_put, on_gone, on_changed, NULL };
	struct zone_options o = { .ttl = 30 };
	struct buf b;

	(void)state;
	map_init(&names);
	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	struct zone *z = zone_new(&o, 1, NULL);
	zone_set_synced(z);
	zone_set_mirror(z, &mirror);
	put(z, zone_put_namespace, "{'metadata':{'name':'d'}}");
	put(z, zone_put_service, SERVICE("db", "'clusterIP':'None'"));
	buf_init(&b, 1 << 20);
	buf_puts(&b, "{'metadata':{'namespace':'d','name':'x','labels':{'kubernetes.io/service-name':'db'}},'endpoints':[");
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "%s{'addresses':['10.1.2.%d']}", i ? "," : "", i);
	buf_puts(&b, "]}");
	put(z, zone_put_slice, b.ptr);
	buf_done(&b);
	const struct kept *k = kept("db.d.svc.cluster.local");
	assert_non_null(k);
	assert_int_equal(set_of(k, DNS_A)->len, 0);
	assert_non_null(kept("10-1-2-199.db.d.svc.cluster.local"));
	map_done(&names, free);
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_mirror), cmocka_unit_test(test_large) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
