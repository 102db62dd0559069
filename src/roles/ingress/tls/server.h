/* server.h - TLS towards clients: one context for all names and workers, a certificate for each name.
 *
 * A connection's ClientHello names the host (SNI); a call-back on the worker's thread then chooses the certificate
 * (routes_tls, else shared->default_tls) and whether one of the client is asked for (host->client_auth), and
 * obeys the host's own ciphers (host->ciphers). Certificates are
 * `struct tls` that share the context, so ten thousand of them cost what their keys do.
 */
#pragma once

#include "roles/ingress/worker.h"

struct tls_front;
/* Main thread, before the workers start. shared->routes, globals and default_tls are read when a client comes; the last two
 * are not needed yet. */
struct tls_front *tls_front_new(struct shared *s, struct err *e) must_check;
void tls_front_free(struct tls_front *f); /* when the workers have ended */

/* A certificate for clients; equal ones are one and the same. As sync_options.server_tls. */
struct tls *tls_front_certificate(void *front, struct str cert_pem, struct str key_pem, struct err *e) must_check;
/* "Kubernetes Ingress Controller Fake Certificate", of Acme Co, for ingress.local: for names without another one. */
struct tls *tls_front_fake(struct tls_front *f, struct err *e) must_check;
/* New global settings: connections from now on obey them. On failure (settings OpenSSL does not know) the old ones stay. */
int tls_front_apply(struct tls_front *f, const struct globals *g, struct err *e) must_check;

/* Keys of session tickets, to the process that takes over, and from the one before: see tickets.h. */
void tls_front_export(const struct tls_front *f, struct buf *out);
void tls_front_import(struct tls_front *f, struct str exported);

/* Any worker: what conn_accept and conn_start_tls are given. Valid within the call-back. */
struct tls *tls_front_context(struct tls_front *f);
