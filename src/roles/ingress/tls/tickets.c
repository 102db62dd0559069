#include "roles/ingress/tls/tickets.h"

#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>

#define NAME_BYTES 16
#define AES_BYTES 32
#define HMAC_BYTES 32
#define KEY_BYTES (NAME_BYTES + AES_BYTES + HMAC_BYTES)
#define HOURS_MAX (TICKET_LIFE_S * 1000ll / TICKET_KEY_CHANGE_MS)
#define KEYS_MAX (3 * (HOURS_MAX + 2)) /* of the secret; and as many again of two before it */

struct key {
	uint8_t name[NAME_BYTES], aes[AES_BYTES], hmac[HMAC_BYTES];
	int64_t until_ms; /* loop_now_ms's time from which on it makes no tickets */
};
/* Never changed once it can be seen. */
struct keys {
	size_t n;
	size_t n_derived; /* the first ones are of the secret */
	int64_t hour;	  /* when that was */
	struct key at[KEYS_MAX]; /* the first one makes tickets */
};
struct tickets {
	struct quiesce *q;
	struct keys *now; /* atomic */
	EVP_CIPHER *cipher;
	EVP_KDF *kdf;
	struct ticket_secret secret; /* len 0: none */
	unsigned life_s;
};

static void keys_free(void *p)
{
	OPENSSL_cleanse(p, sizeof(struct keys));
	free(p);
}

static const struct key *find(const struct keys *keys, const unsigned char *name)
{
	for (size_t i = 0; i < keys->n; i++)
		if (memcmp(keys->at[i].name, name, NAME_BYTES) == 0)
			return &keys->at[i];
	return NULL;
}

/* ---- making ---- */

static bool key_random(struct key *k, int64_t now_ms)
{
	k->until_ms = now_ms + TICKET_KEY_CHANGE_MS;
	return RAND_bytes(k->name, sizeof(k->name)) == 1 && RAND_priv_bytes(k->aes, sizeof(k->aes)) == 1 &&
	       RAND_priv_bytes(k->hmac, sizeof(k->hmac)) == 1;
}

/* HKDF (RFC 5869) with the hour, counted from 1970, as info: knowing one hour's key tells nothing of another's. */
static bool key_derive(struct key *k, const struct tickets *t, int64_t hour)
{
	static const char salt[] = "portico session tickets 1";
	uint8_t info[8], out[KEY_BYTES];

	for (size_t i = 0; i < sizeof(info); i++)
		info[i] = (uint8_t)((uint64_t)hour >> (56 - 8 * i));
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)t->secret.bytes, t->secret.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, sizeof(salt) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(t->kdf);
	bool ok = ctx && EVP_KDF_derive(ctx, out, sizeof(out), params) == 1;

	EVP_KDF_CTX_free(ctx);
	memcpy(k->name, out, NAME_BYTES);
	memcpy(k->aes, out + NAME_BYTES, AES_BYTES);
	memcpy(k->hmac, out + NAME_BYTES + AES_BYTES, HMAC_BYTES);
	OPENSSL_cleanse(out, sizeof(out));
	return ok;
}

static int64_t hour_of(struct ticket_time at)
{
	return at.wall_ms / TICKET_KEY_CHANGE_MS;
}

/* When the hour ends, by the other clock. */
static int64_t end_of(int64_t hour, struct ticket_time at)
{
	return (int64_t)at.now_ms + (hour + 1) * TICKET_KEY_CHANGE_MS - at.wall_ms;
}

static bool is_taken(const struct tickets *t, const struct key *k, struct ticket_time at)
{
	return (int64_t)at.now_ms < k->until_ms + t->life_s * 1000ll;
}

/* This hour's, the next one's, and those before whose tickets still live. */
static bool put_derived(const struct tickets *t, struct keys *ks, struct ticket_time at)
{
	int64_t now = hour_of(at);

	ks->hour = now;
	for (int64_t back = 0; back <= HOURS_MAX + 1; back++) {
		int64_t hour = back == 1 ? now + 1 : back ? now + 1 - back : now;
		struct key *k = &ks->at[ks->n];

		k->until_ms = end_of(hour, at);
		if (!is_taken(t, k, at))
			break;
		if (!key_derive(k, t, hour))
			return false;
		ks->n_derived = ++ks->n;
	}
	return true;
}

/* `fresh`: the secret is another one than before. */
static struct keys *keys_next(const struct tickets *t, bool fresh, struct ticket_time at)
{
	const struct keys *old = t->now;
	struct keys *k = xcalloc(1, sizeof(*k));
	bool ok;

	if (t->secret.len)
		ok = put_derived(t, k, at);
	else
		ok = key_random(&k->at[k->n++], (int64_t)at.now_ms);
	if (!ok) {
		keys_free(k);
		return NULL;
	}
	for (size_t i = old && !fresh ? old->n_derived : 0; old && i < old->n && k->n < KEYS_MAX; i++)
		if (is_taken(t, &old->at[i], at) && !find(k, old->at[i].name))
			k->at[k->n++] = old->at[i];
	return k;
}

static void publish(struct tickets *t, struct keys *k)
{
	struct keys *old = t->now;

	__atomic_store_n(&t->now, k, __ATOMIC_RELEASE);
	quiesce_retire(t->q, keys_free, old);
}

/* ---- life ---- */

struct tickets *tickets_new(struct quiesce *q, struct ticket_time at, struct err *e)
{
	struct tickets *t = xcalloc(1, sizeof(*t));

	t->q = q;
	t->life_s = TICKET_LIFE_S;
	/* Looked up once: by name it would be for each ticket. */
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	t->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	t->now = keys_next(t, true, at);
	if (t->cipher && t->kdf && t->now)
		return t;
	err_openssl(e, ERR_INTERNAL, "keys of session tickets");
	tickets_free(t);
	return NULL;
}

