/* variable_int.h - shared by the parser (variable.c) and the values (variable_get.c, variable_conn.c, variable_tls.c). */
#pragma once

#include "roles/ingress/http/exchange.h"
#include "roles/ingress/http/variable.h"

struct variable_part;
/* Where a value goes: escaped, and noting whether there was one at all. */
struct variable_sink {
	struct buf *out;
	enum variable_escape how;
	const struct variable_locals *locals; /* may be NULL */
	bool any;
};
void variable_put(struct variable_sink *o, struct str value);
void variable_printf(struct variable_sink *o, const char *fmt, ...) printf_like(2, 3);

typedef void variable_get_fn(struct variable_sink *o, struct exchange *x, const struct variable_part *p);
struct variable_row {
	const char *name; /* with a trailing '_' and `family`: whatever follows is the value's own name */
	variable_get_fn *get;
	size_t arg;	  /* for `get`: an offset or a number */
	bool family;
};
extern const struct variable_row variable_rows[]; /* as variable_docs(); name NULL ends */

/* A run of text (get NULL) or a variable. */
struct variable_part {
	variable_get_fn *get;
	size_t arg;
	struct str text; /* owned: the literal, or the family's own name */
};

/* The connection: variable_conn.c */
variable_get_fn variable_remote_port, variable_peer_addr, variable_peer_port, variable_binary_addr,
	variable_proxy_protocol_addr, variable_pass_scheme, variable_pass_port, variable_pass_server_port,
	variable_server_port, variable_server_addr, variable_https, variable_http2, variable_hostname, variable_pid;

/* Certificates and ciphers: variable_tls.c */
variable_get_fn variable_ssl_protocol, variable_ssl_cipher, variable_ssl_server_name, variable_ssl_session_reused,
	variable_ssl_session_id, variable_ssl_alpn, variable_ssl_curve, variable_ssl_client_verify, variable_ssl_client_dn,
	variable_ssl_client_serial, variable_ssl_client_fingerprint, variable_ssl_client_cert, variable_ssl_client_time;
enum variable_dn { DN_SUBJECT, DN_ISSUER };
enum variable_cert { CERT_RAW, CERT_ESCAPED };
