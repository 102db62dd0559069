/* Keys of session tickets, by clocks of the test's own. */
#include "roles/ingress/tls/tickets.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "net_pki.h"

#define HOUR_MS ((int64_t)TICKET_KEY_CHANGE_MS)
#define START_WALL_MS (490000 * HOUR_MS + HOUR_MS / 2) /* in the middle of an hour */

static struct err e;
static struct pki pki;

/* ---- replicas: each a clock, keys and a server ---- */

struct replica {
	struct ticket_time at;
	struct tickets *tickets;
	SSL_CTX *server;
};

static void replica_init(struct replica *r, uint64_t now_ms, int64_t wall_ms)
{
	r->at = (struct ticket_time){ now_ms, wall_ms };
	r->tickets = tickets_new(NULL, r->at, &e);
	r->server = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(r->server, pki.cert);
	SSL_CTX_use_PrivateKey(r->server, pki.key);
	SSL_CTX_set_session_cache_mode(r->server, SSL_SESS_CACHE_OFF);
	tickets_use(r->tickets, r->server);
}

static void replica_done(struct replica *r)
{
	SSL_CTX_free(r->server);
	tickets_free(r->tickets);
}

static void wait_ms(struct replica *r, int64_t ms)
{
	r->at.now_ms += (uint64_t)ms;
	r->at.wall_ms += ms;
	tickets_tick(r->tickets, r->at);
}

/* `byte`: what the secret consists of; 0: none. */
static void give(struct replica *r, char byte, unsigned life_s)
{
	struct ticket_secret secret = { .len = byte ? 48 : 0 };

	memset(secret.bytes, byte, sizeof(secret.bytes));
	assert_int_equal(tickets_set(r->tickets, &secret, life_s, r->at, &e), 0);
}

static void talk(SSL *a, SSL *b)
{
	char byte;

	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(a);
		SSL_do_handshake(b);
	}
	assert_int_equal(SSL_write(b, "x", 1), 1);
	assert_int_equal(SSL_read(a, &byte, 1), 1);
}

/* Returns a session; *ret_resumed: was `old` taken? */
static SSL_SESSION *meet(const struct replica *r, SSL_SESSION *old, int version, bool *ret_resumed)
{
	SSL_CTX *cc = SSL_CTX_new(TLS_client_method());
	BIO *one = BIO_new(BIO_s_mem()), *two = BIO_new(BIO_s_mem());

	SSL_CTX_set_max_proto_version(cc, version);
	SSL *c = SSL_new(cc), *s = SSL_new(r->server);
	BIO_up_ref(one);
	BIO_up_ref(two);
	SSL_set_bio(c, one, two);
	SSL_set_bio(s, two, one);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	if (old)
		SSL_set_session(c, old);
	talk(c, s);
	*ret_resumed = SSL_session_reused(c);
	SSL_SESSION *session = SSL_get1_session(c);
	SSL_shutdown(c);
	SSL_shutdown(s);
	SSL_free(c);
	SSL_free(s);
	SSL_CTX_free(cc);
	return session;
}

static bool takes(const struct replica *r, SSL_SESSION *s, int version)
{
	bool resumed;

	SSL_SESSION_free(meet(r, s, version, &resumed));
	return resumed;
}

static SSL_SESSION *fresh(const struct replica *r, int version)
{
	bool resumed;
	SSL_SESSION *s = meet(r, NULL, version, &resumed);

	assert_false(resumed);
	return s;
}
#define EACH_VERSION(v) for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++)

/* A ticket's key name, which it begins with (RFC 5077, section 4). */
static void key_name(SSL_SESSION *s, char name[33])
{
	const unsigned char *ticket;
	size_t len;

	SSL_SESSION_get0_ticket(s, &ticket, &len);
	assert_true(len > 16);
	for (int i = 0; i < 16; i++)
		sprintf(name + 2 * i, "%02x", ticket[i]);
}

/* ---- random keys ---- */

static unsigned hours_until_refused(struct replica *r, int version)
{
	SSL_SESSION *s = fresh(r, version);
	unsigned hours = 0;

	for (bool taken = true; taken && hours < 48; hours++) {
		wait_ms(r, HOUR_MS);
		taken = takes(r, s, version);
	}
	SSL_SESSION_free(s);
	return hours;
}

