/* tls - the certificate of a block that is served over TLS. No part in questions. */
#include "roles/dns/plugin/tls.h"

#include "base/file.h"
#include "net/tls.h"
#include "roles/dns/config/config.h"
#include "roles/dns/worker.h"

#include <openssl/evp.h>

#define PEM_BYTES_MAX (1u << 20) /* a bundle of all public authorities has a quarter of it */

#define DIGEST_BYTES 32	 /* SHA-256 */

struct directive_tls {
	struct tls *tls;
	uint8_t digest[DIGEST_BYTES]; /* of all that it was made from */
};

enum client_auth { CLIENT_NOCERT, CLIENT_IF_GIVEN, CLIENT_REQUIRED };

static int read_client_auth(const struct corefile_line *l, enum client_auth *ret, struct err *e)
{
	static const struct {
		const char *word;
		enum client_auth how;
	} words[] = { { "nocert", CLIENT_NOCERT }, { "verify_if_given", CLIENT_IF_GIVEN }, { "require_and_verify", CLIENT_REQUIRED } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (l->n == 2 && strcmp(l->words[1], words[i].word) == 0) {
			*ret = words[i].how;
			return 0;
		}
	return directive_error(e, l, "tls", "client_auth is nocert, verify_if_given or require_and_verify%s", l->n == 2 && strncmp(l->words[1], "requ", 4) == 0 ?
			       ": a certificate that is not checked proves nothing" : "");
}

static int read_body(const struct directive *d, enum client_auth *ret, struct err *e)
{
	for (size_t i = 0; i < d->n_body; i++)
		if (read_client_auth(&d->body[i], ret, e) < 0)
			return -1;
	return 0;
}

/* CERT KEY [CA] */
static int read_files(const struct corefile_line *l, struct buf pem[3], struct err *e)
{
	struct err why;

	for (size_t i = 1; i < l->n; i++)
		if (file_read(l->words[i], &pem[i - 1], &why) < 0)
			return directive_file_error(e, l, "tls", &why);
	return 0;
}

static struct tls *make(const struct corefile_line *l, enum client_auth auth, const struct buf pem[3], struct err *e)
{
	static const char *const alpn[] = { "dot", NULL }; /* RFC 7858, as IANA registered it */
	struct tls_config c = { .cert_pem = buf_str(&pem[0]), .key_pem = buf_str(&pem[1]), .alpn = alpn, .verify_peer = auth != CLIENT_NOCERT };
	struct tls *t;
	struct err why;

	if (auth != CLIENT_NOCERT && l->n == 4)
		c.ca_pem = buf_str(&pem[2]);
	t = tls_server_new(&c, &why);
	if (!t)
		directive_error(e, l, "tls", "%s", why.message);
	else if (auth == CLIENT_REQUIRED)
		SSL_CTX_set_verify(tls_ctx(t), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, SSL_CTX_get_verify_callback(tls_ctx(t)));
	return t;
}

static bool digest_of(enum client_auth auth, const struct buf pem[3], uint8_t out[DIGEST_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, &auth, sizeof(auth));

	for (size_t i = 0; i < 3 && ok; i++)
		ok = EVP_DigestUpdate(md, &pem[i].len, sizeof(pem[i].len)) && (!pem[i].len || EVP_DigestUpdate(md, pem[i].ptr, pem[i].len));
	ok = ok && EVP_DigestFinal_ex(md, out, NULL);
	EVP_MD_CTX_free(md);
	return ok;
}

/* The one in use, when it was made from the same: connections over it stay when the rest of the Corefile changes. */
static struct tls *in_use(const struct plugin_scope *scope, const uint8_t digest[DIGEST_BYTES])
{
	const struct dns_config *c = scope->shared ? dns_config_now(scope->shared) : NULL;

	for (size_t i = 0; c && i < c->n_blocks; i++) {
		const struct directive_tls *t = dns_block_settings(&c->blocks[i], &plugin_tls);
		if (t && t->tls && memcmp(t->digest, digest, DIGEST_BYTES) == 0)
			return tls_ref(t->tls);
	}
	return NULL;
}

static int tls_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct directive_tls *t = *settings = xcalloc(1, sizeof(*t));
	enum client_auth auth = CLIENT_NOCERT;
	struct buf pem[3];

	if (d->head.n < 3 || d->head.n > 4)
		return directive_error(e, &d->head, "tls", "needs the files of a certificate and its key, and may have one of authorities: "
				       "tls CERTIFICATE KEY [AUTHORITIES]");
	if (read_body(d, &auth, e) < 0)
		return -1;
	if (auth != CLIENT_NOCERT && d->head.n < 4)
		return directive_error(e, &d->head, "tls", "client_auth needs AUTHORITIES to check by: tls CERTIFICATE KEY AUTHORITIES");
	for (size_t i = 0; i < ARRAY_LEN(pem); i++)
		buf_init(&pem[i], PEM_BYTES_MAX);
	if (read_files(&d->head, pem, e) == 0) {
		t->tls = digest_of(auth, pem, t->digest) ? in_use(scope, t->digest) : NULL;
		if (!t->tls)
			t->tls = make(&d->head, auth, pem, e);
	}
	for (size_t i = 0; i < ARRAY_LEN(pem); i++)
		buf_done(&pem[i]);
	return t->tls ? 0 : -1;
}

static void tls_free(void *settings)
{
	tls_unref(((struct directive_tls *)settings)->tls);
	free(settings);
}

struct tls *tls_of_directive(const void *settings)
{
	return ((const struct directive_tls *)settings)->tls;
}

static const struct plugin_property properties[] = {
	{ "client_auth", "nocert|verify_if_given|require_and_verify", "what clients must show; default nocert" },
	{ NULL },
};
const struct plugin plugin_tls = {
	.name = "tls",
	.args = "CERTIFICATE KEY [AUTHORITIES]",
	.doc = "PEM files for a block that is served over TLS (`tls://.`). They are read again when they change, if there is `reload`",
	.properties = properties,
	.once = true,
	.parse = tls_parse,
	.free_settings = tls_free,
};
