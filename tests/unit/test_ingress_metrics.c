/* Counting, buckets, limits of cardinality, and an exposition that a strict reader takes. */
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/upstream.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/map.h"
#include "ingress_fake.h"
#include "net/x509.h"

fake_weak struct endpoints *backend_endpoints(const struct backend *b)
{
	return b->now_;
}

static uint64_t clock_us;

/* ---- a strict reader of the text format 0.0.4 ---- */
struct reader {
	struct map samples;	 /* "name{labels}" -> double * */
	struct map families;	 /* name -> type */
	char *family, *type;	 /* the one under way */
	bool sampled;		 /* it has had a sample */
	/* the histogram under way */
	char *histogram;	 /* its labels without le */
	double last_le, last_count;
	bool inf;
};

static bool name_char(char c, bool first)
{
	return isalpha((unsigned char)c) || c == '_' || c == ':' || (!first && isdigit((unsigned char)c));
}

static size_t name_len(const char *p)
{
	size_t n = 0;

	while (name_char(p[n], n == 0))
		n++;
	assert_true(n > 0);
	return n;
}

static double number(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	assert_true(end != text && *end == '\0');
	return v;
}

static void comment(struct reader *r, char *line)
{
	char *kind = line + 2, *name = kind + 5, *rest;

	assert_true(strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0);
	rest = name + name_len(name);
	assert_int_equal(*rest, ' ');
	*rest++ = '\0';
	assert_true(*rest != '\0');
	if (strncmp(kind, "HELP", 4) == 0) {
		/* A family has one HELP, and all of it stands together. */
		assert_null(map_get_c(&r->families, name));
		free(r->family);
		r->family = xstrdup(name);
		r->sampled = false;
		assert_true(!r->histogram || r->inf);
		free(r->histogram);
		r->histogram = NULL;
		return;
	}
	assert_string_equal(name, r->family);
	assert_false(r->sampled);
	assert_true(c_eq(rest, "counter") || c_eq(rest, "gauge") || c_eq(rest, "histogram"));
	r->type = xstrdup(rest);
	map_put_c(&r->families, name, r->type);
}

/* Reads {a="b",…}, gives le's value, and the labels without it. */
static char *labels(char *p, struct buf *without_le, char **ret_le)
{
	assert_int_equal(*p++, '{');
	*ret_le = NULL;
	while (*p != '}') {
		char *name = p, *value;
		p += name_len(p);
		assert_int_equal(p[0], '=');
		assert_int_equal(p[1], '"');
		value = p += 2;
		for (; *p != '"'; p++) {
			assert_true(*p != '\0');
			if (*p == '\\')
				assert_non_null(strchr("\\\"n", *++p));
		}
		p++;
		if (strncmp(name, "le=", 3) == 0)
			*ret_le = xstrndup(value, (size_t)(p - 1 - value));
		else
			assert_int_equal(buf_printf(without_le, "%.*s,", (int)(p - name), name), 0);
		if (*p == ',')
			p++;
		else
			assert_int_equal(*p, '}');
	}
	return p + 1;
}

static void bucket(struct reader *r, const char *key, const char *le, double v)
{
	assert_non_null(le);
	if (!c_eq(r->histogram, key)) {
		assert_true(!r->histogram || r->inf);
		free(r->histogram);
		r->histogram = xstrdup(key);
		r->last_le = -INFINITY;
		r->last_count = 0;
		r->inf = false;
	}
	double bound = c_eq(le, "+Inf") ? INFINITY : number(le);
	assert_true(bound > r->last_le);
	assert_true(v >= r->last_count);
	r->last_le = bound;
	r->last_count = v;
	r->inf = isinf(bound);
}