static void keys_grow_old(void **state)
{
	struct replica r;
	bool resumed;

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	EACH_VERSION(version) {
		assert_in_range(hours_until_refused(&r, version), 24, 27);
		/* A client that comes back again and again gets new ones. */
		SSL_SESSION *s = fresh(&r, version);
		for (unsigned hours = 0; hours < 48; hours++) {
			wait_ms(&r, HOUR_MS);
			SSL_SESSION *renewed = meet(&r, s, version, &resumed);
			assert_true(resumed);
			SSL_SESSION_free(s);
			s = renewed;
		}
		SSL_SESSION_free(s);
	}
	replica_done(&r);
}

static void random_keys_are_ones_own(void **state)
{
	struct replica a, b;

	(void)state;
	replica_init(&a, 1000, START_WALL_MS);
	replica_init(&b, 1000, START_WALL_MS);
	EACH_VERSION(version) {
		SSL_SESSION *s = fresh(&a, version);
		assert_true(takes(&a, s, version));
		assert_false(takes(&b, s, version));
		SSL_SESSION_free(s);
	}
	replica_done(&a);
	replica_done(&b);
}

static void they_live_as_long_as_tickets(void **state)
{
	struct replica r;

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	give(&r, 0, 600);
	EACH_VERSION(version)
		assert_in_range(hours_until_refused(&r, version), 1, 2);
	replica_done(&r);
}

/* ---- keys of a secret ---- */