void tickets_free(struct tickets *t)
{
	if (!t)
		return;
	EVP_CIPHER_free(t->cipher);
	EVP_KDF_free(t->kdf);
	if (t->now)
		keys_free(t->now);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

static bool same_secret(const struct ticket_secret *a, const struct ticket_secret *b)
{
	return a->len == b->len && CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0;
}

int tickets_set(struct tickets *t, const struct ticket_secret *secret, unsigned life_s, struct ticket_time at, struct err *e)
{
	static const struct ticket_secret none;
	struct ticket_secret before = t->secret, now = secret ? *secret : none;
	unsigned life_before = t->life_s;
	struct keys *k = t->now;

	t->life_s = life_s ? MIN(life_s, (unsigned)TICKET_LIFE_S) : TICKET_LIFE_S;
	t->secret = now;
	if (!same_secret(&before, &now) || t->life_s != life_before)
		k = keys_next(t, !same_secret(&before, &now), at);
	if (k && k != t->now)
		publish(t, k);
	if (!k) {
		t->secret = before;
		t->life_s = life_before;
	}
	OPENSSL_cleanse(&before, sizeof(before));
	OPENSSL_cleanse(&now, sizeof(now));
	return k ? 0 : err_openssl(e, ERR_INTERNAL, "keys of session tickets");
}

static bool is_due(const struct tickets *t, struct ticket_time at)
{
	if (t->secret.len)
		return t->now->hour != hour_of(at); /* in either direction: the clock may have been set */
	return (int64_t)at.now_ms >= t->now->at[0].until_ms;
}

void tickets_tick(struct tickets *t, struct ticket_time at)
{
	struct keys *k = is_due(t, at) ? keys_next(t, false, at) : NULL;

	if (k) /* else there are no random bytes: the old ones go on until there are some */
		publish(t, k);
}

/* ---- to the next process ---- */

/* Both have the same clock, but maybe not the same program. */
static const char export_magic[8] = "tickets1";
struct exported {
	uint8_t name[NAME_BYTES], aes[AES_BYTES], hmac[HMAC_BYTES];
	int64_t until_ms;
};
_Static_assert(sizeof(export_magic) + KEYS_MAX * sizeof(struct exported) <= TICKET_EXPORT_BYTES, "there is room for all keys");

void tickets_export(const struct tickets *t, struct buf *out)
{
	const struct keys *keys = t->now;

	buf_put(out, export_magic, sizeof(export_magic));
	for (size_t i = 0; i < keys->n; i++) {
		struct exported x = { .until_ms = keys->at[i].until_ms };

		memcpy(x.name, keys->at[i].name, NAME_BYTES);
		memcpy(x.aes, keys->at[i].aes, AES_BYTES);
		memcpy(x.hmac, keys->at[i].hmac, HMAC_BYTES);
		buf_put(out, &x, sizeof(x));
		OPENSSL_cleanse(&x, sizeof(x));
	}
}

static void import_one(const struct tickets *t, struct keys *keys, const char *bytes, struct ticket_time at)
{
	struct exported x;
	struct key *k = &keys->at[keys->n];

	memcpy(&x, bytes, sizeof(x));
	memcpy(k->name, x.name, NAME_BYTES);
	memcpy(k->aes, x.aes, AES_BYTES);
	memcpy(k->hmac, x.hmac, HMAC_BYTES);
	k->until_ms = x.until_ms;
	/* None is made for longer than the next hour. */
	if (k->until_ms <= (int64_t)at.now_ms + 2 * TICKET_KEY_CHANGE_MS && is_taken(t, k, at) && !find(keys, k->name))
		keys->n++;
	else
		OPENSSL_cleanse(k, sizeof(*k));
	OPENSSL_cleanse(&x, sizeof(x));
}

void tickets_import(struct tickets *t, struct str exported, struct ticket_time at)
{
	struct str magic = { export_magic, sizeof(export_magic) };

	if (!str_starts(exported, magic))
		return;
	struct keys *k = xcalloc(1, sizeof(*k));
	*k = *t->now;
	for (size_t off = magic.len; exported.len - off >= sizeof(struct exported) && k->n < KEYS_MAX; off += sizeof(struct exported))
		import_one(t, k, exported.ptr + off, at);
	publish(t, k);
}

/* ---- for OpenSSL ---- */

static int at_tickets;

static void make_place(void)
{
	at_tickets = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static bool set_mac(EVP_MAC_CTX *mac, const struct key *k)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->hmac, HMAC_BYTES),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1, take or make it; 2, take it but give a new one; 0, unknown; -1, broken. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int making)
{
	const struct tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), at_tickets);
	const struct keys *keys = __atomic_load_n(&t->now, __ATOMIC_ACQUIRE);
	const struct key *k = making ? &keys->at[0] : find(keys, name);

	if (!k)
		return 0;
	if (making) {
		memcpy(name, k->name, NAME_BYTES);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) != 1)
			return -1;
	}
	if (EVP_CipherInit_ex(cipher, t->cipher, NULL, k->aes, iv, making) != 1 || !set_mac(mac, k))
		return -1;
	/* Version 1.3's clients use a ticket once (RFC 8446 C.4), so each resumption gives them the next. */
	return making || (k == &keys->at[0] && SSL_version(ssl) != TLS1_3_VERSION) ? 1 : 2;
}

void tickets_use(struct tickets *t, SSL_CTX *ctx)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_place);
	SSL_CTX_set_ex_data(ctx, at_tickets, t);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
	SSL_CTX_set_timeout(ctx, t->life_s);
}
