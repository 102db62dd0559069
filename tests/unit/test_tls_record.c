#include "net/tls_record.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "net_pki.h"

static struct pki pki;
static struct err e;

/* A client of OpenSSL, and a server whose records are ours as soon as its handshake is done. */
static SSL *client;
static struct tls_record one, *server = &one;
static uint64_t n_written;
static struct tls_secrets secrets;

static void count_records(int out, int version, int type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
	(void)version, (void)bytes, (void)len, (void)ssl, (void)arg;
	if (out && type == SSL3_RT_HEADER && secrets.server.iv_len)
		n_written++;
}

static void handshake(SSL *s)
{
	int client_done = 0, server_done = 0;

	for (int i = 0; i < 10 && !(client_done && server_done); i++) {
		client_done = SSL_do_handshake(client) == 1;
		tls_secrets_note(&secrets);
		server_done = SSL_do_handshake(s) == 1;
		tls_secrets_note(NULL);
	}
	assert_true(client_done && server_done);
}

static void start(const char *suite)
{
	assert_true(tls_secrets_init());
	SSL_CTX *sc = SSL_CTX_new_ex(NULL, TLS_SECRETS_PROPERTIES, TLS_server_method());
	SSL_CTX *cc = SSL_CTX_new(TLS_client_method());
	BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());

	BIO_set_mem_eof_return(to_server, -1);
	BIO_set_mem_eof_return(to_client, -1);
	assert_int_equal(SSL_CTX_use_certificate(sc, pki.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(sc, pki.key), 1);
	assert_int_equal(SSL_CTX_set_ciphersuites(cc, suite), 1);
	SSL *s = SSL_new(sc);
	client = SSL_new(cc);
	BIO_up_ref(to_server);
	BIO_up_ref(to_client);
	SSL_set_bio(s, to_server, to_client);
	SSL_set_bio(client, to_client, to_server);
	SSL_set_accept_state(s);
	SSL_set_connect_state(client);
	SSL_set_msg_callback(s, count_records);
	secrets = (struct tls_secrets){ 0 };
	n_written = 0;
	handshake(s);
	assert_int_equal(n_written, 2); /* tickets */
	assert_string_equal(SSL_CIPHER_get_name(SSL_get_current_cipher(s)), suite);
	uint16_t id = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(s));
	assert_int_equal(tls_record_init(server, id, &secrets.client, &secrets.server, n_written), 0);
	SSL_free(s);
	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
}

static void stop(void)
{
	tls_record_done(server);
	SSL_free(client);
}

/* ---- both ways ---- */

static void server_writes(const void *data, size_t len)
{
	struct iovec iov[3] = { { (void *)data, len / 3 }, { NULL, 0 }, { (char *)data + len / 3, len - len / 3 } };
	struct tls_pieces from = { iov, 3, 0 };
	uint8_t out[TLS_RECORD_SEALED_MAX];
	size_t n = tls_record_seal(server, TLS_RECORD_DATA, &from, len, out);

	assert_int_equal(n, len + 22);
	assert_int_equal(BIO_write(SSL_get_rbio(client), out, (int)n), n);
}

static void client_reads(const void *data, size_t len)
{
	static char got[TLS_RECORD_PLAIN_MAX];

	assert_int_equal(SSL_read(client, got, sizeof(got)), len);
	assert_memory_equal(got, data, len);
}

static uint8_t wire[8 * TLS_RECORD_OPEN_MAX];
static size_t wire_len;

static void client_writes(const void *data, size_t len)
{
	assert_int_equal(SSL_write(client, data, (int)len), len);
	wire_len = (size_t)BIO_read(SSL_get_wbio(client), wire, sizeof(wire));
}

static void server_reads(const void *data, size_t len)
{
	struct tls_opened got;

	assert_int_equal(tls_record_open(server, wire, wire_len, &got, &e), wire_len);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, data, len);
	assert_false(got.closed);
}

