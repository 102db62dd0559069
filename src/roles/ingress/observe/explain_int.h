/* explain_int.h - the parts of an explanation; explain.c runs the dry exchange, explain_parts.c describes. */
#pragma once

#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/observe/explain.h"

/* Each adds its member to `doc`. */
void explain_certificate(json_t *doc, const struct shared *s, struct str server_name);
void explain_host(json_t *doc, const struct shared *s, struct str host); /* nothing matched: what there is */
void explain_location(json_t *doc, const struct exchange *x);
void explain_annotations(json_t *doc, const struct location *loc, const struct globals *g);
void explain_canary(json_t *doc, const struct exchange *x);
void explain_upstream(json_t *doc, const struct exchange *x);
void explain_endpoints(json_t *doc, const struct exchange *x, const struct endpoint *picked, bool full);
json_t *explain_headers(const struct header_list *l);
json_t *explain_str(struct str s); /* bytes that are no UTF-8 become '?' */
