#include "roles/ingress/tls/tickets.h"

#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

#define NAME_BYTES 16
#define AES_BYTES 32
#define HMAC_BYTES 32
#define KEYS_MAX (TICKET_KEY_KEPT_MS / TICKET_KEY_CHANGE_MS + 2)

struct key {
	uint8_t name[NAME_BYTES], aes[AES_BYTES], hmac[HMAC_BYTES];
	uint64_t made_ms;
};
/* Never changed once it can be seen. */
struct keys {
	size_t n;
	struct key at[KEYS_MAX]; /* the newest is the first: it makes tickets */
};
struct tickets {
	struct quiesce *q;
	struct keys *now; /* atomic */
	EVP_CIPHER *cipher;
};

static void keys_free(void *p)
{
	OPENSSL_cleanse(p, sizeof(struct keys));
	free(p);
}

static bool key_make(struct key *k, uint64_t now_ms)
{
	k->made_ms = now_ms;
	return RAND_bytes(k->name, sizeof(k->name)) == 1 && RAND_priv_bytes(k->aes, sizeof(k->aes)) == 1 &&
	       RAND_priv_bytes(k->hmac, sizeof(k->hmac)) == 1;
}

/* A new key, and those of `old` that are young enough. */
static struct keys *keys_next(const struct keys *old, uint64_t now_ms)
{
	struct keys *k = xcalloc(1, sizeof(*k));

	if (!key_make(&k->at[k->n++], now_ms)) {
		free(k);
		return NULL;
	}
	for (size_t i = 0; old && i < old->n && k->n < KEYS_MAX; i++)
		if (now_ms - old->at[i].made_ms < TICKET_KEY_CHANGE_MS + TICKET_KEY_KEPT_MS)
			k->at[k->n++] = old->at[i];
	return k;
}

struct tickets *tickets_new(struct quiesce *q, uint64_t now_ms, struct err *e)
{
	struct tickets *t = xcalloc(1, sizeof(*t));

	t->q = q;
	/* Looked up once: by name it would be for each ticket. */
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	t->now = keys_next(NULL, now_ms);
	if (t->cipher && t->now)
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
	if (t->now)
		keys_free(t->now);
	free(t);
}

void tickets_tick(struct tickets *t, uint64_t now_ms)
{
	struct keys *old = t->now, *k;

	if (now_ms - old->at[0].made_ms < TICKET_KEY_CHANGE_MS)
		return;
	k = keys_next(old, now_ms);
	if (!k)
		return; /* no random bytes: the old ones go on until there are some */
	__atomic_store_n(&t->now, k, __ATOMIC_RELEASE);
	quiesce_retire(t->q, keys_free, old);
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

static const struct key *find(const struct keys *keys, const unsigned char *name)
{
	for (size_t i = 0; i < keys->n; i++)
		if (memcmp(keys->at[i].name, name, NAME_BYTES) == 0)
			return &keys->at[i];
	return NULL;
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
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
}
