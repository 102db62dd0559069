/* Balancing: who gets how much, who is left out, and when. The clock is the tests' own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "roles/ingress/upstream/balance_int.h"
#include "ingress_fake_upstream.h"

static struct fake f;
static struct fake_backend fb;
static uint64_t now_ms;

static void begin(size_t n)
{
	fake_init(&f, "GET", "http://a.test/");
	fake_backend_init(&fb, "default-web-80", n, 0);
	f.loc.backend = f.x.backend = &fb.b;
	now_ms = 1000000;
}

static void end(void)
{
	fake_backend_done(&fb);
	fake_done(&f);
}

static int index_of(const struct endpoint *e)
{
	return e ? (int)(e - fb.e) : -1;
}

/* A request's only try; it stays in flight. */
static struct endpoint *pick(void)
{
	bool full;

	f.x.n_tried = 0;
	struct endpoint *e = balance_pick_at(&f.x, &fb.b, now_ms, &full);
	if (e)
		endpoint_unref(e);
	return e;
}

static void done(struct endpoint *e, bool failed, uint64_t us)
{
	balance_done_at(&f.x, e, failed, us, now_ms);
}

/* `n` requests one after another; how many each endpoint got. */
static void spread(unsigned n, unsigned got[])
{
	memset(got, 0, fb.es.n * sizeof(*got));
	for (unsigned i = 0; i < n; i++) {
		struct endpoint *e = pick();
		assert_non_null(e);
		got[index_of(e)]++;
		done(e, false, 1000);
	}
}

static void test_round_robin(void **state)
{
	unsigned got[4];

	(void)state;
	begin(4);
	spread(4000, got);
	for (int i = 0; i < 4; i++)
		assert_int_equal(got[i], 1000);
	assert_int_equal(fb.b.in_flight, 0);
	assert_int_equal(fb.e[0].in_flight, 0);
	assert_int_equal(fb.e[0].requests, 1000);
	end();
}

/* What one endpoint cannot take is spread over the others, not given to its neighbour. */
static void test_share_of_the_missing(void **state)
{
	unsigned got[4];

	(void)state;
	begin(4);
	fb.e[1].health = HEALTH_DOWN;
	spread(6000, got);
	assert_int_equal(got[1], 0);
	for (int i = 0; i < 4; i++)
		if (i != 1)
			assert_in_range(got[i], 1850, 2150);
	end();
}

static void test_none_and_all_down(void **state)
{
	unsigned got[3];
	bool full = true;

	(void)state;
	begin(0);
	assert_null(balance_pick_at(&f.x, &fb.b, now_ms, &full));
	assert_false(full);
	end();
	begin(3);
	for (int i = 0; i < 3; i++)
		fb.e[i].health = HEALTH_DOWN;
	spread(3000, got);
	for (int i = 0; i < 3; i++)
		assert_in_range(got[i], 850, 1150);
	end();
}

/* Tries go to other endpoints until there are no more; then again. */
static void test_tries(void **state)
{
	static const enum load_balance all[] = { BALANCE_ROUND_ROBIN, BALANCE_EWMA, BALANCE_LEAST_REQUESTS };

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(all); a++) {
		unsigned seen = 0;
		bool full;
		begin(3);
		f.set.load_balance = all[a];
		for (int i = 0; i < 3; i++) {
			struct endpoint *e = balance_pick_at(&f.x, &fb.b, now_ms, &full);
			seen |= 1u << index_of(e);
			fake_tried(&f.x, e);
		}
		assert_int_equal(seen, 7);
		for (int i = 0; i < EXCHANGE_TRIED_MAX + 2; i++) {
			struct endpoint *e = balance_pick_at(&f.x, &fb.b, now_ms, &full);
			assert_non_null(e);
			fake_tried(&f.x, e);
		}
		end();
	}
}

static void test_draining(void **state)
{
	unsigned got[3];
	bool full;

	(void)state;
	begin(3);
	fb.draining[0] = true;
	spread(1000, got);
	assert_int_equal(got[0], 0);
	/* last resort: the others were tried, or are down, or are gone */
	f.x.tried[0] = fb.e[1].id;
	f.x.tried[1] = fb.e[2].id;
	f.x.n_tried = 2;
	assert_int_equal(index_of(balance_pick_at(&f.x, &fb.b, now_ms, &full)), 0);
	fb.e[1].health = fb.e[2].health = HEALTH_DOWN;
	assert_int_equal(index_of(pick()), 0);
	end();
}

