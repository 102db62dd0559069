#include "net/tls_record.h"

#include "base/list.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#define COPY_MAX 2048 /* up to here pieces are copied together: a call of the cipher for each would cost more */
#define KEY_UPDATE 24 /* handshake message */
#define KEY_UPDATE_BYTES 5

/* ---- suites ---- */

struct tls_suite {
	uint16_t id;
	uint8_t key_bytes, secret_bytes;
	const char *cipher_name;
	EVP_CIPHER *cipher;
	const EVP_MD *(*md)(void);
};
static struct tls_suite suites[] = {
	{ 0x1301, 16, 32, "AES-128-GCM", NULL, EVP_sha256 },
	{ 0x1302, 32, 48, "AES-256-GCM", NULL, EVP_sha384 },
	{ 0x1303, 32, 32, "ChaCha20-Poly1305", NULL, EVP_sha256 },
};

/* Once: looking an algorithm up takes as long as sealing a record. */
static void fetch_ciphers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		suites[i].cipher = EVP_CIPHER_fetch(NULL, suites[i].cipher_name, NULL);
}

static const struct tls_suite *suite_get(uint16_t id)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch_ciphers);
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		if (suites[i].id == id && suites[i].cipher)
			return &suites[i];
	return NULL;
}

/* ---- cipher contexts ---- */

#define SLOTS 128 /* directions of a thread that need no set-up: 64 connections busy at once, for 140 KB */

struct cipher_slot {
	struct list link; /* the one used last is the first */
	EVP_CIPHER_CTX *ctx;
	const struct tls_suite *suite; /* what ctx was last set up for */
	struct tls_keys *owner;
	bool seals;
};
static _Thread_local struct cipher_slot slots[SLOTS];
static _Thread_local struct list slots_used;
static _Thread_local unsigned n_slots;

static struct cipher_slot *slot_take(void)
{
	struct cipher_slot *s;

	if (n_slots == 0)
		list_init(&slots_used);
	if (n_slots < SLOTS) {
		s = &slots[n_slots++];
		*s = (struct cipher_slot){ .ctx = EVP_CIPHER_CTX_new() };
		list_append(&slots_used, &s->link);
		return s;
	}
	s = list_entry(slots_used.prev, struct cipher_slot, link);
	if (s->owner)
		s->owner->slot = NULL;
	s->owner = NULL;
	return s;
}

static bool slot_set_up(struct cipher_slot *s, const struct tls_suite *suite, const uint8_t *key, bool seals)
{
	/* Naming the cipher makes OpenSSL allocate its context anew. */
	const EVP_CIPHER *cipher = s->suite == suite && s->seals == seals ? NULL : suite->cipher;

	s->suite = suite;
	s->seals = seals;
	return s->ctx && EVP_CipherInit_ex(s->ctx, cipher, NULL, key, NULL, seals) == 1;
}

static EVP_CIPHER_CTX *keys_cipher(struct tls_keys *k, const struct tls_suite *suite, bool seals)
{
	struct cipher_slot *s = k->slot;

	if (!s) {
		s = slot_take();
		if (!slot_set_up(s, suite, k->s.key, seals)) {
			s->suite = NULL;
			return NULL;
		}
		s->owner = k;
		k->slot = s;
	}
	if (slots_used.next != &s->link) {
		list_del(&s->link);
		list_append(slots_used.next, &s->link); /* before the first */
	}
	return s->ctx;
}

/* The context forgets the key. */
static void keys_give_slot(struct tls_keys *k)
{
	struct cipher_slot *s = k->slot;

	if (!s)
		return;
	EVP_CIPHER_CTX_reset(s->ctx);
	s->suite = NULL;
	s->owner = NULL;
	k->slot = NULL;
	list_del(&s->link);
	list_append(&slots_used, &s->link);
}

void tls_record_thread_done(void)
{
	for (; n_slots; n_slots--) {
		struct cipher_slot *s = &slots[n_slots - 1];

		if (s->owner)
			s->owner->slot = NULL;
		EVP_CIPHER_CTX_free(s->ctx);
	}
}

/* ---- keys ---- */

/* RFC 8446, section 7.1; never longer than one block of the hash. */
static bool expand_label(const struct tls_suite *suite, const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
	uint8_t info[64], block[EVP_MAX_MD_SIZE];
	size_t n = strlen(label) + 6;
	unsigned block_len = 0;

	info[0] = 0;
	info[1] = (uint8_t)len;
	info[2] = (uint8_t)n;
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, n - 6);
	info[3 + n] = 0; /* no context */
	info[4 + n] = 1; /* the first block of HKDF-Expand */
	if (!HMAC(suite->md(), secret, suite->secret_bytes, info, n + 5, block, &block_len) || block_len < len)
		return false;
	memcpy(out, block, len);
	OPENSSL_cleanse(block, sizeof(block));
	return true;
}

