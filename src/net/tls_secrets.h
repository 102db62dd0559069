/* tls_secrets.h - the traffic keys of TLS 1.3 handshakes that OpenSSL makes on the calling thread.
 *
 * OpenSSL keeps them inside its SSL object. Its key derivation function is a provider's, however, and a program may bring
 * one of its own (provider(7), EVP_KDF-TLS13_KDF(7)): ours calls the default one, and notes what comes out under the labels
 * of RFC 8446, sections 7.1 and 7.3. Contexts made with TLS_SECRETS_PROPERTIES use it.
 */
#pragma once

#include "base/base.h"

#define TLS_SECRETS_PROPERTIES "?portico.secrets=yes"
#define TLS_SECRET_BYTES 48 /* SHA-384's */
#define TLS_KEY_BYTES 32
#define TLS_IV_BYTES 12

struct tls_secret {
	uint8_t secret[TLS_SECRET_BYTES]; /* the traffic secret that key and iv come from */
	uint8_t key[TLS_KEY_BYTES], iv[TLS_IV_BYTES];
	uint8_t secret_len, key_len, iv_len; /* 0: not seen */
};
struct tls_secrets {
	struct tls_secret client, server;	/* of application data */
	struct tls_secret *last;		/* the one whose key and iv come next */
};
/* Makes the function known to OpenSSL, once for the process; false: it cannot be, and nothing will be noted. */
bool tls_secrets_init(void);
/* Where this thread's handshakes are noted from now on; NULL: nowhere. Returns the place before. */
struct tls_secrets *tls_secrets_note(struct tls_secrets *to);