static void replicas_agree(void **state)
{
	static const struct {
		int64_t ahead_ms; /* b's clock before a's */
		bool taken;
	} rows[] = {
		{ 0, true }, { HOUR_MS, true }, { -HOUR_MS, true }, { 3 * HOUR_MS, true }, { -2 * HOUR_MS, false }, { 23 * HOUR_MS, true },
		{ 26 * HOUR_MS, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		EACH_VERSION(version) {
			struct replica a, b;
			replica_init(&a, 1000, START_WALL_MS);
			replica_init(&b, 987654321, START_WALL_MS + rows[i].ahead_ms); /* b's machine runs for longer */
			give(&a, 'k', 0);
			give(&b, 'k', 0);
			SSL_SESSION *s = fresh(&a, version);
			if (takes(&b, s, version) != rows[i].taken)
				fail_msg("%lld ms ahead", (long long)rows[i].ahead_ms);
			SSL_SESSION_free(s);
			replica_done(&a);
			replica_done(&b);
		}
}

static void derived_keys_change_and_grow_old(void **state)
{
	struct replica r;
	char before[33], after[33];

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	give(&r, 'k', 0);
	EACH_VERSION(version) {
		SSL_SESSION *one = fresh(&r, version), *two;
		key_name(one, before);
		wait_ms(&r, HOUR_MS / 4);
		two = fresh(&r, version);
		key_name(two, after);
		assert_string_equal(before, after);
		SSL_SESSION_free(two);
		wait_ms(&r, HOUR_MS / 2);
		two = fresh(&r, version);
		key_name(two, after);
		assert_string_not_equal(before, after);
		assert_true(takes(&r, one, version));
		SSL_SESSION_free(two);
		SSL_SESSION_free(one);
		assert_in_range(hours_until_refused(&r, version), 24, 27);
	}
	replica_done(&r);
}

/* These never change: replicas of different versions of this program have to agree. */
static void derivation_is_fixed(void **state)
{
	struct replica r;
	char name[33];

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	give(&r, 'k', 0);
	SSL_SESSION *s = fresh(&r, TLS1_3_VERSION);
	key_name(s, name);
	assert_string_equal(name, "0aaf449a0b252f595c7df13396022362"); /* HKDF, by another program */
	SSL_SESSION_free(s);
	replica_done(&r);
}

/* ---- changes ---- */

/* What clients hold is taken until it is too old, whatever it was made under. */
static void a_change_ends_no_session(void **state)
{
	static const char steps[] = { 'a', 'b', 0, 'a' };

	(void)state;
	EACH_VERSION(version) {
		SSL_SESSION *held[ARRAY_LEN(steps) + 1];
		struct replica r;
		replica_init(&r, 1000, START_WALL_MS);
		for (size_t i = 0; i <= ARRAY_LEN(steps); i++) {
			held[i] = fresh(&r, version);
			for (size_t k = 0; k <= i; k++)
				assert_true(takes(&r, held[k], version));
			if (i < ARRAY_LEN(steps))
				give(&r, steps[i], 0);
		}
		wait_ms(&r, 26 * HOUR_MS);
		for (size_t i = 0; i <= ARRAY_LEN(steps); i++) {
			assert_false(takes(&r, held[i], version));
			SSL_SESSION_free(held[i]);
		}
		replica_done(&r);
	}
}

static void another_secret_is_another_key(void **state)
{
	struct replica a, b;

	(void)state;
	replica_init(&a, 1000, START_WALL_MS);
	replica_init(&b, 1000, START_WALL_MS);
	give(&a, 'a', 0);
	give(&b, 'b', 0);
	EACH_VERSION(version) {
		SSL_SESSION *s = fresh(&a, version);
		assert_false(takes(&b, s, version));
		SSL_SESSION_free(s);
	}
	replica_done(&a);
	replica_done(&b);
}

/* Many changes at once: the newest count. */
static void room_for_keys_ends(void **state)
{
	struct replica r;

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	for (char byte = 1; byte < 100; byte++)
		give(&r, byte, 0);
	EACH_VERSION(version) {
		SSL_SESSION *s = fresh(&r, version);
		give(&r, 'x', 0);
		assert_true(takes(&r, s, version));
		SSL_SESSION_free(s);
	}
	replica_done(&r);
}

static void the_next_process_takes_them(void **state)
{
	char junk[400];

	(void)state;
	for (char secret = 0; secret < 2; secret++)
		EACH_VERSION(version) {
			struct replica a, b;
			struct buf keys;
			replica_init(&a, 1000, START_WALL_MS);
			replica_init(&b, 1000, START_WALL_MS);
			give(&a, secret, 0);
			SSL_SESSION *s = fresh(&a, version), *own = fresh(&b, version);
			buf_init(&keys, TICKET_EXPORT_BYTES);
			tickets_export(a.tickets, &keys);
			tickets_import(b.tickets, (struct str){ keys.ptr, keys.len - 1 }, b.at); /* the last one is cut */
			assert_int_equal(takes(&b, s, version), secret == 1);
			tickets_import(b.tickets, buf_str(&keys), b.at);
			tickets_import(b.tickets, buf_str(&keys), b.at);
			assert_true(takes(&b, s, version));
			assert_true(takes(&b, own, version));
			assert_false(takes(&a, own, version));
			wait_ms(&b, 26 * HOUR_MS);
			assert_false(takes(&b, s, version));
			tickets_import(b.tickets, buf_str(&keys), b.at); /* too old by now */
			assert_false(takes(&b, s, version));
			for (size_t n = 0; n < sizeof(junk); n++) {
				memset(junk, 'j', n);
				memcpy(junk, keys.ptr, MIN(n, 8u));
				tickets_import(b.tickets, (struct str){ junk, n }, b.at);
			}
			assert_true(takes(&b, own, version) == false);
			SSL_SESSION_free(s);
			SSL_SESSION_free(own);
			buf_done(&keys);
			replica_done(&a);
			replica_done(&b);
		}
}

static void the_clock_is_set(void **state)
{
	static const int64_t steps[] = { -5 * HOUR_MS, 9 * HOUR_MS, 400 * HOUR_MS, -400 * HOUR_MS };
	struct replica r;

	(void)state;
	replica_init(&r, 1000, START_WALL_MS);
	give(&r, 'k', 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct replica other;
		r.at.wall_ms += steps[i];
		tickets_tick(r.tickets, r.at);
		replica_init(&other, 1000, r.at.wall_ms);
		give(&other, 'k', 0);
		SSL_SESSION *s = fresh(&r, TLS1_3_VERSION);
		assert_true(takes(&r, s, TLS1_3_VERSION));
		assert_true(takes(&other, s, TLS1_3_VERSION));
		SSL_SESSION_free(s);
		replica_done(&other);
	}
	replica_done(&r);
}

static int make(void **state)
{
	(void)state;
	pki = pki_make("a.test", "DNS:a.test", NULL);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	pki_done(&pki);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_grow_old),
		cmocka_unit_test(random_keys_are_ones_own),
		cmocka_unit_test(they_live_as_long_as_tickets),
		cmocka_unit_test(replicas_agree),
		cmocka_unit_test(derived_keys_change_and_grow_old),
		cmocka_unit_test(derivation_is_fixed),
		cmocka_unit_test(a_change_ends_no_session),
		cmocka_unit_test(another_secret_is_another_key),
		cmocka_unit_test(room_for_keys_ends),
		cmocka_unit_test(the_next_process_takes_them),
		cmocka_unit_test(the_clock_is_set),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
