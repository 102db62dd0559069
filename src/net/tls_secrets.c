#include "net/tls_secrets.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <pthread.h>

#define PROVIDER "portico"

static EVP_KDF *real; /* the default provider's */
static _Thread_local struct tls_secrets *noting;

struct tls_secrets *tls_secrets_note(struct tls_secrets *to)
{
	struct tls_secrets *before = noting;

	noting = to;
	return before;
}

/* ---- noting ---- */

static struct str octets(const OSSL_PARAM params[], const char *name)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);

	return p && p->data_type == OSSL_PARAM_OCTET_STRING ? (struct str){ p->data, p->data_size } : STR_NONE;
}

static void put(uint8_t *to, size_t max, uint8_t *ret_len, const unsigned char *from, size_t len)
{
	if (len > max)
		return;
	memcpy(to, from, len);
	*ret_len = (uint8_t)len;
}

/* Key and iv are derived from a secret right after it; what is derived from other secrets is none of ours. */
static void note(struct tls_secrets *n, const OSSL_PARAM params[], const unsigned char *out, size_t len)
{
	struct str label = octets(params, OSSL_KDF_PARAM_LABEL), from = octets(params, OSSL_KDF_PARAM_KEY);

	if (str_eq(label, STR("c ap traffic")) || str_eq(label, STR("s ap traffic"))) {
		n->last = label.ptr[0] == 'c' ? &n->client : &n->server;
		memset(n->last, 0, sizeof(*n->last));
		put(n->last->secret, TLS_SECRET_BYTES, &n->last->secret_len, out, len);
		return;
	}
	if (!n->last || from.len != n->last->secret_len || CRYPTO_memcmp(from.ptr, n->last->secret, from.len) != 0)
		return;
	if (str_eq(label, STR("key")))
		put(n->last->key, TLS_KEY_BYTES, &n->last->key_len, out, len);
	else if (str_eq(label, STR("iv")))
		put(n->last->iv, TLS_IV_BYTES, &n->last->iv_len, out, len);
}

/* ---- the function, as a provider gives it ---- */

static void *kdf_new(void *ctx)
{
	(void)ctx;
	return EVP_KDF_CTX_new(real);
}

static void kdf_free(void *ctx)
{
	EVP_KDF_CTX_free(ctx);
}

static void kdf_reset(void *ctx)
{
	EVP_KDF_CTX_reset(ctx);
}

static int kdf_derive(void *ctx, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
	int ok = EVP_KDF_derive(ctx, out, len, params);

	if (ok == 1 && noting && params)
		note(noting, params, out, len);
	return ok;
}

static int kdf_set(void *ctx, const OSSL_PARAM params[])
{
	return EVP_KDF_CTX_set_params(ctx, params);
}

static int kdf_get(void *ctx, OSSL_PARAM params[])
{
	return EVP_KDF_CTX_get_params(ctx, params);
}

static const OSSL_PARAM *kdf_settable(void *ctx, void *outer)
{
	(void)ctx, (void)outer;
	return EVP_KDF_settable_ctx_params(real);
}

static const OSSL_PARAM *kdf_gettable(void *ctx, void *outer)
{
	(void)ctx, (void)outer;
	return EVP_KDF_gettable_ctx_params(real);
}

#define ROW(id, fn) { id, (void (*)(void))(fn) }
static const OSSL_DISPATCH kdf_functions[] = {
	ROW(OSSL_FUNC_KDF_NEWCTX, kdf_new),
	ROW(OSSL_FUNC_KDF_FREECTX, kdf_free),
	ROW(OSSL_FUNC_KDF_RESET, kdf_reset),
	ROW(OSSL_FUNC_KDF_DERIVE, kdf_derive),
	ROW(OSSL_FUNC_KDF_SET_CTX_PARAMS, kdf_set),
	ROW(OSSL_FUNC_KDF_GET_CTX_PARAMS, kdf_get),
	ROW(OSSL_FUNC_KDF_SETTABLE_CTX_PARAMS, kdf_settable),
	ROW(OSSL_FUNC_KDF_GETTABLE_CTX_PARAMS, kdf_gettable),
	{ 0, NULL },
};
static const OSSL_ALGORITHM kdfs[] = {
	{ "TLS13-KDF", "provider=" PROVIDER ",portico.secrets=yes", kdf_functions, "TLS 1.3's key derivation, noted" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *ret_no_cache)
{
	(void)ctx;
	*ret_no_cache = 0;
	return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **ret_out, void **ret_ctx)
{
	static const OSSL_DISPATCH functions[] = { ROW(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), { 0, NULL } };

	(void)in;
	*ret_out = functions;
	*ret_ctx = (void *)handle;
	return 1;
}

static OSSL_PROVIDER *default_provider, *provider; /* for as long as the process lives */

static void make_known(void)
{
	/* By name: once a provider was loaded, OpenSSL no longer loads the default one by itself. */
	default_provider = OSSL_PROVIDER_load(NULL, "default");
	real = EVP_KDF_fetch(NULL, "TLS13-KDF", "provider=default");
	if (default_provider && real && OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) == 1)
		provider = OSSL_PROVIDER_load(NULL, PROVIDER);
}

bool tls_secrets_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_known);
	return provider != NULL;
}
