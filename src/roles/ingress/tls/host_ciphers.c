#include "roles/ingress/tls/host_ciphers.h"

#include "roles/ingress/tls/client_auth.h"

#include <openssl/evp.h>

struct host_ciphers {
	int prefer;
	uint8_t context[SSL_MAX_SID_CTX_LENGTH]; /* of sessions */
	char list[];				 /* "": everybody's */
};

/* It leaves the process, in tickets: it must be hard to find another list with the same one. */
static bool identify(struct host_ciphers *c, const struct client_auth *asked)
{
	size_t len = strlen(c->list);
	cleanup(freep) char *all = xcalloc(1, TLS_ASKED_BYTES + len + 1);

	if (asked)
		memcpy(all, client_auth_digest(asked), TLS_ASKED_BYTES);
	memcpy(all + TLS_ASKED_BYTES, c->list, len);
	return EVP_Q_digest(NULL, "SHA256", NULL, all, TLS_ASKED_BYTES + len, c->context, NULL) == 1;
}

struct host_ciphers *host_ciphers_new(const char *list, int prefer, const struct client_auth *asked)
{
	if (!list && prefer < 0)
		return NULL;
	size_t bytes = list ? strlen(list) + 1 : 1;
	struct host_ciphers *c = xcalloc(1, sizeof(*c) + bytes);

	c->prefer = prefer;
	if (list)
		memcpy(c->list, list, bytes);
	if (!identify(c, asked))
		abort(); /* SHA-256 is always there */
	return c;
}

void host_ciphers_free(struct host_ciphers *c)
{
	free(c);
}

bool host_ciphers_use(const struct host_ciphers *c, SSL *ssl)
{
	if (c->prefer == 0)
		SSL_clear_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (c->prefer > 0)
		SSL_clear_options(ssl, SSL_OP_PRIORITIZE_CHACHA);
	return !c->list[0] || (SSL_set_cipher_list(ssl, c->list) == 1 &&
			       SSL_set_session_id_context(ssl, c->context, sizeof(c->context)) == 1);
}