static void sample(struct reader *r, char *line)
{
	size_t n = name_len(line), family = strlen(r->family);
	char *le = NULL, *p = line + n;
	struct buf without;

	buf_init(&without, 1 << 16);
	buf_puts(&without, "");
	assert_true(strncmp(line, r->family, family) == 0);
	const char *suffix = xstrndup(line + family, n - family);
	if (*p == '{')
		p = labels(p, &without, &le);
	assert_int_equal(*p, ' ');
	*p++ = '\0';
	double v = number(p);
	if (!c_eq(r->type, "histogram")) {
		assert_string_equal(suffix, "");
	} else if (c_eq(suffix, "_bucket")) {
		bucket(r, without.ptr, le, v);
	} else {
		assert_true(c_eq(suffix, "_sum") || c_eq(suffix, "_count"));
		assert_string_equal(without.ptr, r->histogram);
		assert_true(r->inf);
		if (c_eq(suffix, "_count"))
			assert_true(v == r->last_count);
	}
	if (!c_eq(r->type, "gauge"))
		assert_true(v >= 0);
	double *kept = xmalloc(sizeof(*kept));
	*kept = v;
	assert_null(map_put_c(&r->samples, line, kept)); /* no series twice */
	r->sampled = true;
	free((char *)suffix);
	free(le);
	buf_done(&without);
}

static void read_all(struct reader *r, struct metrics *m)
{
	struct metrics_text *t = metrics_text_new(m, NULL);
	struct buf out;
	bool more = true;

	*r = (struct reader){ 0 };
	map_init(&r->samples);
	map_init(&r->families);
	buf_init(&out, 64 << 20);
	while (more) {
		size_t before = out.len;
		more = metrics_text_next(t, &out);
		assert_true(out.len - before < METRICS_PIECE_BYTES_MAX);
	}
	assert_false(out.overflow);
	assert_int_equal(out.ptr[out.len - 1], '\n');
	for (char *line = out.ptr, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		*end = '\0';
		if (line[0] == '#')
			comment(r, line);
		else
			sample(r, line);
	}
	metrics_text_free(t);
	buf_done(&out);
}

static void reader_done(struct reader *r)
{
	map_done(&r->samples, free);
	map_done(&r->families, free);
	free(r->family);
	free(r->histogram);
}

/* The sum of all series whose name is this and whose labels contain all of these; -1: none. */
static double value(struct reader *r, const char *name, const char *a, const char *b)
{
	double sum = 0;
	bool any = false;

	for (struct map_iter it = { 0 }; map_next(&r->samples, &it);) {
		cleanup(freep) char *key = str_dup(it.key);
		size_t n = strlen(name);
		if (strncmp(key, name, n) != 0 || (key[n] != '{' && key[n] != '\0') || !strstr(key, a) || !strstr(key, b))
			continue;
		sum += *(double *)it.value;
		any = true;
	}
	return any ? sum : -1;
}

/* ---- the exchanges ---- */
static struct fake f;
static struct metrics *m;
static struct backend canary = { .name = (char *)"default-shop-v2-80" };

static const struct metrics_config config = { "k8s.io/ingress-nginx", "ingress-nginx", "pod-\"1\"", NULL };

static int setup(void **state)
{
	(void)state;
	clock_us = 1000000;
	m = metrics_new(&config);
	fake_init(&f, "GET", "http://a.test/");
	f.worker.metrics = metrics_shard_new(m, &f.worker);
	f.loc.metrics_id = metrics_location_ref(m, "default", "web", "shop", "a.test", "/");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_done(&f);
	metrics_free(m);
	return 0;
}

static void request(int status, uint64_t us)
{
	struct exchange *x = &f.x;

	x->ans.status = status;
	x->started_us = clock_us;
	x->ended_us = clock_us += us;
	metrics_exchange_done(x);
}

#define REQUESTS "nginx_ingress_controller_requests"
#define DURATION "nginx_ingress_controller_request_duration_seconds"