static void test_least_requests(void **state)
{
	unsigned got[2];

	(void)state;
	begin(2);
	f.set.load_balance = BALANCE_LEAST_REQUESTS;
	fb.e[0].in_flight = 5;
	for (int i = 0; i < 4; i++)
		assert_int_equal(index_of(pick()), 1);
	fb.e[0].in_flight = fb.e[1].in_flight = 0;
	spread(2000, got); /* ties are even */
	assert_in_range(got[0], 850, 1150);
	end();
}

/* Of many, the busy one gets what two random choices leave it: almost nothing. */
static void test_two_choices(void **state)
{
	unsigned got[10];

	(void)state;
	begin(10);
	f.set.load_balance = BALANCE_LEAST_REQUESTS;
	fb.e[3].in_flight = 100;
	spread(5000, got);
	assert_int_equal(got[3], 0);
	for (int i = 0; i < 10; i++)
		if (i != 3)
			assert_in_range(got[i], 400, 720);
	end();
}

static void test_ewma(void **state)
{
	unsigned got[2] = { 0 };

	(void)state;
	begin(2);
	f.set.load_balance = BALANCE_EWMA;
	for (int i = 0; i < 200; i++) { /* one is ten times as fast */
		now_ms += 50;
		struct endpoint *e = pick();
		done(e, false, index_of(e) ? 1000 : 10000);
	}
	spread(100, got);
	assert_int_equal(got[0], 0);
	assert_in_range(fb.e[1].ewma_us, 900, 1100);
	/* its line counts too */
	fb.e[1].in_flight = 100;
	assert_int_equal(index_of(pick()), 0);
	fb.e[1].in_flight = 0;
	/* forgotten with time: half a minute later 10 ms weigh 0.5 */
	now_ms += 30000;
	fb.e[1].ewma_at_ms = now_ms;
	assert_int_equal(index_of(pick()), 0);
	/* quick failures do not make it look fast */
	uint32_t before = fb.e[1].ewma_us;
	now_ms += 5000;
	fb.e[1].in_flight++;
	fb.b.in_flight++;
	done(&fb.e[1], true, 10);
	assert_int_equal(fb.e[1].ewma_us, before);
	end();
}

static void test_slow_start(void **state)
{
	static const struct {
		uint64_t age_ms;
		double share; /* of a full one's */
	} rows[] = { { 0, 0.10 }, { 1000, 0.10 }, { 10000, 0.33 }, { 20000, 0.66 }, { 30000, 1 }, { 90000, 1 } };
	unsigned got[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(5);
		f.set.slow_start_s = 30;
		fb.e[2].since_ms = now_ms - rows[i].age_ms;
		spread(20000, got);
		double others = (20000.0 - got[2]) / 4, share = got[2] / others;
		if (share < rows[i].share - 0.05 || share > rows[i].share + 0.05)
			fail_msg("at %d ms: %.2f of a share", (int)rows[i].age_ms, share);
		end();
	}
	/* when all are young, all are used */
	begin(2);
	f.set.slow_start_s = 30;
	fb.e[0].since_ms = fb.e[1].since_ms = now_ms;
	spread(1000, got);
	assert_in_range(got[0], 350, 650);
	end();
}

static void test_circuit(void **state)
{
	bool full = false;

	(void)state;
	begin(2);
	f.set.max_connections = 3;
	for (int i = 0; i < 6; i++)
		assert_non_null(pick());
	assert_int_equal(fb.e[0].in_flight, 3);
	assert_null(balance_pick_at(&f.x, &fb.b, now_ms, &full));
	assert_true(full);
	done(&fb.e[1], false, 1);
	assert_int_equal(index_of(pick()), 1);
	end();

	begin(1);
	f.set.max_pending = 2;
	struct endpoint *e = pick();
	f.x.head_awaited = false; /* that one was another exchange */
	assert_non_null(pick());
	assert_null(pick());
	f.x.head_awaited = true;
	balance_head(&f.x, e); /* answered, still in flight */
	assert_non_null(pick());
	balance_head(&f.x, e);
	balance_head(&f.x, e); /* counts once */
	assert_int_equal(e->waiting, 1);
	f.x.head_awaited = true;
	done(e, false, 1);
	assert_int_equal(e->waiting, 0);
	end();
}

static void fail_times(int which, int times)
{
	for (int i = 0; i < times; i++) {
		fb.e[which].in_flight++;
		fb.b.in_flight++;
		done(&fb.e[which], true, 100);
	}
}