static void talk(void)
{
	static const size_t sizes[] = { 1, 5, 100, 2048, 2049, 16383, 16384 };
	static char data[TLS_RECORD_PLAIN_MAX];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		server_writes(data, sizes[i]);
		client_reads(data, sizes[i]);
		client_writes(data, sizes[i]);
		server_reads(data, sizes[i]);
	}
}

static const char *const suite_names[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };

static void openssl_understands_us(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suite_names); i++) {
		start(suite_names[i]);
		talk();
		stop();
	}
}

static void more_connections_than_contexts(void **state)
{
	enum { N = 100 };
	static struct tls_record all[N];
	static SSL *clients[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		server = &all[i];
		start(suite_names[i % 3]);
		clients[i] = client;
	}
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			client = clients[i];
			server = &all[i];
			server_writes("hello", 5);
			client_reads("hello", 5);
			client_writes("world", 5);
			server_reads("world", 5);
		}
	}
	for (size_t i = 0; i < N; i++) {
		SSL_free(clients[i]);
		tls_record_done(&all[i]);
	}
	server = &one;
	tls_record_thread_done();
}

/* ---- key updates ---- */

static void the_peer_changes_its_keys(void **state)
{
	struct tls_opened got;
	uint8_t out[TLS_RECORD_SEALED_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suite_names); i++) {
		start(suite_names[i]);
		for (int round = 0; round < 3; round++) {
			talk();
			assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
			assert_int_equal(SSL_do_handshake(client), 1);
			wire_len = (size_t)BIO_read(SSL_get_wbio(client), wire, sizeof(wire));
			assert_int_equal(tls_record_open(server, wire, wire_len, &got, &e), wire_len);
			assert_int_equal(got.len, 0);
			assert_true(server->update_owed);
			size_t n = tls_record_rekey(server, out);
			assert_true(n > 0 && !server->update_owed);
			assert_int_equal(BIO_write(SSL_get_rbio(client), out, (int)n), n);
		}
		talk();
		stop();
	}
}

static void key_updates_without_end_are_refused(void **state)
{
	struct tls_opened got;
	ssize_t n = 1;
	int count = 0;

	(void)state;
	start(suite_names[0]);
	while (n > 0 && count++ < 1000) {
		assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(client), 1);
		wire_len = (size_t)BIO_read(SSL_get_wbio(client), wire, sizeof(wire));
		n = tls_record_open(server, wire, wire_len, &got, &e);
	}
	assert_int_equal(count, TLS_RECORD_UPDATES_MAX + 1);
	stop();
}

/* ---- ends ---- */

static void both_sides_close(void **state)
{
	static const uint8_t bye[2] = { 1, TLS_ALERT_CLOSE_NOTIFY };
	struct iovec iov = { (void *)bye, 2 };
	uint8_t out[TLS_RECORD_SEALED_MAX];
	struct tls_opened got;
	char c;

	(void)state;
	start(suite_names[0]);
	size_t n = tls_record_seal(server, TLS_RECORD_ALERT, &(struct tls_pieces){ &iov, 1, 0 }, 2, out);
	BIO_write(SSL_get_rbio(client), out, (int)n);
	int r = SSL_read(client, &c, 1);
	assert_int_equal(SSL_get_error(client, r), SSL_ERROR_ZERO_RETURN);
	SSL_shutdown(client);
	wire_len = (size_t)BIO_read(SSL_get_wbio(client), wire, sizeof(wire));
	assert_int_equal(tls_record_open(server, wire, wire_len, &got, &e), wire_len);
	assert_true(got.closed);
	stop();
}

/* ---- bad input ---- */

static void half_records_wait(void **state)
{
	struct tls_opened got;

	(void)state;
	start(suite_names[0]);
	client_writes("hello", 5);
	for (size_t n = 0; n < wire_len; n++)
		assert_int_equal(tls_record_open(server, wire, n, &got, &e), 0);
	server_reads("hello", 5);
	stop();
}