static void counts_and_labels(void **state)
{
	struct reader r;

	(void)state;
	f.worker.n_downs = 7;
	f.worker.n_idle_downs = 5;
	f.x.req.bytes = 95;
	f.x.answer_head_bytes = 1000;
	f.x.answer_body_bytes = 500;
	request(200, 100);
	request(200, 5000);
	f.x.try_us = clock_us;
	f.x.connected_us = clock_us + 6000;
	f.x.head_us = clock_us + 60000;
	request(502, 9000000);
	f.x.req.method = STR("PROPFIND");
	request(200, 100);
	f.x.backend = &canary;
	f.x.canary_why = "weight";
	request(200, 100);
	metrics_inc(f.worker.metrics, METRIC_RETRIES);
	metrics_config_applied(m, true);

	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "status=\"200\"", "method=\"GET\"") == 2);
	assert_true(value(&r, REQUESTS, "status=\"502\"", "host=\"a.test\"") == 1);
	assert_true(value(&r, REQUESTS, "method=\"OTHER\"", "canary=\"\"") == 1);
	assert_true(value(&r, REQUESTS, "canary=\"default-shop-v2-80\"", "service=\"shop\"") == 1);
	assert_true(value(&r, REQUESTS, "namespace=\"default\",ingress=\"web\"", "path=\"/\"") == 5);
	assert_true(value(&r, REQUESTS, "controller_pod=\"pod-\\\"1\\\"\"", "controller_class=\"k8s.io/ingress-nginx\"") == 5);
	/* 5 ms is within le="0.005" */
	assert_true(value(&r, DURATION "_bucket", "status=\"200\"", "le=\"0.005\"") == 4);
	assert_true(value(&r, DURATION "_bucket", "status=\"502\"", "le=\"5\"") == 0);
	assert_true(value(&r, DURATION "_bucket", "status=\"502\"", "le=\"10\"") == 1);
	assert_true(fabs(value(&r, DURATION "_sum", "status=\"502\"", "") - 9) < 1e-9);
	assert_true(value(&r, "nginx_ingress_controller_connect_duration_seconds_bucket", "502", "le=\"0.005\"") == 0);
	assert_true(value(&r, "nginx_ingress_controller_connect_duration_seconds_bucket", "502", "le=\"0.01\"") == 1);
	assert_true(value(&r, "nginx_ingress_controller_header_duration_seconds_bucket", "502", "le=\"0.1\"") == 1);
	assert_true(value(&r, "nginx_ingress_controller_header_duration_seconds_bucket", "502", "le=\"0.05\"") == 0);
	assert_true(value(&r, "nginx_ingress_controller_response_duration_seconds_bucket", "502", "le=\"10\"") == 1);
	assert_true(value(&r, "nginx_ingress_controller_request_size_bucket", "", "le=\"90\"") == 0);
	assert_true(value(&r, "nginx_ingress_controller_request_size_bucket", "", "le=\"100\"") == 5);
	assert_true(value(&r, "nginx_ingress_controller_response_size_sum", "", "") == 5 * 1500);
	assert_true(value(&r, "nginx_ingress_controller_response_size_bucket", "", "le=\"100\"") == 0);
	assert_true(value(&r, "nginx_ingress_controller_bytes_sent_bucket", "", "le=\"1000\"") == 0);
	assert_true(value(&r, "nginx_ingress_controller_bytes_sent_bucket", "", "le=\"10000\"") == 5);
	assert_true(value(&r, "portico_route_duration_seconds_bucket", "", "le=\"0.0001\"") == 3);
	assert_true(value(&r, "portico_route_duration_seconds_count", "", "") == 5);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_connections", "state=\"active\"", "") == 7);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_connections", "state=\"waiting\"", "") == 5);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_connections", "state=\"writing\"", "") == 2);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_requests_total", "", "") == 5);
	assert_true(value(&r, "nginx_ingress_controller_config_last_reload_successful", "", "") == 1);
	assert_true(value(&r, "nginx_ingress_controller_success", "", "") == 1);
	assert_true(value(&r, "nginx_ingress_controller_config_hash", "controller_pod=\"pod-", "controller_namespace=\"") == 1);
	assert_true(value(&r, "nginx_ingress_controller_build_info", "release=\"", "repository=\"") == 1);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_virtual_memory_bytes", "", "") > 0);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_oldest_start_time_seconds", "", "") > 1e9);
	assert_true(value(&r, "portico_upstream_retries_total", "", "") == 1);
	assert_true(value(&r, "nginx_ingress_controller_nginx_process_resident_memory_bytes", "", "") > 0);
	reader_done(&r);
}