static void test_ejection(void **state)
{
	unsigned got[4];

	(void)state;
	begin(4);
	f.set.outlier_consecutive_errors = 5;
	f.set.outlier_eject_s = 30;
	fail_times(0, 4);
	fb.e[0].in_flight++;
	fb.b.in_flight++;
	done(&fb.e[0], false, 100); /* in a row means in a row */
	fail_times(0, 4);
	assert_int_equal(fb.e[0].ejected_until_ms, 0);
	fail_times(0, 1);
	assert_int_equal(fb.e[0].ejected_until_ms, now_ms + 30000);
	spread(400, got);
	assert_int_equal(got[0], 0);
	now_ms += 29999;
	spread(400, got);
	assert_int_equal(got[0], 0);
	now_ms += 1;
	spread(400, got);
	assert_int_equal(got[0], 100);
	/* the second time is longer */
	fail_times(0, 5);
	assert_int_equal(fb.e[0].ejected_until_ms, now_ms + 60000);
	/* half forgiven after half a minute of good behaviour */
	now_ms += 60000 + 30000;
	fail_times(0, 5);
	assert_int_equal(fb.e[0].ejected_until_ms, now_ms + 60000);
	now_ms += 60000;
	for (int i = 0; i < 30; i++) {
		fail_times(0, 5);
		now_ms = fb.e[0].ejected_until_ms;
	}
	fail_times(0, 5);
	assert_int_equal(fb.e[0].ejected_until_ms, now_ms + 300000); /* capped */
	/* forgiven after long good behaviour */
	now_ms = fb.e[0].ejected_until_ms + 40 * 30000;
	fail_times(0, 5);
	assert_int_equal(fb.e[0].ejected_until_ms, now_ms + 30000);
	end();
}