static bool keys_update(struct tls_keys *k, const struct tls_suite *suite)
{
	uint8_t next[TLS_SECRET_BYTES];

	keys_give_slot(k);
	k->seq = 0;
	bool ok = expand_label(suite, k->s.secret, "traffic upd", next, suite->secret_bytes);
	if (ok)
		memcpy(k->s.secret, next, suite->secret_bytes);
	OPENSSL_cleanse(next, sizeof(next));
	return ok && expand_label(suite, k->s.secret, "key", k->s.key, suite->key_bytes) &&
	       expand_label(suite, k->s.secret, "iv", k->s.iv, TLS_IV_BYTES);
}

static bool keys_fit(const struct tls_suite *suite, const struct tls_secret *s)
{
	return s->secret_len == suite->secret_bytes && s->key_len == suite->key_bytes && s->iv_len == TLS_IV_BYTES;
}

int tls_record_init(struct tls_record *r, uint16_t suite, const struct tls_secret *read, const struct tls_secret *write,
		    uint64_t n_written)
{
	*r = (struct tls_record){ .suite = suite_get(suite) };
	if (!r->suite || !keys_fit(r->suite, read) || !keys_fit(r->suite, write))
		return -1;
	r->read.s = *read;
	r->write.s = *write;
	r->write.seq = n_written;
	return 0;
}

void tls_record_done(struct tls_record *r)
{
	keys_give_slot(&r->read);
	keys_give_slot(&r->write);
	OPENSSL_cleanse(r, sizeof(*r));
}

/* Section 5.3. */
static void nonce_of(const struct tls_keys *k, uint8_t nonce[TLS_IV_BYTES])
{
	memcpy(nonce, k->s.iv, TLS_IV_BYTES);
	for (int i = 0; i < 8; i++)
		nonce[TLS_IV_BYTES - 1 - i] ^= (uint8_t)(k->seq >> (8 * i));
}

static EVP_CIPHER_CTX *begin(struct tls_record *r, struct tls_keys *k, bool seals, const uint8_t *head)
{
	uint8_t nonce[TLS_IV_BYTES];
	EVP_CIPHER_CTX *ctx = keys_cipher(k, r->suite, seals);
	int n;

	nonce_of(k, nonce);
	if (!ctx || EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &n, head, TLS_RECORD_HEAD_BYTES) != 1)
		return NULL;
	k->seq++;
	return ctx;
}

/* ---- what comes in ---- */

static ssize_t refuse(struct tls_opened *ret, uint8_t alert, struct err *e, const char *what)
{
	ret->alert = alert;
	ERR_clear_error();
	return err_set(e, ERR_UNAVAILABLE, "TLS read: %s", what);
}

static ssize_t alert_came(struct tls_opened *ret, struct err *e)
{
	const uint8_t *alert = ret->data;

	if (ret->len != 2)
		return refuse(ret, TLS_ALERT_DECODE_ERROR, e, "bad alert");
	ret->len = 0;
	if (alert[1] == TLS_ALERT_CLOSE_NOTIFY) {
		ret->closed = true;
		return 0;
	}
	if (alert[1] == TLS_ALERT_USER_CANCELED)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "TLS read: the peer sent alert %u", alert[1]);
}

/* Of a client, after its handshake, only this message is awaited; others cannot follow it in the same record. */
static ssize_t key_update_came(struct tls_record *r, struct tls_opened *ret, struct err *e)
{
	const uint8_t *m = ret->data;

	if (ret->len < 1 || m[0] != KEY_UPDATE)
		return refuse(ret, TLS_ALERT_UNEXPECTED_MESSAGE, e, "unexpected handshake message");
	if (ret->len != KEY_UPDATE_BYTES || m[1] || m[2] || m[3] != 1 || m[4] > 1)
		return refuse(ret, TLS_ALERT_DECODE_ERROR, e, "bad key update");
	if (++r->updates > TLS_RECORD_UPDATES_MAX)
		return refuse(ret, TLS_ALERT_UNEXPECTED_MESSAGE, e, "too many key updates");
	if (m[4])
		r->update_owed = true;
	ret->len = 0;
	if (!keys_update(&r->read, r->suite))
		return refuse(ret, TLS_ALERT_INTERNAL_ERROR, e, "key update");
	return 0;
}

static ssize_t opened(struct tls_record *r, struct tls_opened *ret, struct err *e)
{
	/* Section 5.4: the type stands behind the content, zeros behind that. */
	while (ret->len && ret->data[ret->len - 1] == 0)
		ret->len--;
	if (ret->len == 0)
		return refuse(ret, TLS_ALERT_UNEXPECTED_MESSAGE, e, "record without a type");
	switch (ret->data[--ret->len]) {
	case TLS_RECORD_DATA:
		if (ret->len)
			r->updates = 0;
		return 0;
	case TLS_RECORD_ALERT:
		return alert_came(ret, e);
	case TLS_RECORD_HANDSHAKE:
		return key_update_came(r, ret, e);
	}
	return refuse(ret, TLS_ALERT_UNEXPECTED_MESSAGE, e, "unexpected kind of record");
}