/* Each bound is the last value of its bucket. */
static void bounds(void **state)
{
	size_t n;
	const uint32_t *b = metrics_duration_bounds(&n);
	struct reader r;

	(void)state;
	for (size_t i = 1; i < n; i++)
		assert_true(b[i] > b[i - 1]);
	static const struct {
		uint64_t us;
		const char *in, *not_in;
	} rows[] = {
		{ 5000, "0.005", NULL }, { 5001, "0.01", "0.005" }, { 10000, "0.01", "0.005" }, { 25001, "0.05", "0.025" },
		{ 2500000, "2.5", "1" }, { 10000000, "10", "5" }, { 10000001, "+Inf", "10" }, { 999999999, "+Inf", "10" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char in[32], out[32];
		request(200 + (int)i, rows[i].us);
		read_all(&r, m);
		snprintf(in, sizeof(in), "le=\"%s\"", rows[i].in);
		snprintf(out, sizeof(out), "le=\"%s\"", rows[i].not_in ? rows[i].not_in : "");
		char status[32];
		snprintf(status, sizeof(status), "status=\"%d\"", 200 + (int)i);
		assert_true(value(&r, DURATION "_bucket", status, in) == 1);
		if (rows[i].not_in)
			assert_true(value(&r, DURATION "_bucket", status, out) == 0);
		reader_done(&r);
	}
}

/* The counts of a cell have 16 bits and carry. */
static void many(void **state)
{
	struct reader r;

	(void)state;
	for (unsigned i = 0; i < 200000; i++)
		request(200, 100);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "", "") == 200000);
	assert_true(value(&r, DURATION "_bucket", "", "le=\"0.005\"") == 200000);
	assert_true(fabs(value(&r, DURATION "_sum", "", "") - 20) < 1e-6);
	reader_done(&r);
}

static void few_series(void **state)
{
	struct reader r;
	size_t n = 0;

	(void)state;
	for (int status = 100; status < 600; status++)
		request(status, 1);
	request(99999, 1);
	read_all(&r, m);
	for (struct map_iter it = { 0 }; map_next(&r.samples, &it);)
		n += str_starts(it.key, STR(REQUESTS "{"));
	assert_int_equal(n, METRICS_CELLS_PER_LOCATION_MAX + 1);
	assert_true(value(&r, REQUESTS, "", "") == 501);
	assert_true(value(&r, REQUESTS, "status=\"other\"", "") == 501 - METRICS_CELLS_PER_LOCATION_MAX);
	assert_true(value(&r, "portico_metrics_collapsed_total", "", "") == 501 - METRICS_CELLS_PER_LOCATION_MAX);
	reader_done(&r);
}

static void slots(void **state)
{
	struct reader r;

	(void)state;
	/* built anew: the counters go on */
	unsigned again = metrics_location_ref(m, "default", "web", "shop", "a.test", "/");
	assert_int_equal(again, f.loc.metrics_id);
	request(200, 1);
	metrics_location_unref(m, again);
	unsigned other = metrics_location_ref(m, "default", "web", "shop", "a.test", "/a");
	assert_int_not_equal(other, again);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "", "") == 1);
	reader_done(&r);
	/* gone: so are its series, and its number is free */
	metrics_location_unref(m, f.loc.metrics_id);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "", "") == -1);
	reader_done(&r);
	f.loc.metrics_id = metrics_location_ref(m, "n", "i", "s", "h\"\\\n", "/");
	assert_int_equal(f.loc.metrics_id, again);
	request(200, 1);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "host=\"h\\\"\\\\\\n\"", "") == 1);
	reader_done(&r);
	/* without a location, and on the catch-all */
	f.x.loc = NULL;
	request(404, 1);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "ingress=\"\"", "host=\"_\"") == 1);
	reader_done(&r);
}

static void count_route(void *ctx, const struct metrics_route *r)
{
	struct metrics_route *out = ctx;

	out->requests += r->requests;
	for (size_t i = 0; i < 6; i++)
		out->by_class[i] += r->by_class[i];
	out->time_us += r->time_us;
	assert_string_equal(r->ingress, "web");
}