/* Half of a backend at most; a single endpoint never. */
static void test_ejection_share(void **state)
{
	static const struct {
		size_t n, ejected;
	} rows[] = { { 1, 0 }, { 2, 1 }, { 3, 1 }, { 4, 2 }, { 10, 5 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t ejected = 0;
		begin(rows[i].n);
		f.set.outlier_consecutive_errors = 2;
		f.set.outlier_eject_s = 10;
		for (size_t k = 0; k < rows[i].n; k++)
			fail_times((int)k, 2);
		for (size_t k = 0; k < rows[i].n; k++)
			ejected += fb.e[k].ejected_until_ms > now_ms;
		assert_int_equal(ejected, rows[i].ejected);
		end();
	}
}

static void test_retry_budget(void **state)
{
	static const struct {
		uint32_t in_flight;
		unsigned percent, allowed;
	} rows[] = { { 0, 20, 3 }, { 10, 20, 3 }, { 100, 20, 20 }, { 1000, 5, 50 }, { 1000, 0, 3 }, { 4, 100, 4 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned allowed = 0;
		begin(1);
		f.set.retry_budget_percent = rows[i].percent;
		fb.b.in_flight = rows[i].in_flight;
		while (balance_retry_begin(&f.x, &fb.b))
			allowed++;
		assert_int_equal(allowed, rows[i].allowed);
		assert_int_equal(fb.b.retries_in_flight, allowed);
		balance_retry_done(&fb.b);
		assert_true(balance_retry_begin(&f.x, &fb.b));
		end();
	}
}

/* ---- hashing ---- */

static int owner(const struct fake_backend *of, const char *key, struct hash_ring *r)
{
	struct hash_walk w;
	size_t at;

	hash_walk_begin(&w, r, str_of(key));
	assert_true(hash_walk_next(&w, &at));
	return (int)of->e[at].id;
}

#define KEYS 20000

static void test_ring_movement(void **state)
{
	static struct fake_backend ten, nine;
	unsigned moved = 0, from_others = 0, shares[10] = { 0 };
	char key[32];

	(void)state;
	fake_backend_init(&ten, "default-web-80", 10, 0);
	fake_backend_init(&nine, "default-web-80", 10, 0);
	memmove(&nine.at[4], &nine.at[5], 5 * sizeof(nine.at[0])); /* without the fifth; order does not matter */
	nine.es.n = 9;
	struct endpoint *first = nine.at[0];
	nine.at[0] = nine.at[8];
	nine.at[8] = first;
	struct hash_ring *a = hash_ring_of(&ten.b, &ten.es), *b = hash_ring_of(&nine.b, &nine.es);
	for (unsigned i = 0; i < KEYS; i++) {
		struct hash_walk w;
		size_t at;
		snprintf(key, sizeof(key), "user-%u", i);
		int was = owner(&ten, key, a);
		hash_walk_begin(&w, b, str_of(key));
		assert_true(hash_walk_next(&w, &at));
		shares[was - 1000]++;
		if ((int)nine.at[at]->id == was)
			continue;
		moved++;
		from_others += was != 1004;
	}
	assert_int_equal(from_others, 0); /* only what the fifth had */
	assert_in_range(moved, KEYS * 7 / 100, KEYS * 13 / 100);
	for (int i = 0; i < 10; i++)
		assert_in_range(shares[i], KEYS * 6 / 100, KEYS * 14 / 100);
	fake_backend_done(&ten);
	fake_backend_done(&nine);
}

/* Points as nginx places them (computed apart, with Python's zlib.crc32). */
static void test_ring_is_nginx(void **state)
{
	static const struct {
		const char *key, *owner;
	} rows[] = {
#include "ingress_ring_rows.h"
	};

	(void)state;
	begin(5);
	struct hash_ring *r = hash_ring_of(&fb.b, &fb.es);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(fb.e[owner(&fb, rows[i].key, r) - 1000].text, rows[i].owner);
	end();
}

static void test_hash_by(void **state)
{
	unsigned got[6];

	(void)state;
	begin(6);
	f.set.upstream_hash_by = fake_text_is("user-1", struct variable_text);
	struct endpoint *own = pick();
	for (int i = 0; i < 50; i++)
		assert_ptr_equal(pick(), own);
	/* its keys go elsewhere while it is down, all to one, and come back */
	own->health = HEALTH_DOWN;
	struct endpoint *other = pick();
	assert_ptr_not_equal(other, own);
	for (int i = 0; i < 50; i++)
		assert_ptr_equal(pick(), other);
	own->health = HEALTH_UP;
	assert_ptr_equal(pick(), own);
	fb.draining[index_of(own)] = true;
	assert_ptr_equal(pick(), other);
	/* a retry leaves it */
	fb.draining[index_of(own)] = false;
	bool full;
	f.x.tried[0] = own->id;
	f.x.n_tried = 1;
	assert_ptr_equal(balance_pick_at(&f.x, &fb.b, now_ms, &full), other);
	/* fail open */
	for (int i = 0; i < 6; i++)
		fb.e[i].health = HEALTH_DOWN;
	assert_non_null(pick());
	/* the subset: some of them, evenly */
	for (int i = 0; i < 6; i++)
		fb.e[i].health = HEALTH_UP;
	f.set.upstream_hash_by_subset = true;
	f.set.upstream_hash_by_subset_size = 3;
	spread(3000, got);
	unsigned used = 0;
	for (int i = 0; i < 6; i++) {
		used += got[i] > 0;
		if (got[i])
			assert_in_range(got[i], 850, 1150);
	}
	assert_int_equal(used, 3);
	/* larger than the set */
	f.set.upstream_hash_by_subset_size = 50;
	spread(600, got);
	for (int i = 0; i < 6; i++)
		assert_in_range(got[i], 50, 150);
	end();
}

static void test_hash_by_odd(void **state)
{
	char *endless = xmalloc(HASH_KEY_BYTES_MAX + 2);

	(void)state;
	begin(3);
	f.set.upstream_hash_by = fake_text_is("", struct variable_text);
	assert_non_null(pick());
	memset(endless, 'k', HASH_KEY_BYTES_MAX + 1);
	endless[HASH_KEY_BYTES_MAX + 1] = '\0';
	f.set.upstream_hash_by = fake_text_is(endless, struct variable_text);
	assert_non_null(pick());
	free(endless);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_robin), cmocka_unit_test(test_share_of_the_missing),
		cmocka_unit_test(test_none_and_all_down), cmocka_unit_test(test_tries), cmocka_unit_test(test_draining),
		cmocka_unit_test(test_least_requests), cmocka_unit_test(test_two_choices), cmocka_unit_test(test_ewma),
		cmocka_unit_test(test_slow_start), cmocka_unit_test(test_circuit), cmocka_unit_test(test_ejection),
		cmocka_unit_test(test_ejection_share), cmocka_unit_test(test_retry_budget),
		cmocka_unit_test(test_ring_movement), cmocka_unit_test(test_ring_is_nginx), cmocka_unit_test(test_hash_by),
		cmocka_unit_test(test_hash_by_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
