/* Zones that follow a cluster: here a folder of manifests, which informers see as they see an API server. */
#include "roles/dns/zone/cluster.h"

#include "kube/client/client.h"
#include "kube/client/informer.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

static struct {
	struct loop *loop;
	struct kube_client *kube;
	struct quiesce *quiesce;
	struct cluster *cluster;
	char dir[64];
	unsigned synced, slices;
	bool (*until)(void);
	struct timer poll, limit;
	bool late;
} t;

static void write_file(const char *name, const char *text)
{
	char path[160], hidden[160];

	snprintf(path, sizeof(path), "%s/%s.yaml", t.dir, name);
	snprintf(hidden, sizeof(hidden), "%s/.%s.tmp", t.dir, name);
	FILE *f = fopen(hidden, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(hidden, path), 0);
}

static void remove_file(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s.yaml", t.dir, name);
	unlink(path);
}

static void on_synced(void *ctx)
{
	(void)ctx;
	t.synced++;
}

static void on_slice(void *ctx, const json_t *slice, bool headless)
{
	(void)ctx;
	(void)slice;
	t.slices += headless;
}

static void look(struct timer *poll)
{
	if (t.until())
		loop_stop(t.loop);
	else
		timer_start(t.loop, poll, 2);
}

static void too_late(struct timer *limit)
{
	(void)limit;
	t.late = true;
	loop_stop(t.loop);
}

static void wait_until(bool (*until)(void))
{
	t.until = until;
	t.poll.fire = look;
	t.limit.fire = too_late;
	timer_start(t.loop, &t.poll, 0);
	timer_start(t.loop, &t.limit, PATIENCE_MS);
	loop_run(t.loop);
	timer_stop(&t.poll);
	timer_stop(&t.limit);
	assert_false(t.late);
}

/* The rcode, or the count of answers above 100. */
static int ask(const struct zone *z, const char *name)
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4] = { 0 }, out[DNS_UDP_BYTES_MAX];
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN, .udp_bytes = sizeof(out) };
	struct zone_answer a;

	assert_true(dns_name_from_text(str_of(name), &q.name));
	memcpy(question, q.name.wire, q.name.len);
	question[q.name.len + 1] = DNS_A;
	question[q.name.len + 3] = DNS_CLASS_IN;
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	assert_int_equal(zone_answer(z, &q, out, sizeof(out), 0, &a), ZONE_ANSWERED);
	return a.rcode ? (int)a.rcode : 100 + out[7];
}

static struct zone *z1, *z2;

static bool both_synced(void)
{
	return t.synced == 1;
}
static bool second_synced(void)
{
	return zone_synced(z2);
}
static bool db_grew(void)
{
	return ask(z1, "db.shop.svc.cluster.local") == 102;
}
static bool db_is_gone(void)
{
	return ask(z1, "db.shop.svc.cluster.local") == DNS_NXDOMAIN;
}
static bool pod_is_known(void)
{
	struct addr a;
	struct err e;
	char ns[64];

	assert_int_equal(addr_from_ip("10.244.9.9", 53, &a, &e), 0);
	return cluster_pod_namespace(t.cluster, &a, ns, sizeof(ns)) && strcmp(ns, "shop") == 0;
}

static const char base[] =
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop, labels: {app: x}}\n"
	"spec: {clusterIP: 10.96.0.5, ports: [{port: 80}]}\n---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: None, ports: [{port: 80}]}\n";
static const char slice_format[] =
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
	"metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}\naddressType: IPv4\n"
	"endpoints:\n- addresses: [10.244.0.1]\n%s";
static const char pod[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i}]}\n"
			  "status: {phase: Running, podIP: 10.244.9.9, podIPs: [{ip: 10.244.9.9}]}\n";

static void put_slice(const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), slice_format, more);
	write_file("slice", text);
}

static void test_zones_follow(void **state)
{
	struct zone_options o = { .ttl = 5 };
	const struct informer *services, *services2, *slices;

	(void)state;
	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	write_file("base", base);
	put_slice("");
	z1 = cluster_zone(t.cluster, &o);
	assert_ptr_equal(cluster_zone(t.cluster, &o), z1); /* the same options: the same zone */
	assert_int_equal(ask(z1, "web.shop.svc.cluster.local"), DNS_SERVFAIL);
	wait_until(both_synced);
	assert_int_equal(ask(z1, "web.shop.svc.cluster.local"), 101);
	assert_int_equal(ask(z1, "db.shop.svc.cluster.local"), 101);
	assert_int_equal(t.slices, 0); /* not for what the first list brought */
	/* a change */
	put_slice("- addresses: [10.244.0.2]\n");
	wait_until(db_grew);
	assert_int_equal(t.slices, 1);
	/* another zone, later, with other options: it lists for itself */
	o.labels = "app=x";
	z2 = cluster_zone(t.cluster, &o);
	assert_ptr_not_equal(z1, z2);
	wait_until(second_synced);
	assert_int_equal(ask(z2, "web.shop.svc.cluster.local"), 101);
	assert_int_equal(ask(z2, "db.shop.svc.cluster.local"), DNS_NXDOMAIN);
	assert_int_equal(t.synced, 1);
	/* each has informers of its own */
	assert_true(cluster_zone_informers(t.cluster, z2, &services2, &slices));
	assert_true(cluster_zone_informers(t.cluster, z1, &services, &slices));
	assert_ptr_not_equal(services, services2);
	cluster_zone_put(t.cluster, z2);
	assert_non_null(informer_get(services, "shop", "db"));
	assert_false(cluster_zone_informers(t.cluster, z2, &services2, &slices));
	/* what goes is gone */
	remove_file("slice");
	wait_until(db_is_gone);
	assert_int_equal(ask(z1, "web.shop.svc.cluster.local"), 101);
	/* pods, once somebody wants them */
	assert_false(pod_is_known());
	write_file("pod", pod);
	cluster_want_pods(t.cluster);
	wait_until(pod_is_known);
	cluster_zone_put(t.cluster, z1);
	cluster_zone_put(t.cluster, z1);
}

/* Without any zone there is nothing to wait for. */
static void test_nothing_to_follow(void **state)
{
	(void)state;
	wait_until(both_synced);
}

static int set_up(void **state)
{
	struct err e;

	(void)state;
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/test-dns-cluster.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.loop = loop_new(&e);
	t.kube = kube_client_from_files(t.loop, t.dir, &e);
	assert_non_null(t.kube);
	t.quiesce = quiesce_new(t.loop);
	t.cluster = cluster_new(t.loop, t.kube, t.quiesce);
	cluster_on_slice(t.cluster, on_slice, NULL);
	cluster_on_synced(t.cluster, on_synced, NULL);
	return 0;
}

static bool at_once(void)
{
	return true;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_free(t.cluster);
	wait_until(at_once); /* informers end with the turn */
	kube_client_free(t.kube);
	quiesce_free(t.quiesce);
	loop_free(t.loop);
	remove_file("base");
	remove_file("slice");
	remove_file("pod");
	rmdir(t.dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_zones_follow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_to_follow, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
