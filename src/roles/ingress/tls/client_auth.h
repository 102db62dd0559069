/* client_auth.h - whom a host asks for a certificate: nginx.ingress.kubernetes.io/auth-tls-*, which act on whole hosts.
 *
 * The handshake asks (server.h); filter/auth_tls.c acts on what came of it, for each request.
 */
#pragma once

#include "roles/ingress/config/settings.h"

struct client_auth;
/* For the host of this name (folded), by the settings of the first Ingress that has auth_tls_ca. NULL: it asks nobody.
 * An authority that cannot be read gives one that refuses every request, as ingress-nginx does; *ret_why says why (to be
 * freed), and is NULL otherwise, also for the authority "" (missing: said elsewhere). */
struct client_auth *client_auth_new(const char *host, const struct settings *s, char **ret_why);
void client_auth_free(struct client_auth *a); /* NULL is nothing */
const struct settings *client_auth_settings(const struct client_auth *a);
bool client_auth_broken(const struct client_auth *a);
/* Stands for the host and all that is asked; what tls_info.asked_for must be on a connection for requests to this host. */
uint64_t client_auth_id(const struct client_auth *a);
/* The same wherever it is asked, of TLS_ASKED_BYTES. */
const uint8_t *client_auth_digest(const struct client_auth *a);
/* In a ClientHello call-back. */
bool client_auth_ask(const struct client_auth *a, SSL *ssl);
