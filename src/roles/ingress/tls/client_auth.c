#include "roles/ingress/tls/client_auth.h"

#include "base/map.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

struct client_auth {
	const struct settings *set;
	X509_STORE *store;		/* NULL: broken */
	STACK_OF(X509_NAME) *names;
	uint64_t id;
	uint8_t digest[TLS_ASKED_BYTES];
};

static void add_authority(struct client_auth *a, X509 *ca)
{
	X509_STORE_add_cert(a->store, ca);
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(ca));
	if (name && !sk_X509_NAME_push(a->names, name))
		X509_NAME_free(name);
}

static int read_authorities(struct client_auth *a, const char *pem, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	int n = 0;

	a->store = X509_STORE_new();
	a->names = sk_X509_NAME_new_null();
	ERR_clear_error();
	for (X509 *ca; bio && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)); n++) {
		add_authority(a, ca);
		X509_free(ca);
	}
	BIO_free(bio);
	if (n == 0)
		return err_openssl(e, ERR_INVALID, "ca.crt");
	ERR_clear_error(); /* the end of the list is reported as an error too */
	/* An intermediate authority that is named is trusted without its root. */
	X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(a->store), X509_V_FLAG_PARTIAL_CHAIN);
	return 0;
}

/* As nginx's ssl_crl: then each authority of a chain needs a list. */
static int read_revoked(struct client_auth *a, const char *pem, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	int n = 0;

	ERR_clear_error();
	for (X509_CRL *crl; bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)); n++) {
		X509_STORE_add_crl(a->store, crl);
		X509_CRL_free(crl);
	}
	BIO_free(bio);
	if (n == 0)
		return err_openssl(e, ERR_INVALID, "ca.crl");
	ERR_clear_error();
	X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(a->store), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

/* The digest leaves the process, in tickets: it must be hard to find another host and authorities with the same one. */
static int identify(struct client_auth *a, const char *host, const struct settings *s, struct err *e)
{
	uint8_t digest[32];
	cleanup(freep) char *all = xasprintf("%s\n%d\n%u\n%s\n%s", host, s->auth_tls_verify_client, s->auth_tls_verify_depth,
					     s->auth_tls_ca, s->auth_tls_crl ? s->auth_tls_crl : "");
	uint64_t id = hash_keyed(all, strlen(all));

	a->id = id ? id : 1;
	if (!EVP_Q_digest(NULL, "SHA256", NULL, all, strlen(all), digest, NULL))
		return err_openssl(e, ERR_INTERNAL, "SHA-256");
	memcpy(a->digest, digest, sizeof(a->digest));
	return 0;
}

struct client_auth *client_auth_new(const char *host, const struct settings *s, char **ret_why)
{
	struct client_auth *a;
	struct err e;

	*ret_why = NULL;
	if (!s->auth_tls_ca)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->set = settings_ref(s);
	if (identify(a, host, s, &e) < 0 || read_authorities(a, s->auth_tls_ca, &e) < 0 ||
	    (s->auth_tls_crl && read_revoked(a, s->auth_tls_crl, &e) < 0)) {
		*ret_why = s->auth_tls_ca[0] ? xstrdup(e.message) : NULL;
		X509_STORE_free(TAKE_PTR(a->store));
	}
	return a;
}

void client_auth_free(struct client_auth *a)
{
	if (!a)
		return;
	settings_unref(a->set);
	X509_STORE_free(a->store);
	sk_X509_NAME_pop_free(a->names, X509_NAME_free);
	free(a);
}

const struct settings *client_auth_settings(const struct client_auth *a)
{
	return a->set;
}

bool client_auth_broken(const struct client_auth *a)
{
	return !a->store;
}

uint64_t client_auth_id(const struct client_auth *a)
{
	return a->id;
}

const uint8_t *client_auth_digest(const struct client_auth *a)
{
	return a->digest;
}

bool client_auth_ask(const struct client_auth *a, SSL *ssl)
{
	bool asks = a->store && a->set->auth_tls_verify_client != VERIFY_OFF;

	return !asks || tls_ask_for_certificate(ssl, a->store, a->names, (int)a->set->auth_tls_verify_depth, a->id, a->digest);
}
