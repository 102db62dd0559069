/* Routes read by many threads while one changes them; and what ten and a hundred thousand hosts cost (printed). */
#include "loop/quiesce.h"
#include "net/x509.h"
#include "roles/ingress/route/model.h"
#include "roles/ingress/route/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define READERS 3
#define HOSTS 64
#define CHANGES 3000

struct world {
	struct loop *loop;
	struct quiesce *quiesce;
	struct routes *routes;
	struct backends *backends;
	struct model *model;
	struct defer change;
	int left;
	_Atomic bool stop;
};
struct reader {
	struct world *w;
	struct loop *loop;
	pthread_t thread;
	unsigned seed;
	unsigned long found, missed, held;
	const struct location *kept; /* of a turn before */
};

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

static bool with_tls; /* Ingresses have a certificate, all the same one */

static char *ingress_text(unsigned host, unsigned version, unsigned paths)
{
	struct buf b;
	char tls[128] = "";

	if (with_tls)
		snprintf(tls, sizeof(tls), "\"tls\":[{\"hosts\":[\"host-%u.example.com\"],\"secretName\":\"shared\"}],", host);
	buf_init(&b, 1u << 20);
	buf_printf(&b,
		   "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"metadata\":{\"name\":\"ingress-%u\",\"namespace\":"
		   "\"default\",\"uid\":\"3f0c8a4e-5b1d-4b57-9d7e-%012u\",\"resourceVersion\":\"%u\",\"generation\":1,"
		   "\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"ingressClassName\":\"nginx\",%s"
		   "\"rules\":[{\"host\":\"host-%u.example.com\",\"http\":{\"paths\":[", host, host, version, tls, host);
	for (unsigned i = 0; i < paths; i++)
		buf_printf(&b, "%s{\"path\":\"/%s\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"svc-%u\",\"port\":{"
			   "\"number\":80}}}}", i ? "," : "", i ? "more" : "", (version + i) % 8);
	buf_puts(&b, "]}}]},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.1\"}]}}}");
	return buf_take(&b);
}

static void put_ingress(struct model *m, unsigned host, unsigned version, unsigned paths)
{
	cleanup(freep) char *text = ingress_text(host, version, paths);
	json_t *obj = json_loads(text, 0, NULL);

	assert_non_null(obj);
	model_set_ingress(m, obj);
	json_decref(obj);
}

static void put_slice(struct model *m, unsigned service, unsigned version)
{
	json_t *obj = json_pack("{s:{s:s, s:s+, s:{s:s+}}, s:[{s:s, s:i}], s:[{s:[s+]}]}", "metadata", "namespace", "default", "name",
				"slice-", service % 2 ? "1" : "0", "labels", "kubernetes.io/service-name", "svc-",
				service % 2 ? "1" : "0", "ports", "name", "", "port", 8080, "endpoints", "addresses", "10.0.0.",
				version % 2 ? "1" : "2");
	json_t *svc = json_pack("{s:{s:s, s:s+}, s:{s:[{s:i}]}}", "metadata", "namespace", "default", "name", "svc-",
				service % 2 ? "1" : "0", "spec", "ports", "port", 80);

	assert_non_null(obj);
	assert_non_null(svc);
	model_set_service(m, svc);
	model_set_slice(m, obj);
	json_decref(obj);
	json_decref(svc);
}

/* ---- threads ---- */

static void read_once(struct reader *r)
{
	char host[64], path[16];
	const struct location *l;

	snprintf(host, sizeof(host), "host-%u.example.com", next_random(&r->seed) % HOSTS);
	snprintf(path, sizeof(path), next_random(&r->seed) % 2 ? "/more/x" : "/x");
	l = routes_match(r->w->routes, str_of(host), str_of(path));
	if (!l) {
		r->missed++;
		return;
	}
	r->found++;
	/* Every word that a request may look at. */
	assert_string_equal(l->rule_host, host);
	assert_true(l->path[0] == '/' && l->ns[0] && l->ingress[0] && l->set && l->backend->key[0]);
	const struct endpoints *es = backend_endpoints(l->backend);
	for (size_t i = 0; i < es->n; i++)
		assert_true(es->at[i]->text[0]);
	if (!r->kept) {
		r->kept = l; /* like a request that goes on for some turns */
		r->held++;
		return;
	}
	host_unref(l->host);
}

static void read_turn(void *ctx)
{
	struct reader *r = ctx;

	if (r->kept && next_random(&r->seed) % 4 == 0) {
		assert_true(r->kept->backend->key[0]);
		host_unref(r->kept->host);
		r->kept = NULL;
	}
	for (int i = 0; i < 200; i++)
		read_once(r);
	if (atomic_load(&r->w->stop))
		loop_stop(r->loop);
	else
		loop_post(r->loop, read_turn, r);
}

