#include "net/conn_int.h"

#include "base/sys_call.h"

#include <errno.h>
#include <openssl/err.h>

#define SEND_RECORDS 4 /* of full length, sealed and sent in one go */
#define UNSENT_MAX_BYTES (SEND_RECORDS * TLS_RECORD_SEALED_MAX + (64u << 10)) /* answers to key updates are added to it */

/* ---- beginning ---- */

bool conn_records_begin(struct conn *c)
{
	struct conn_tls *t = c->tls;
	uint16_t suite = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(t->ssl));

	if (!t->secrets || SSL_version(t->ssl) != TLS1_3_VERSION || SSL_has_pending(t->ssl) ||
	    tls_record_init(&t->record, suite, &t->secrets->client, &t->secrets->server, t->n_written) < 0)
		return false;
	/* Not told to the peer: the connection goes on. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(TAKE_PTR(t->ssl));
	return true;
}

/* ---- writing ---- */

/* Queues what the socket did not take. */
static int send_sealed(struct conn *c, const uint8_t *bytes, size_t len)
{
	ssize_t n = c->tls->out ? 0 : sys_send(c->io.fd, bytes, len, conn_send_flags(c));

	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		return -1;
	n = MAX(n, (ssize_t)0);
	if ((size_t)n < len)
		conn_tls_keep(&c->tls->out, bytes + n, len - (size_t)n);
	return 0;
}

int conn_records_push(struct conn *c)
{
	struct buf *out = c->tls->out;
	ssize_t n = send(c->io.fd, out->ptr, out->len, conn_send_flags(c));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? CONN_AGAIN : CONN_FAILED;
	buf_consume(out, (size_t)n);
	if (out->len) {
		errno = EAGAIN; /* nothing has failed: the caller looks */
		return CONN_AGAIN;
	}
	buf_done(out);
	free(TAKE_PTR(c->tls->out));
	return 0;
}

static bool seal(struct tls_record *r, struct tls_pieces *from, size_t len, uint8_t *out, size_t *at)
{
	size_t n;

	if (r->write.seq >= TLS_RECORD_KEY_RECORDS) {
		n = tls_record_rekey(r, out + *at);
		if (!n)
			return false;
		*at += n;
	}
	n = tls_record_seal(r, TLS_RECORD_DATA, from, len, out + *at);
	*at += n;
	return n != 0;
}

ssize_t conn_records_send(struct conn *c, const struct iovec *iov, size_t n)
{
	static _Thread_local uint8_t sealed[(SEND_RECORDS + 1) * TLS_RECORD_SEALED_MAX];
	struct tls_pieces from = { iov, n, 0 };
	size_t total = 0, taken = 0, at = 0;

	if (c->tls->out && conn_records_push(c) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	total = MIN(total, (size_t)SEND_RECORDS * TLS_RECORD_PLAIN_MAX);
	while (taken < total) {
		size_t len = MIN(total - taken, (size_t)TLS_RECORD_PLAIN_MAX);

		if (!seal(&c->tls->record, &from, len, sealed, &at)) {
			errno = EIO;
			return -1;
		}
		taken += len;
	}
	return send_sealed(c, sealed, at) < 0 ? -1 : (ssize_t)taken;
}

static void send_alert(struct conn *c, uint8_t alert)
{
	const uint8_t message[2] = { alert == TLS_ALERT_CLOSE_NOTIFY ? 1 : 2, alert };
	const struct iovec iov = { (void *)message, sizeof(message) };
	uint8_t out[TLS_RECORD_ALERT_BYTES];
	size_t n = tls_record_seal(&c->tls->record, TLS_RECORD_ALERT, &(struct tls_pieces){ &iov, 1, 0 }, sizeof(message), out);

	if (n && !c->tls->out && send(c->io.fd, out, n, conn_send_flags(c)) < 0)
		errno = 0; /* a farewell that cannot be said is left out */
}

void conn_records_bye(struct conn *c)
{
	send_alert(c, TLS_ALERT_CLOSE_NOTIFY);
}

/* ---- reading ---- */

static ssize_t give_up(struct conn *c, uint8_t alert)
{
	if (alert)
		send_alert(c, alert);
	c->tls->quiet = true;
	return CONN_FAILED;
}

/* The peer wants to see new keys from us, too (RFC 8446, section 4.6.3). */
static bool answer_key_update(struct conn *c)
{
	uint8_t out[TLS_RECORD_REKEY_BYTES];
	size_t n = tls_record_rekey(&c->tls->record, out);

	if (!n || conn_unsent(c) > UNSENT_MAX_BYTES || send_sealed(c, out, n) < 0)
		return false;
	if (c->tls->out) {
		c->write_blocked = true;
		conn_kick(c);
	}
	return true;
}

/* The front of a record whose rest may be kept already. */
static void keep_front(struct conn_tls *t, const uint8_t *bytes, size_t len)
{
	struct buf *rest = TAKE_PTR(t->in);

	conn_tls_keep(&t->in, bytes, len);
	if (!rest)
		return;
	conn_tls_keep(&t->in, (const uint8_t *)rest->ptr, rest->len);
	buf_done(rest);
	free(rest);
}

/* Opens the records in `bytes`; their contents end up, one behind the other, at its front. Returns their length, or
 * CONN_FAILED; what is left of the last record is kept. */
static ssize_t open_all(struct conn *c, uint8_t *bytes, size_t len, struct err *e)
{
	struct conn_tls *t = c->tls;
	size_t at = 0, out = 0;
	ssize_t n = 0;

	while (!t->closed) {
		struct tls_opened got;

		n = tls_record_open(&t->record, bytes + at, len - at, &got, e);
		if (n < 0)
			return give_up(c, got.alert);
		if (n == 0)
			break;
		memmove(bytes + out, got.data, got.len);
		out += got.len;
		at += (size_t)n;
		t->closed = got.closed;
		if (t->record.update_owed && !answer_key_update(c)) {
			err_set(e, ERR_UNAVAILABLE, "TLS read: key update");
			return give_up(c, TLS_ALERT_INTERNAL_ERROR);
		}
	}
	if (at < len && !t->closed)
		keep_front(t, bytes + at, len - at);
	return (ssize_t)out;
}

/* What was received before, at most `max` bytes of it. */
static size_t take_kept(struct conn_tls *t, uint8_t *to, size_t max)
{
	size_t n = t->in ? MIN(t->in->len, max) : 0;

	if (n) {
		memcpy(to, t->in->ptr, n);
		buf_consume(t->in, n);
	}
	if (t->in && t->in->len == 0) {
		buf_done(t->in);
		free(TAKE_PTR(t->in));
	}
	return n;
}

ssize_t conn_records_read(struct conn *c, uint8_t *to, size_t max, struct err *e)
{
	struct conn_tls *t = c->tls;

	if (t->closed)
		return CONN_EOF;
	size_t have = take_kept(t, to, max);
	ssize_t got = t->in || have == max ? 0 : sys_recv(c->io.fd, to + have, max - have, 0);
	if (got < 0 && errno != EAGAIN && errno != EINTR) {
		err_errno(e, errno, "TLS read");
		return CONN_FAILED;
	}
	if (got == 0 && !t->in && have < max)
		t->tcp_eof = true; /* without close_notify: HTTP frames its messages by itself, and many clients leave like this */
	have += (size_t)MAX(got, (ssize_t)0);
	ssize_t n = open_all(c, to, have, e);
	t->more = have == max || t->closed || t->tcp_eof;
	if (n != 0)
		return n;
	return t->closed || t->tcp_eof ? CONN_EOF : CONN_AGAIN;
}
