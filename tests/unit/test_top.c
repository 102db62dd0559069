/* What `portico top` makes of two totals. */
#include "roles/cli/top_sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static json_t *doc(const char *text)
{
	json_error_t je;
	json_t *v = json_loads(text, 0, &je);

	if (!v)
		fail_msg("%s: %s", je.text, text);
	return v;
}

static void quantiles(void **state)
{
	cleanup(json_decrefp) json_t *bounds = doc("[1000,2000,4000]");
	static const struct {
		int64_t counts[64];
		double q, ms;
	} rows[] = {
		{ { 0 }, 0.5, -1 },
		{ { 10 }, 0.5, 0.5 },
		{ { 0, 10 }, 0.5, 1.5 },
		{ { 10, 10 }, 0.5, 1 },
		{ { 10, 10 }, 0.75, 1.5 },
		{ { 50, 0, 50 }, 0.99, 3.96 },
		{ { 0, 0, 0, 5 }, 0.5, 4 }, /* beyond the last bound */
		{ { -3, 10 }, 0.5, 1.5 },   /* counters that began anew */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (fabs(top_quantile_ms(rows[i].counts, bounds, rows[i].q) - rows[i].ms) > 1e-9)
			fail_msg("row %zu: %f", i, top_quantile_ms(rows[i].counts, bounds, rows[i].q));
}

#define ROUTE(host, n, n5, duration) \
	"{\"namespace\":\"d\",\"ingress\":\"i\",\"service\":\"s\",\"host\":\"" host "\",\"path\":\"/\",\"requests\":" n \
	",\"status\":[0,0," n ",0,0," n5 "],\"bytesIn\":100,\"bytesOut\":" n "000,\"timeUs\":5,\"duration\":" duration "}"
#define ENDPOINT(n, errors) \
	"{\"backend\":\"d/s:80\",\"address\":\"10.0.0.1:80\",\"pod\":\"\",\"health\":\"healthy\",\"inFlight\":3,\"ewmaUs\":1500," \
	"\"requests\":" n ",\"errors\":" errors ",\"ejectedMs\":0,\"draining\":false}"
#define TOTALS(at, routes, endpoints, accepted) \
	"{\"nowUs\":" at ",\"connections\":{\"active\":9,\"waiting\":4},\"totals\":{\"accepted\":" accepted \
	",\"upstreamReused\":" accepted ",\"upstreamConnects\":0},\"boundsUs\":[1000,2000],\"routes\":[" routes \
	"],\"endpoints\":[" endpoints "]}"

static void rates(void **state)
{
	cleanup(json_decrefp) json_t *before =
		doc(TOTALS("1000000", ROUTE("a", "10", "0", "[[0,10]]"), ENDPOINT("100", "1"), "5"));
	json_t *now = doc(TOTALS("3000000", ROUTE("b", "4", "2", "[[1,4]]") "," ROUTE("a", "110", "1", "[[0,60],[1,50]]"),
				 ENDPOINT("300", "5"), "25"));
	struct top_sample s;

	(void)state;
	top_sample_init(&s, before, now);
	assert_true(fabs(s.seconds - 2) < 1e-9);
	assert_int_equal(s.n_routes, 2);
	assert_string_equal(s.routes[0].host, "a"); /* the busiest first */
	assert_true(fabs(s.routes[0].per_s - 50) < 1e-9);
	assert_true(fabs(s.routes[0].out_per_s - 50000) < 1e-9);
	assert_true(fabs(s.routes[0].class_per_s[5] - 0.5) < 1e-9);
	assert_true(fabs(s.routes[0].p50_ms - 1) < 1e-9);
	assert_true(fabs(s.routes[1].per_s - 2) < 1e-9); /* new: all of it */
	assert_true(fabs(s.all.per_s - 52) < 1e-9);
	assert_true(fabs(s.accepted_per_s - 10) < 1e-9);
	assert_true(fabs(s.reused - 1) < 1e-9);
	assert_true(fabs(s.endpoints[0].per_s - 100) < 1e-9);
	assert_true(fabs(s.endpoints[0].errors_per_s - 2) < 1e-9);
	assert_true(fabs(s.endpoints[0].average_ms - 1.5) < 1e-9);
	cleanup(json_decrefp) json_t *v = top_sample_json(&s);
	assert_true(fabs(json_real_value(jx_at(json_array_get(jx_at(v, "routes"), 0), "requestsPerSecond")) - 50) < 1e-9);
	assert_int_equal(jx_int(v, "connections.active", 0), 9);
	top_sample_done(&s);
}

/* The proxy was started again in between: counters fell. */
static void restarted(void **state)
{
	cleanup(json_decrefp) json_t *before =
		doc(TOTALS("1000000", ROUTE("a", "1000", "0", "[[1,1000]]"), ENDPOINT("100", "1"), "50"));
	json_t *now = doc(TOTALS("2000000", ROUTE("a", "20", "0", "[[0,20]]"), ENDPOINT("7", "0"), "3"));
	struct top_sample s;

	(void)state;
	top_sample_init(&s, before, now);
	assert_true(fabs(s.routes[0].per_s - 20) < 1e-9);
	assert_true(s.routes[0].p99_ms <= 1);
	assert_true(fabs(s.endpoints[0].per_s - 7) < 1e-9);
	top_sample_done(&s);
}

static void empty(void **state)
{
	struct top_sample s;

	(void)state;
	top_sample_init(&s, NULL, doc("{}"));
	assert_int_equal(s.n_routes, 0);
	assert_true(s.all.p50_ms < 0);
	cleanup(json_decrefp) json_t *v = top_sample_json(&s);
	assert_non_null(v);
	top_sample_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles), cmocka_unit_test(rates), cmocka_unit_test(restarted), cmocka_unit_test(empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