static void *reader_main(void *ctx)
{
	struct reader *r = ctx;

	loop_post(r->loop, read_turn, r);
	loop_run(r->loop);
	if (r->kept)
		host_unref(r->kept->host);
	return NULL;
}

static void change(void *ctx)
{
	struct world *w = ctx;
	static unsigned seed = 3;
	unsigned host = next_random(&seed) % HOSTS;
	char name[32];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "ingress-%u", host);
		if (next_random(&seed) % 3 == 0)
			model_del_ingress(w->model, "default", name);
		else
			put_ingress(w->model, host, next_random(&seed), 1 + next_random(&seed) % 2);
		put_slice(w->model, next_random(&seed), next_random(&seed));
	}
	model_flush(w->model);
	if (w->left % 50 == 0)
		model_sweep(w->model);
	if (--w->left > 0) {
		loop_post(w->loop, change, w);
		return;
	}
	atomic_store(&w->stop, true);
	loop_stop(w->loop);
}

static void test_threads(void **state)
{
	struct world w = { .left = CHANGES };
	struct reader readers[READERS] = { 0 };
	struct model_ops ops = { 0 };
	struct err e;

	(void)state;
	w.loop = loop_new(&e);
	assert_non_null(w.loop);
	w.quiesce = quiesce_new(w.loop);
	w.routes = routes_new(w.quiesce);
	w.backends = backends_new(w.quiesce);
	w.model = model_new(&(struct model_config){ 0 }, &ops, NULL, w.routes, w.backends);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].w = &w;
		readers[i].seed = i;
		readers[i].loop = loop_new(&e);
		quiesce_add(w.quiesce, readers[i].loop);
		pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]);
	}
	loop_post(w.loop, change, &w);
	loop_run(w.loop);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		quiesce_remove(w.quiesce, readers[i].loop);
		loop_free(readers[i].loop);
		assert_true(readers[i].found && readers[i].missed && readers[i].held);
	}
	model_free(w.model);
	quiesce_free(w.quiesce);
	routes_free(w.routes);
	backends_free(w.backends);
	loop_free(w.loop);
}

/* ---- names ---- */

struct named {
	char *name;
	bool there;
};

static void count_one(void *ctx, void *obj)
{
	assert_true(((struct named *)obj)->there);
	++*(size_t *)ctx;
}

static void test_names(void **state)
{
	enum { N = 5000 };
	struct names *t = names_new(NULL, offsetof(struct named, name));
	struct named *all = calloc(N, sizeof(*all));
	unsigned seed = 11;
	size_t there = 0, counted = 0;

	(void)state;
	for (size_t i = 0; i < N; i++)
		all[i].name = xasprintf("n%zu", i);
	for (int i = 0; i < 100000; i++) {
		struct named *one = &all[next_random(&seed) % N];
		struct named *want = one->there ? one : NULL;

		assert_ptr_equal(names_get(t, str_of(one->name)), want);
		if (next_random(&seed) % 2) {
			assert_ptr_equal(names_put(t, one), want);
			there += !one->there;
			one->there = true;
		} else {
			assert_ptr_equal(names_del(t, str_of(one->name)), want);
			there -= one->there;
			one->there = false;
		}
	}
	assert_int_equal(names_count(t), there);
	names_each(t, count_one, &counted);
	assert_int_equal(counted, there);
	names_free(t, NULL);
	for (size_t i = 0; i < N; i++)
		free(all[i].name);
	free(all);
}

/* ---- endpoints ---- */

static struct endpoint_want want_of(const char *ip, bool draining)
{
	struct endpoint_want w = { .draining = draining };
	struct err e;

	assert_int_equal(addr_from_ip(ip, 80, &w.addr, &e), 0);
	return w;
}