ssize_t tls_record_open(struct tls_record *r, uint8_t *bytes, size_t len, struct tls_opened *ret, struct err *e)
{
	*ret = (struct tls_opened){ .data = bytes + TLS_RECORD_HEAD_BYTES };
	if (len < TLS_RECORD_HEAD_BYTES)
		return 0;
	size_t body = (size_t)bytes[3] << 8 | bytes[4];
	if (bytes[0] != TLS_RECORD_DATA)
		return refuse(ret, TLS_ALERT_UNEXPECTED_MESSAGE, e, "unprotected record");
	if (TLS_RECORD_HEAD_BYTES + body > TLS_RECORD_OPEN_MAX)
		return refuse(ret, TLS_ALERT_RECORD_OVERFLOW, e, "record too long");
	if (body < TLS_RECORD_TAG_BYTES + 1)
		return refuse(ret, TLS_ALERT_BAD_RECORD_MAC, e, "record too short");
	if (len < TLS_RECORD_HEAD_BYTES + body)
		return 0;
	size_t plain = body - TLS_RECORD_TAG_BYTES;
	EVP_CIPHER_CTX *ctx = begin(r, &r->read, false, bytes);
	int n = 0, rest = 0;
	if (!ctx || EVP_CipherUpdate(ctx, ret->data, &n, ret->data, (int)plain) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TLS_RECORD_TAG_BYTES, ret->data + plain) != 1 ||
	    EVP_CipherFinal_ex(ctx, ret->data + n, &rest) != 1)
		return refuse(ret, TLS_ALERT_BAD_RECORD_MAC, e, "record was changed on its way");
	if (plain > TLS_RECORD_PLAIN_MAX + 1)
		return refuse(ret, TLS_ALERT_RECORD_OVERFLOW, e, "record too long");
	ret->len = plain;
	if (opened(r, ret, e) < 0)
		return -1;
	return (ssize_t)(TLS_RECORD_HEAD_BYTES + body);
}

/* ---- what goes out ---- */

/* The next run of bytes, at most `max`. */
static struct str piece(struct tls_pieces *p, size_t max)
{
	while (p->skip == p->iov->iov_len) {
		p->iov++;
		p->n--;
		p->skip = 0;
	}
	struct str s = { (const char *)p->iov->iov_base + p->skip, MIN(max, p->iov->iov_len - p->skip) };
	p->skip += s.len;
	return s;
}

static bool seal_copied(EVP_CIPHER_CTX *ctx, uint8_t type, struct tls_pieces *from, size_t len, uint8_t *out)
{
	size_t at = 0;
	int n;

	while (at < len) {
		struct str s = piece(from, len - at);

		memcpy(out + at, s.ptr, s.len);
		at += s.len;
	}
	out[len] = type;
	return EVP_CipherUpdate(ctx, out, &n, out, (int)len + 1) == 1;
}

static bool seal_direct(EVP_CIPHER_CTX *ctx, uint8_t type, struct tls_pieces *from, size_t len, uint8_t *out)
{
	size_t at = 0;
	int n;

	while (at < len) {
		struct str s = piece(from, len - at);

		if (EVP_CipherUpdate(ctx, out + at, &n, (const uint8_t *)s.ptr, (int)s.len) != 1)
			return false;
		at += s.len;
	}
	return EVP_CipherUpdate(ctx, out + len, &n, &type, 1) == 1;
}

size_t tls_record_seal(struct tls_record *r, enum tls_record_type type, struct tls_pieces *from, size_t len,
		       uint8_t *out)
{
	size_t body = len + 1 + TLS_RECORD_TAG_BYTES;
	uint8_t *at = out + TLS_RECORD_HEAD_BYTES;
	int n;

	out[0] = TLS_RECORD_DATA;
	out[1] = out[2] = 3;
	out[3] = (uint8_t)(body >> 8);
	out[4] = (uint8_t)body;
	EVP_CIPHER_CTX *ctx = begin(r, &r->write, true, out);
	if (ctx && (len <= COPY_MAX ? seal_copied : seal_direct)(ctx, (uint8_t)type, from, len, at) &&
	    EVP_CipherFinal_ex(ctx, at + len + 1, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_RECORD_TAG_BYTES, at + len + 1) == 1)
		return TLS_RECORD_HEAD_BYTES + body;
	ERR_clear_error();
	return 0;
}

size_t tls_record_rekey(struct tls_record *r, uint8_t *out)
{
	static const uint8_t message[KEY_UPDATE_BYTES] = { KEY_UPDATE, 0, 0, 1, 0 }; /* the peer's may stay */
	const struct iovec iov = { (void *)message, sizeof(message) };
	size_t n = tls_record_seal(r, TLS_RECORD_HANDSHAKE, &(struct tls_pieces){ &iov, 1, 0 }, sizeof(message), out);

	r->update_owed = false;
	return n && keys_update(&r->write, r->suite) ? n : 0;
}