static void a_changed_bit_is_seen(void **state)
{
	struct tls_opened got;

	(void)state;
	for (size_t byte = 0; byte < 27; byte++) {
		start(suite_names[0]);
		client_writes("hello", 5);
		assert_int_equal(wire_len, 27);
		wire[byte] ^= 1;
		ssize_t n = tls_record_open(server, wire, wire_len, &got, &e);
		if (byte == 3 || byte == 4) /* longer: more is awaited */
			assert_int_equal(n, 0);
		else
			assert_int_equal(n, -1);
		stop();
	}
}

static void a_record_is_taken_once(void **state)
{
	struct tls_opened got;
	uint8_t copy[64];

	(void)state;
	start(suite_names[0]);
	client_writes("hello", 5);
	memcpy(copy, wire, wire_len);
	server_reads("hello", 5);
	assert_int_equal(tls_record_open(server, copy, wire_len, &got, &e), -1);
	assert_int_equal(got.alert, TLS_ALERT_BAD_RECORD_MAC);
	stop();
}

/* What a peer that has the keys may still do wrong: its own end of the protocol is played with ours. */
static void wrong_contents_are_refused(void **state)
{
	static const struct {
		uint8_t type, data[8];
		size_t len;
		int alert; /* -1: it is no error */
	} rows[] = {
		{ 20, { 1 }, 1, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ 0, { 0 }, 1, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ 0, { 0 }, 0, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ 0, { 'x', 23, 0, 0 }, 4, -1 }, /* padded */
		{ 23, { 0 }, 0, -1 },
		{ 24, { 1 }, 1, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ 22, { 1, 0, 0, 0 }, 4, TLS_ALERT_UNEXPECTED_MESSAGE }, /* ClientHello: renegotiation */
		{ 22, { 4, 0, 0, 0 }, 4, TLS_ALERT_UNEXPECTED_MESSAGE }, /* a ticket */
		{ 22, { 0 }, 0, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ 22, { 24, 0, 0, 1 }, 4, TLS_ALERT_DECODE_ERROR },
		{ 22, { 24, 0, 0, 1, 2 }, 5, TLS_ALERT_DECODE_ERROR },
		{ 22, { 24, 0, 0, 1, 0, 24 }, 6, TLS_ALERT_DECODE_ERROR },
		{ 22, { 24, 0, 0, 1, 0 }, 5, -1 },
		{ 21, { 2 }, 1, TLS_ALERT_DECODE_ERROR },
		{ 21, { 2, 40 }, 2, 0 },
		{ 21, { 1, 90 }, 2, -1 },
		{ 21, { 1, 0, 0 }, 3, TLS_ALERT_DECODE_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_record peer;
		struct tls_opened got;
		struct iovec iov = { (void *)rows[i].data, rows[i].len };

		start(suite_names[0]);
		assert_int_equal(tls_record_init(&peer, 0x1301, &secrets.server, &secrets.client, 0), 0);
		wire_len = tls_record_seal(&peer, rows[i].type, &(struct tls_pieces){ &iov, 1, 0 }, rows[i].len, wire);
		ssize_t n = tls_record_open(server, wire, wire_len, &got, &e);
		if ((n < 0) != (rows[i].alert >= 0) || (n < 0 && got.alert != rows[i].alert))
			fail_msg("row %zu: %zd, alert %d", i, n, got.alert);
		tls_record_done(&peer);
		stop();
	}
}

static int set_up(void **state)
{
	(void)state;
	pki = pki_make("server", NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pki_done(&pki);
	tls_record_thread_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_understands_us),
		cmocka_unit_test(more_connections_than_contexts),
		cmocka_unit_test(the_peer_changes_its_keys),
		cmocka_unit_test(key_updates_without_end_are_refused),
		cmocka_unit_test(both_sides_close),
		cmocka_unit_test(half_records_wait),
		cmocka_unit_test(a_changed_bit_is_seen),
		cmocka_unit_test(a_record_is_taken_once),
		cmocka_unit_test(wrong_contents_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