static void test_endpoints(void **state)
{
	struct backends *bs = backends_new(NULL);
	struct backend *a = backends_get(bs, "n", "a", "80"), *b = backends_get(bs, "n", "b", "http"), *same;

	(void)state;
	same = backends_get(bs, "n", "a", "80");
	assert_ptr_equal(same, a);
	backend_unref(same);
	same = backends_get_cluster_ip(bs, "n", "a", "80");
	assert_ptr_not_equal(same, a);
	backend_unref(same);
	assert_int_equal(backend_endpoints(a)->n, 0);
	struct endpoint_want both[] = { want_of("10.0.0.2", false), want_of("10.0.0.1", true), want_of("10.0.0.2", true) };
	backend_set(bs, a, both, 3);
	const struct endpoints *es = backend_endpoints(a);
	assert_int_equal(es->n, 2);
	assert_string_equal(es->at[0]->text, "10.0.0.1:80");
	assert_true(es->draining[0]);
	assert_false(es->draining[1]); /* serving where it is mentioned once */
	struct endpoint *two = es->at[1];
	assert_int_not_equal(es->at[0]->index, two->index);
	/* the same in another order is no change */
	struct endpoint_want turned[] = { both[1], both[0] };
	backend_set(bs, a, turned, 2);
	assert_ptr_equal(backend_endpoints(a), es);
	/* one address, one endpoint, whichever backend */
	backend_set(bs, b, both, 1);
	assert_ptr_equal(backend_endpoints(b)->at[0], two);
	two->in_flight = 3;
	two->consecutive_errors = 5;
	backend_set(bs, a, NULL, 0);
	backends_sweep(bs, NULL, NULL);
	assert_ptr_equal(backend_endpoints(b)->at[0], two);
	assert_int_equal(two->consecutive_errors, 5);
	/* away for a while: begins anew */
	uint64_t id = two->id;
	backend_set(bs, b, NULL, 0);
	backend_set(bs, b, both, 1);
	assert_int_equal(backend_endpoints(b)->at[0]->consecutive_errors, 0);
	assert_int_equal(backend_endpoints(b)->at[0]->in_flight, 3); /* its requests are still under way */
	assert_true(backend_endpoints(b)->at[0]->id == id);
	backend_unref(a);
	backends_sweep(bs, NULL, NULL);
	struct backend *again = backends_get(bs, "n", "a", "80");
	assert_int_equal(backend_endpoints(again)->n, 0);
	backend_unref(again);
	backend_unref(b);
	backends_free(bs);
}

/* ---- figures ---- */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double resident_mib(void)
{
	long pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld", &ignored, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* As the informer does it: pages of 500, parsed whole, each object handed over and forgotten. */
struct cost {
	double parse, take, build; /* milliseconds */
};
static struct cost load(struct model *m, unsigned hosts)
{
	struct cost c = { 0 };

	for (unsigned at = 0; at < hosts; at += 500) {
		struct buf b;

		buf_init(&b, 64u << 20);
		buf_puts(&b, "{\"items\":[");
		for (unsigned i = at; i < at + 500 && i < hosts; i++) {
			cleanup(freep) char *text = ingress_text(i, 0, 1);
			buf_puts(&b, i > at ? "," : "");
			buf_puts(&b, text);
		}
		buf_puts(&b, "]}");
		double start = now_ms();
		json_t *list = json_loads(b.ptr, 0, NULL), *one;
		size_t k;
		c.parse += now_ms() - start;
		start = now_ms();
		json_array_foreach(json_object_get(list, "items"), k, one)
			model_set_ingress(m, one);
		c.take += now_ms() - start;
		start = now_ms();
		json_decref(list);
		c.parse += now_ms() - start;
		buf_done(&b);
	}
	double start = now_ms();
	model_flush(m);
	c.build = now_ms() - start;
	return c;
}

static double look_ups(const struct routes *r, unsigned hosts, unsigned n)
{
	unsigned seed = 5;
	double start = now_ms();
	char host[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "host-%u.example.com", (next_random(&seed) << 16 | next_random(&seed)) % hosts);
		const struct location *l = routes_match(r, str_of(host), STR("/some/path"));
		assert_non_null(l);
		host_unref(l->host);
	}
	return (now_ms() - start) * 1e6 / n;
}

static double path_look_ups(unsigned paths)
{
	struct routes *r = routes_new(NULL);
	struct backends *bs = backends_new(NULL);
	struct model *m = model_new(&(struct model_config){ 0 }, &(struct model_ops){ 0 }, NULL, r, bs);
	json_t *list = json_array(), *ing;
	unsigned seed = 9;
	char path[64];

	for (unsigned i = 0; i < paths; i++) {
		snprintf(path, sizeof(path), "/api/v1/thing-%u", i);
		json_array_append_new(list, json_pack("{s:s, s:s, s:{s:{s:s, s:{s:i}}}}", "path", path, "pathType",
						      i % 2 ? "Prefix" : "ImplementationSpecific", "backend", "service", "name", "a",
						      "port", "number", 80));
	}
	ing = json_pack("{s:{s:s, s:s}, s:{s:s, s:[{s:s, s:{s:o}}]}}", "metadata", "namespace", "default", "name", "i", "spec",
			"ingressClassName", "nginx", "rules", "host", "h", "http", "paths", list);
	model_set_ingress(m, ing);
	json_decref(ing);
	model_flush(m);
	double start = now_ms();
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(path, sizeof(path), "/api/v1/thing-%u/x", (next_random(&seed) << 16 | next_random(&seed)) % paths & ~1u);
		const struct location *l = routes_match(r, STR("h"), str_of(path));
		assert_non_null(l);
		host_unref(l->host);
	}
	double ns = (now_ms() - start) * 1e6 / 200000;
	model_free(m);
	routes_free(r);
	backends_free(bs);
	return ns;
}