static void two_workers(void **state)
{
	struct worker second = { .shared = &f.shared };
	struct metrics_route all = { 0 };
	struct reader r;

	(void)state;
	second.metrics = metrics_shard_new(m, &second);
	request(200, 10);
	f.x.worker = &second;
	request(200, 10);
	request(404, 10);
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "status=\"200\"", "") == 2);
	assert_true(value(&r, REQUESTS, "status=\"404\"", "") == 1);
	reader_done(&r);
	metrics_each_route(m, count_route, &all);
	assert_int_equal(all.requests, 3);
	assert_int_equal(all.by_class[2], 2);
	assert_int_equal(all.by_class[4], 1);
	assert_int_equal(all.time_us, 30);
	assert_int_equal(metrics_total(m, METRIC_REQUESTS), 3);
	f.x.worker = &f.worker;
}

static void certificates(void **state)
{
	struct err e;
	struct x509_request q = { .common_name = "a\"b", .organization = "Acme Co", .sans = "DNS:a.test", .server = true, .days = 30 };
	EVP_PKEY *key = x509_new_key(&e);
	X509 *cert = x509_issue(&q, key, NULL, NULL, &e);
	struct reader r;

	(void)state;
	metrics_cert_put(m, "a.test", "default", "tls", cert);
	metrics_cert_put(m, "b.test", "default", "tls", cert);
	metrics_cert_put(m, "a.test", "default", "tls2", cert);
	read_all(&r, m);
	double at = value(&r, "nginx_ingress_controller_ssl_expire_time_seconds", "host=\"a.test\"", "secret_name=\"tls2\"");
	assert_true(fabs(at - ((double)wall_now_ms() / 1000 + 30 * 86400)) < 86400);
	assert_true(value(&r, "nginx_ingress_controller_ssl_certificate_info", "issuer_common_name=\"a\\\"b\"", "ECDSA") == 2);
	reader_done(&r);
	metrics_cert_put(m, "a.test", NULL, NULL, NULL);
	read_all(&r, m);
	assert_true(value(&r, "nginx_ingress_controller_ssl_expire_time_seconds", "a.test", "") == -1);
	reader_done(&r);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* A worker counts while the main thread reads: no total ever falls, whatever carries are under way. */
#define STORM 1000000
static void *storm(void *done)
{
	for (unsigned i = 0; i < STORM; i++)
		request(200, i % 2 ? 100 : 100000);
	__atomic_store_n((bool *)done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void total_of(void *ctx, const struct metrics_route *r)
{
	*(uint64_t *)ctx = r->requests;
}

static void while_counting(void **state)
{
	uint64_t before = 0, now;
	bool done = false;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, storm, &done), 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		now = before;
		metrics_each_route(m, total_of, &now);
		if (now < before)
			fail_msg("%llu after %llu", (unsigned long long)now, (unsigned long long)before);
		before = now;
	}
	pthread_join(thread, NULL);
	metrics_each_route(m, total_of, &now);
	assert_int_equal(now, STORM);
}

/* Memory and pieces with as many locations as users have. */
static void ten_thousand(void **state)
{
	unsigned first = f.loc.metrics_id;
	struct reader r;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		snprintf(host, sizeof(host), "h%u.test", i);
		f.loc.metrics_id = metrics_location_ref(m, "default", "web", "shop", host, "/");
		request(200, 10);
	}
	read_all(&r, m);
	assert_true(value(&r, REQUESTS, "", "") == 2000);
	reader_done(&r);
	f.loc.metrics_id = first;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_and_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(few_series, setup, teardown),
		cmocka_unit_test_setup_teardown(slots, setup, teardown),
		cmocka_unit_test_setup_teardown(two_workers, setup, teardown),
		cmocka_unit_test_setup_teardown(certificates, setup, teardown),
		cmocka_unit_test_setup_teardown(while_counting, setup, teardown),
		cmocka_unit_test_setup_teardown(ten_thousand, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
