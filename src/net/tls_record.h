/* tls_record.h - the record protocol of an established TLS 1.3 connection (RFC 8446, sections 4.6.3, 5 and 6).
 *
 * OpenSSL makes the handshake; then this takes its keys over and the SSL object is freed. That object, with what hangs on
 * it, is 14 KB for as long as a connection lives; this is about 250 bytes. Cipher contexts (1 KB each) are a thread's and
 * lent to the connections that used them last. Many pieces of output go into one record, and one call of recv may bring
 * many records.
 */
#pragma once

#include "base/err.h"
#include "net/tls_secrets.h"

#include <sys/uio.h>

#define TLS_RECORD_HEAD_BYTES 5
#define TLS_RECORD_TAG_BYTES 16
#define TLS_RECORD_PLAIN_MAX 16384
#define TLS_RECORD_ADDED_BYTES (TLS_RECORD_HEAD_BYTES + 1 + TLS_RECORD_TAG_BYTES)
#define TLS_RECORD_SEALED_MAX (TLS_RECORD_PLAIN_MAX + TLS_RECORD_ADDED_BYTES)     /* one of ours */
#define TLS_RECORD_OPEN_MAX (TLS_RECORD_HEAD_BYTES + TLS_RECORD_PLAIN_MAX + 256) /* one of the peer's */
#define TLS_RECORD_REKEY_BYTES (5 + TLS_RECORD_ADDED_BYTES)
#define TLS_RECORD_ALERT_BYTES (2 + TLS_RECORD_ADDED_BYTES)
/* AES-GCM is safe for 2^24.5 full records under one key (section 5.5): ours changes before that. */
#define TLS_RECORD_KEY_RECORDS (1u << 24)
#define TLS_RECORD_UPDATES_MAX 32 /* key changes of a peer that sends nothing else */

enum tls_record_type { TLS_RECORD_ALERT = 21, TLS_RECORD_HANDSHAKE = 22, TLS_RECORD_DATA = 23 };
enum tls_alert {
	TLS_ALERT_CLOSE_NOTIFY = 0,
	TLS_ALERT_UNEXPECTED_MESSAGE = 10,
	TLS_ALERT_BAD_RECORD_MAC = 20,
	TLS_ALERT_RECORD_OVERFLOW = 22,
	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_INTERNAL_ERROR = 80,
	TLS_ALERT_USER_CANCELED = 90,
};

struct cipher_slot;
/* One direction. */
struct tls_keys {
	struct tls_secret s;
	uint64_t seq;		  /* of the next record */
	struct cipher_slot *slot; /* a context that is set up for this key; NULL: lent to others meanwhile */
};
struct tls_record {
	const struct tls_suite *suite;
	struct tls_keys read, write;
	unsigned updates;
	bool update_owed; /* the peer has asked for our keys to change: tls_record_rekey */
};
/* Has to stay where it is until tls_record_done. `suite` is the cipher suite's number, 0x1301 to 0x1303; `n_written`: records
 * that were sealed with the write keys already. -1: not a suite or not the keys for it. */
int tls_record_init(struct tls_record *r, uint16_t suite, const struct tls_secret *read, const struct tls_secret *write,
		    uint64_t n_written) must_check;
void tls_record_done(struct tls_record *r); /* keys are overwritten */

struct tls_opened {
	uint8_t *data; /* application data, where it came; may be empty */
	size_t len;
	bool closed;   /* close_notify: nothing will follow */
	uint8_t alert; /* after -1: what to tell the peer; 0: nothing, it was the peer who gave up */
};
/* Decrypts the record at the front of `bytes`, in place. > 0: its length; 0: not all of it is there; -1: the connection is
 * over. */
ssize_t tls_record_open(struct tls_record *r, uint8_t *bytes, size_t len, struct tls_opened *ret, struct err *e) must_check;

/* Walks the pieces that are to go out. */
struct tls_pieces {
	const struct iovec *iov;
	size_t n, skip;
};
/* Seals `len` bytes (at most TLS_RECORD_PLAIN_MAX) from the pieces as one record of len + TLS_RECORD_ADDED_BYTES; returns
 * that length. 0: the cipher failed. */
size_t tls_record_seal(struct tls_record *r, enum tls_record_type type, struct tls_pieces *from, size_t len,
		       uint8_t *out) must_check;
/* KeyUpdate: seals the message, TLS_RECORD_REKEY_BYTES, and goes over to the next keys. */
size_t tls_record_rekey(struct tls_record *r, uint8_t *out) must_check;

/* Before a thread ends: gives its cipher contexts back. */
void tls_record_thread_done(void);
