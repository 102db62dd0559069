/* How fast a paced answer goes, by a clock of the test's own. The exchange, its two sides and the timers are here. */
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define KIB 1024ull
#define RATE (50 * KIB)
#define READ_AHEAD (256u << 10)

static struct {
	struct exchange x;
	struct worker worker;
	uint64_t now_ms;
	struct timer *timer; /* the one that runs */
	uint64_t due_ms;
	unsigned ticks;
	/* the client */
	size_t pending; /* what it has not taken; `stuck`: all of it */
	bool stuck;
	uint64_t took, most_held;
	bool ended, trailers, aborted;
	char last;
	/* the upstream */
	bool wanted, dropped;
} g;

/* ---- what is around a pace ---- */

uint64_t x_now_us(const struct exchange *x)
{
	(void)x;
	return g.now_ms * 1000;
}

void timer_start(struct loop *l, struct timer *t, uint64_t after_ms)
{
	(void)l;
	g.timer = t;
	g.due_ms = g.now_ms + after_ms;
}

void timer_stop(struct timer *t)
{
	assert_true(!g.timer || g.timer == t);
	g.timer = NULL;
}

bool timer_active(const struct timer *t)
{
	return g.timer == t;
}

void exchange_answer_pass(struct exchange *x, struct str data, bool end)
{
	assert_false(g.ended);
	x->answer_body_bytes += data.len;
	g.took += data.len;
	if (data.len)
		g.last = data.ptr[data.len - 1];
	if (g.stuck)
		g.pending += data.len;
	g.ended = end;
	if (end)
		x->closing = true;
}

void exchange_answer_trailers(struct exchange *x, const struct header_list *h)
{
	g.trailers = h->n > 0;
	exchange_answer_pass(x, STR_NONE, true);
}

void exchange_abort(struct exchange *x)
{
	g.aborted = true;
	x->closing = true;
}

size_t exchange_read_ahead_bytes(const struct exchange *x)
{
	(void)x;
	return READ_AHEAD;
}

void attempt_drop(struct exchange *x, bool failed)
{
	assert_false(failed);
	g.dropped = true;
	x->up = NULL;
}

void attempt_answer_goes_on(struct exchange *x)
{
	assert_false(x->answer_paused);
}

static size_t pending(const struct exchange *x)
{
	(void)x;
	return g.pending;
}

static void want_answer(struct exchange *x, bool on)
{
	(void)x;
	assert_int_not_equal(g.wanted, on);
	g.wanted = on;
}

static void want_request(struct exchange *x, bool on)
{
	(void)x;
	assert_true(on);
}

static const struct down_ops down_ops = { .pending = pending, .want_body = want_request };
static const struct up_ops up_ops = { .want_body = want_answer };

static void begin(uint64_t rate, uint64_t after)
{
	memset(&g, 0, sizeof(g));
	g.now_ms = 1000000;
	g.x = (struct exchange){ .worker = &g.worker, .down_ops = &down_ops, .up_ops = &up_ops, .up = &g,
				 .started_us = g.now_ms * 1000, .state = X_ANSWER };
	arena_init(&g.x.arena, 1 << 16);
	g.wanted = true;
	pace_begin(&g.x, rate, after);
}

static void finish(void)
{
	if (g.x.pace) {
		pace_stop(&g.x);
		pace_free(&g.x);
	}
	arena_done(&g.x.arena);
}

/* Time goes on to the timer. False: there is none. */
static bool tick(void)
{
	struct timer *t = g.timer;

	if (!t)
		return false;
	assert_true(g.due_ms >= g.now_ms);
	g.now_ms = g.due_ms;
	g.timer = NULL;
	g.ticks++;
	t->fire(t);
	return true;
}

static uint64_t elapsed(void)
{
	return g.now_ms - 1000000;
}

/* Never more than the second ahead. */
static void bounded(uint64_t rate, uint64_t after)
{
	if (g.took > after + rate + rate * elapsed() / 1000)
		fail_msg("%llu bytes after %llu ms", (unsigned long long)g.took, (unsigned long long)elapsed());
}

