/* tls.h - TLS 1.2 and 1.3 by OpenSSL, as contexts shared by connections.
 *
 * A context is reference counted, so that certificates can be replaced while old connections
 * still use theirs. Connections over it are made in conn.h.
 */
#pragma once

#include "base/err.h"

#include <openssl/ssl.h>

struct tls; /* wraps an SSL_CTX */
struct tls_config {
	struct str cert_pem, key_pem; /* own certificate chain and key; a client may have none */
	struct str ca_pem; /* whom to trust; for a server: whose client certificates to accept */
	bool verify_peer; /* client: check chain and name. server: ask for a client certificate, and
			   * refuse a bad one; none at all is accepted (peer_cn is then empty) */
	const char *const *alpn; /* NULL-terminated, in order of preference: "h2", "http/1.1" */
	bool own_records; /* server, TLS 1.3: after the handshake tls_record.h replaces OpenSSL's SSL object. For
			   * many connections; all others stay with OpenSSL (docs/decisions/0010) */
};
struct tls *tls_server_new(const struct tls_config *c, struct err *e) must_check;
struct tls *tls_client_new(const struct tls_config *c, struct err *e) must_check;
struct tls *tls_ref(struct tls *t);
void tls_unref(struct tls *t);
SSL_CTX *tls_ctx(struct tls *t); /* for a role that needs more than this, such as SNI call-backs */

/* ---- servers of many names: one context, and a certificate chosen for each connection (tls_name.c) ---- */

/* A certificate with key that is presented in connections over `base`'s context: a tenth of a context's memory. Given to
 * conn_accept itself, it is what clients get that ask for nothing else. */
struct tls *tls_certificate_new(struct tls *base, struct str cert_pem, struct str key_pem, struct err *e) must_check;
X509 *tls_leaf(const struct tls *t);		     /* its certificate; NULL: none */
STACK_OF(X509) *tls_chain(const struct tls *t);      /* what is sent behind it; NULL: nothing */
size_t tls_refs(const struct tls *t);
/* The rest is for a ClientHello call-back (SSL_CTX_set_client_hello_cb): what `ssl` will present, and whom it asks for. */
struct str tls_client_hello_name(SSL *ssl);	     /* SNI, as it came; STR_NONE: none, or malformed */
bool tls_present(SSL *ssl, struct tls *t);	     /* references it as long as the handshake takes */
/* What is sent along with it when a client asks for its state (OCSP). Atomic: the main thread sets it, and frees the old one
 * when no worker can be reading it any more; the last one goes with `t`. */
struct tls_staple {
	size_t len;
	uint8_t bytes[];
};
const struct tls_staple *tls_staple(const struct tls *t);
struct tls_staple *tls_set_staple(struct tls *t, struct tls_staple *s);
bool tls_has_certificate(const struct tls *t);	     /* of its own: by tls_certificate_new */
struct tls *tls_presented(const SSL *ssl);
/* Asks for a certificate by one of the authorities in `names`. A bad one, or none, does not end the handshake: see
 * tls_info.verify_result. `id` (not 0) stands for what is asked, in this process; `digest` does everywhere: sessions are
 * resumed only where the same is asked, maybe by another process with the same keys of tickets. */
#define TLS_ASKED_BYTES 24
bool tls_ask_for_certificate(SSL *ssl, X509_STORE *authorities, const STACK_OF(X509_NAME) *names, int depth, uint64_t id,
			     const uint8_t digest[TLS_ASKED_BYTES]);
uint64_t tls_asked_for(const SSL *ssl);

/* What is known of a connection once its handshake is done. */
#define TLS_ALPN_BYTES 16
struct tls_info {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
	const char *curve;    /* "X25519"; NULL: not known */
	char *server_name;    /* SNI, as the client wrote it; NULL: none */
	X509 *peer;	      /* the other side's certificate; NULL: none */
	long verify_result;   /* X509_V_OK, or why `peer` is not trusted */
	uint64_t asked_for;   /* what tls_ask_for_certificate was given; 0: none was asked for */
	bool resumed;
	uint8_t id_len;
	uint8_t id[32];	      /* of the session */
	char alpn[TLS_ALPN_BYTES]; /* "h2"; empty: none was chosen */
};
/* The text of OpenSSL's newest queued error; clears the queue. */
int err_openssl(struct err *e, enum err_reason r, const char *what);
