/* resolve_int.h - what resolve.c, resolve_auth.c and resolve_tls.c share: objects that settings name, and the steps. */
#pragma once

#include "roles/ingress/config/builder.h"

/* resolve.c. The object that "name" or "ns/name" means. NULL: the location is denied. */
const json_t *resolve_secret(struct builder *b, const char *annotation, const char *reference);
const json_t *resolve_configmap(struct builder *b, const char *annotation, const char *reference);
/* The same without denying anything: why there is none. */
const json_t *resolve_look(const struct builder *b, const char *reference, const char **ret_reason, struct err *e);
/* A ConfigMap's headers. `allowed` may be NULL: all are. */
void resolve_headers(struct builder *b, const char *annotation, const char *reference, const struct str_list *allowed,
		     struct header_text **ret, size_t *ret_n);
/* A key's bytes, on the heap; STR_NONE: absent or no base64. */
struct str secret_bytes(const json_t *secret, const char *key);
void secret_wipe(struct str *s); /* and frees */

/* resolve_auth.c */
void resolve_passwords(struct builder *b);
void resolve_external_auth(struct builder *b);
void resolve_tokens(struct builder *b);
/* resolve_tls.c */
void resolve_client_certificates(struct builder *b);
void resolve_upstream_tls(struct builder *b);
void resolve_host_ciphers(struct builder *b);