static void put_secret(struct model *m)
{
	struct x509_request r = { .common_name = "x", .sans = "DNS:*.example.com", .server = true, .days = 2 };
	struct err e;
	EVP_PKEY *key = x509_new_key(&e);
	X509 *cert = x509_issue(&r, key, NULL, NULL, &e);
	cleanup(freep) char *pem = x509_pem(cert);
	cleanup(freep) char *key_pem = x509_key_pem(key);
	json_t *obj = json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "metadata", "namespace", "default", "name", "shared", "stringData",
				"tls.crt", pem, "tls.key", key_pem);

	model_set_secret(m, obj);
	json_decref(obj);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void figures(unsigned hosts, bool tls)
{
	double before = resident_mib();
	size_t heap = mallinfo2().uordblks;
	struct routes *r = routes_new(NULL);
	struct backends *bs = backends_new(NULL);
	struct model *m = model_new(&(struct model_config){ 0 }, &(struct model_ops){ 0 }, NULL, r, bs);
	with_tls = tls;
	if (tls)
		put_secret(m);
	struct cost c = load(m, hosts);

	malloc_trim(0);
	heap = mallinfo2().uordblks - heap;
	double resident = resident_mib();
	double one = look_ups(r, 1, 500000), all = look_ups(r, hosts, 500000);
	double start = now_ms();
	for (unsigned i = 0; i < 1000; i++) {
		put_ingress(m, i, i + 1, 1);
		model_flush(m);
	}
	double change_us = now_ms() - start; /* of 1000 */
	assert_int_equal(routes_host_count(r), hosts);
	if (tls)
		assert_non_null(routes_tls(r, STR("host-1.example.com")));
	assert_int_equal(model_problem_count(m), 0);
	print_message("%u hosts%s: loaded in %.0f ms of CPU (JSON %.0f, records %.0f, hosts %.0f), %.1f MiB more (%.0f bytes each, %.0f of them allocated), look-up %.0f ns (one host) %.0f ns (all), "
		      "change %.1f us\n", hosts, tls ? " with TLS" : "", c.parse + c.take + c.build, c.parse, c.take, c.build, resident - before, (resident - before) * (1 << 20) / hosts,
		      (double)heap / hosts, one, all,
		      change_us);
	model_free(m);
	routes_free(r);
	backends_free(bs);
	malloc_trim(0);
}

static void test_figures(void **state)
{
	(void)state;
	print_message("resident before: %.1f MiB\n", resident_mib());
	figures(10000, false);
	figures(10000, true);
	if (getenv("PORTICO_FIGURES")) /* a second or two: not in every run */
		figures(100000, false);
	print_message("path look-up: 1 path %.0f ns, 100 paths %.0f ns, 10,000 paths %.0f ns\n", path_look_ups(1), path_look_ups(100),
		      path_look_ups(10000));
}

/* ---- cases ---- */

static void unused(struct host *h)
{
	(void)h;
}

/* Each length, with a capital in each place; and neighbours of the letters, which have no other case. */
static void test_cases(void **state)
{
	static const char neighbours[] = { '@', '[', '`', '{', (char)0xc1, (char)0xda };
	struct routes *r = routes_new(NULL);
	char name[40], asked[40];

	(void)state;
	for (size_t n = 1; n < sizeof(name); n++) {
		memcpy(name, "azbycxdwevfugthsirjqkplomn-0123456789aza", n);
		name[n] = '\0';
		struct host h = { .refs_ = 1, .name = name, .free_ = unused };
		routes_put_host(r, &h);
		for (size_t i = 0; i < n; i++) {
			memcpy(asked, name, sizeof(name));
			if (asked[i] >= 'a' && asked[i] <= 'z')
				asked[i] = (char)(asked[i] - 'a' + 'A');
			struct host *found = routes_host(r, str_of(asked));
			assert_ptr_equal(found, &h);
			host_unref(found);
			asked[i] = neighbours[(i + n) % ARRAY_LEN(neighbours)];
			assert_null(routes_host(r, str_of(asked)));
		}
		routes_del_host(r, name);
	}
	routes_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_endpoints), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_figures), cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
