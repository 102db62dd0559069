/* host_ciphers.h - the ciphers of TLS 1.2 that a host has of its own: ssl-ciphers and ssl-prefer-server-ciphers, which act on
 * whole hosts, as nginx's directives in a server block do.
 */
#pragma once

#include "roles/ingress/config/settings.h"

struct client_auth;
struct host_ciphers;
/* `list` as OpenSSL writes it, known to be good; NULL: everybody's. `prefer`: 1 the server's order, 0 the client's, -1
 * everybody's: the server's, but ChaCha for clients that want it first. `asked` is what the host asks clients for; NULL: nothing. NULL: the host has nothing of its own. */
struct host_ciphers *host_ciphers_new(const char *list, int prefer, const struct client_auth *asked);
void host_ciphers_free(struct host_ciphers *c); /* NULL is nothing */
/* In a ClientHello call-back, after client_auth_ask: a session is resumed only where the list is the same, and what is asked
 * for is; one that began with another cipher would go on with it. */
bool host_ciphers_use(const struct host_ciphers *c, SSL *ssl);