/* An upstream that sends `size` bytes as fast as it may, in parts. */
static void serve(uint64_t rate, uint64_t after, uint64_t size, size_t part)
{
	static char bytes[1 << 20];
	uint64_t sent = 0;

	begin(rate, after);
	do {
		while (g.wanted && sent < size && !g.x.closing) {
			size_t n = MIN(part, size - sent);
			memset(bytes, '.', n);
			sent += n;
			if (sent == size)
				bytes[n - 1] = '!';
			pace_body(&g.x, (struct str){ bytes, n }, sent == size);
			bounded(rate, after);
			assert_in_range(sent - g.took, 0, READ_AHEAD + part);
		}
		bounded(rate, after);
	} while (!g.x.closing && tick());
	assert_true(g.ended);
	assert_false(g.aborted);
	assert_int_equal(g.took, size);
	assert_int_equal(g.last, '!');
	assert_null(g.timer);
}

/* ---- tests ---- */

static void times(void **state)
{
	static const struct {
		uint64_t rate, after, size;
		size_t part;
		uint64_t least_ms, most_ms;
		unsigned ticks_max;
	} rows[] = {
		{ RATE, 0, 200 * KIB, 4096, 3000, 3001, 16 },
		{ RATE, 0, 200 * KIB, 1 << 20, 3000, 3001, 16 },
		{ RATE, 0, 50 * KIB, 4096, 0, 0, 0 }, /* a second ahead */
		{ RATE, 0, 50 * KIB + 1, 4096, 1, 1, 1 },
		{ RATE, 100 * KIB, 200 * KIB, 4096, 1000, 1001, 6 },
		{ RATE, 100 * KIB, 150 * KIB, 4096, 0, 0, 0 },
		{ RATE, 1000 * KIB, 1050 * KIB, 1 << 20, 0, 0, 0 },
		{ KIB, 0, 2000 * KIB, 65536, 1999000, 1999001, 8000 },
		{ 1, 0, 10, 3, 9000, 9000, 9 },
		{ 3, 0, 10, 10, 2334, 2334, 9 },
		{ 1u << 30, 0, 64u << 20, 65536, 0, 0, 0 },
		{ 100 * KIB, 0, 10u << 20, 65536, 101400, 101401, 420 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("row %zu\n", i);
		serve(rows[i].rate, rows[i].after, rows[i].size, rows[i].part);
		assert_in_range(elapsed(), rows[i].least_ms, rows[i].most_ms);
		assert_in_range(g.ticks, 0, rows[i].ticks_max);
		finish();
	}
}

static void numbers(void **state)
{
	static const uint64_t big = PACE_RATE_MAX - 1;

	(void)state;
	assert_int_equal(pace_credit(RATE, 0, 0, 0), RATE);
	assert_int_equal(pace_credit(RATE, 100, 0, 500), RATE + RATE / 2 + 100);
	assert_int_equal(pace_credit(RATE, 0, 10 * RATE, 1000), 0);
	assert_true(pace_credit(big, UINT64_MAX / 4, 0, UINT64_MAX / 2) > UINT64_MAX / 4); /* it does not go round */
	assert_int_equal(pace_wait_ms(RATE, 0, RATE, 0, 1), 1);
	assert_int_equal(pace_wait_ms(RATE, 0, RATE, 0, RATE), 1000);
	assert_int_equal(pace_wait_ms(RATE, 0, RATE, 700, RATE), 300);
	assert_int_equal(pace_wait_ms(RATE, 0, 0, 0, RATE), 0);
	assert_int_equal(pace_wait_ms(1, 0, 1000000, 0, 1), 1000000000);
	for (uint64_t rate = 1; rate < big / 7; rate *= 7)
		for (uint64_t more = 1; more < 1000; more = more * 3 + 1) {
			uint64_t wait = pace_wait_ms(rate, 0, rate, 0, more);
			assert_true(pace_credit(rate, 0, rate, wait) >= more); /* long enough, and no longer */
			assert_true(pace_credit(rate, 0, rate, wait - 1) < more);
		}
}

static void none(void **state)
{
	(void)state;
	begin(0, 5);
	assert_null(g.x.pace);
	finish();
	begin(PACE_RATE_MAX, 5);
	assert_null(g.x.pace);
	assert_int_equal(g.x.body_filters, 0);
	finish();
}

static void fill(size_t n, bool end)
{
	static char bytes[1 << 20];

	memset(bytes, 'x', sizeof(bytes));
	pace_body(&g.x, (struct str){ bytes, n }, end);
}

/* Others hold what a worker may: this one has what one read brings, and is whole and as fast all the same. */
static void crowded(void **state)
{
	(void)state;
	begin(RATE, 0);
	g.worker.paced_bytes = PACE_HELD_MAX_BYTES + 1;
	fill(RATE, false);
	fill(32 * KIB, false);
	assert_true(g.wanted);
	fill(16 * KIB, false);
	assert_false(g.wanted);
	assert_true(g.worker.paced_bytes > PACE_HELD_MAX_BYTES + 48 * KIB);
	while (!g.wanted && tick())
		bounded(RATE, 0);
	assert_in_range(RATE + 48 * KIB - g.took, 1, 16 * KIB);
	g.worker.paced_bytes -= PACE_HELD_MAX_BYTES; /* they have gone */
	fill(READ_AHEAD - 16 * KIB, false);
	assert_true(g.wanted);
	fill(READ_AHEAD, true);
	while (tick())
		bounded(RATE, 0);
	assert_true(g.ended);
	assert_in_range(elapsed(), 1000 * (32 * KIB + 2 * READ_AHEAD) / RATE, 1000 * (32 * KIB + 2 * READ_AHEAD) / RATE + 1);
	finish();
	assert_int_equal(g.worker.paced_bytes, 1);
}

/* It waits while there is much, nobody is blamed for that, and it is let go when it has given all. */
static void upstream_waits(void **state)
{
	(void)state;
	begin(RATE, 0);
	fill(RATE, false);
	assert_int_equal(g.took, RATE);
	assert_null(g.timer);
	assert_false(pace_waits_for_time(&g.x));
	fill(100, false);
	assert_non_null(g.timer);
	assert_true(g.wanted);
	assert_false(pace_waits_for_time(&g.x)); /* the upstream may be late: it is not stopped */
	fill(READ_AHEAD, false);
	assert_false(g.wanted);
	assert_true(g.x.answer_paused);
	assert_true(pace_waits_for_time(&g.x));
	while (!g.wanted && tick())
		bounded(RATE, 0);
	assert_in_range(RATE + 100 + READ_AHEAD - g.took, 1, CONN_LOW_WATER_BYTES);
	assert_false(g.dropped);
	fill(10, true);
	assert_true(g.dropped);
	assert_true(g.x.answer_own); /* the rest of the request is dropped */
	assert_true(pace_waits_for_time(&g.x));
	while (tick())
		;
	assert_int_equal(g.took, RATE + 110 + READ_AHEAD);
	assert_true(g.ended);
	finish();
}

/* What it does not take waits here, within bounds; time goes on meanwhile, as in nginx. */
static void client_waits(void **state)
{
	(void)state;
	begin(RATE, 1u << 20);
	g.stuck = true;
	fill(CONN_HIGH_WATER_BYTES + 1, false);
	assert_int_equal(g.took, CONN_HIGH_WATER_BYTES + 1);
	fill(1000, false);
	assert_int_equal(g.took, CONN_HIGH_WATER_BYTES + 1);
	assert_null(g.timer);
	assert_true(pace_waits_for_client(&g.x));
	assert_false(pace_waits_for_time(&g.x));
	fill(READ_AHEAD, true);
	assert_false(g.ended);
	g.stuck = false;
	g.pending = 0;
	g.x.slow_client = true;
	pace_drained(&g.x);
	assert_false(g.x.slow_client);
	assert_true(g.ended);
	assert_int_equal(g.took, CONN_HIGH_WATER_BYTES + 1 + 1000 + READ_AHEAD);
	finish();
}

/* A client that was slow and reads again finds the time still running. */
static void drained_while_time_runs(void **state)
{
	(void)state;
	begin(RATE, 0);
	fill(RATE + 5000, false);
	assert_non_null(g.timer);
	pace_drained(&g.x);
	assert_int_equal(g.took, RATE);
	assert_true(tick());
	assert_int_equal(g.took, RATE + 5000);
	finish();
}

static void trailers_come_last(void **state)
{
	struct http_header one = { STR("x-sum"), STR("7") };
	struct header_list l = { &one, 1, 1 };

	(void)state;
	begin(RATE, 0);
	fill(RATE + 5, false);
	pace_trailers(&g.x, &l);
	assert_false(g.trailers);
	while (tick())
		;
	assert_true(g.trailers && g.ended);
	assert_int_equal(g.took, RATE + 5);
	finish();
	begin(RATE, 0);
	fill(5, false);
	pace_trailers(&g.x, &l);
	assert_true(g.trailers && g.ended);
	finish();
}

/* The end alone; more than anybody may hold. */
static void edges(void **state)
{
	(void)state;
	begin(RATE, 0);
	fill(0, true);
	assert_true(g.ended);
	finish();
	begin(RATE, 0);
	for (int i = 0; i < 64 && !g.aborted; i++)
		fill(1 << 20, false);
	assert_true(g.aborted);
	finish();
	assert_null(g.timer);
}

/* Which answers: those that nginx would buffer, by the annotations or by what the upstream says. */
static void which(void **state)
{
	static const struct {
		struct settings set;
		const char *says;
		struct exchange x; /* what of it counts */
		bool wanted;
		uint64_t first; /* of a mebibyte: what goes at once */
	} rows[] = {
		{ { .limit_rate_kib = 50 }, NULL, { 0 }, false, 0 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, NULL, { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true, .backend_protocol = PROTOCOL_HTTPS }, NULL, { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true, .backend_protocol = PROTOCOL_GRPC }, NULL, { 0 }, false, 0 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true, .backend_protocol = PROTOCOL_GRPCS }, NULL, { 0 }, false, 0 },
		{ { .limit_rate_kib = 50, .backend_protocol = PROTOCOL_FCGI }, NULL, { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .limit_rate_after_kib = 20, .proxy_buffering = true }, NULL, { 0 }, true, 70 * KIB },
		{ { .limit_rate_after_kib = 20, .proxy_buffering = true }, NULL, { 0 }, true, 0 },
		{ { .proxy_buffering = true }, NULL, { 0 }, true, 0 },
		{ { .proxy_buffering = true }, "1000", { 0 }, true, 1000 },
		{ { .limit_rate_kib = 50, .limit_rate_after_kib = 20, .proxy_buffering = true }, "1000", { 0 }, true, 1000 + 20 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "0", { 0 }, true, 0 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "", { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "1k", { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "-1", { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "99999999999999999999", { 0 }, true, 50 * KIB },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, "9223372036854775807", { 0 }, true, 0 },
		{ { .limit_rate_kib = 1000000000, .limit_rate_after_kib = 1000000000, .proxy_buffering = true }, NULL, { 0 }, true, 1 << 20 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, NULL, { .answer_own = true }, true, 0 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, NULL, { .state = X_TUNNEL }, true, 0 },
		{ { .limit_rate_kib = 50, .proxy_buffering = true }, NULL, { .ans.no_body = true }, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct location loc = { .set = &rows[i].set };
		struct http_header says = { STR("X-Accel-Limit-Rate"), str_of(rows[i].says) };

		print_message("row %zu\n", i);
		assert_int_equal(filter_pace.wanted(&loc, NULL), rows[i].wanted);
		begin(0, 0);
		g.x.loc = &loc;
		g.x.state = rows[i].x.state ? rows[i].x.state : X_SENT;
		g.x.answer_own = rows[i].x.answer_own;
		g.x.ans.no_body = rows[i].x.ans.no_body;
		g.x.ans.headers = (struct header_list){ &says, rows[i].says ? 1 : 0, 1 };
		if (rows[i].wanted)
			assert_int_equal(filter_pace.answer(&g.x, NULL), FILTER_NEXT);
		assert_int_equal(g.x.pace != NULL, rows[i].first != 0);
		assert_int_equal(g.x.body_filters, rows[i].first ? BODY_PACED : 0);
		if (g.x.pace)
			fill(1 << 20, false);
		assert_int_equal(g.took, rows[i].first);
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times), cmocka_unit_test(numbers), cmocka_unit_test(none), cmocka_unit_test(upstream_waits), cmocka_unit_test(crowded),
		cmocka_unit_test(client_waits), cmocka_unit_test(drained_while_time_runs), cmocka_unit_test(trailers_come_last),
		cmocka_unit_test(edges), cmocka_unit_test(which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
