/* filters.h - every filter; filters.c says in which order they run.
 *
 * The order is that of nginx's phases as ingress-nginx's template fills them:
 *                    trace                 traceparent, with enable-opentelemetry: also of those refused
 *                    auth_tls              client certificates: 400, 403, 421
 *   server rewrite   block                 block-user-agents, block-referers, block-cidrs
 *                    app_root              302 from "/"
 *   rewrite          cors                  the preflight's 204, before any redirect, limit or password
 *                    snippet
 *                    redirect              temporal-, permanent-redirect; then ssl-redirect
 *   preaccess        limits                limit_req, then limit_conn
 *   access           access                addresses: deny, allow
 *                    waf                   heads here, bodies as they come
 *                    basic_auth, digest_auth, jwt, auth_url
 *                    access_end            `satisfy any`: nobody granted anything
 *   precontent       mirror
 *   content          answer_rewrite        answers only: of the upstream's, before others add to them
 *                    custom_errors         answers only
 * Answers pass them from the end to the beginning, so those that concern answers alone stand before all of these:
 *                    compress              the last to touch an answer
 *                    headers               custom-headers win over cors
 *                    pace                  limit-rate; before headers hides what the upstream says of it
 */
#pragma once

#include "roles/ingress/http/filter.h"

extern const struct filter filter_trace;
extern const struct filter filter_compress; /* before all others: its answer part runs last, on what is really sent */
extern const struct filter filter_headers; /* answers only */
extern const struct filter filter_pace; /* answers only */
extern const struct filter filter_auth_tls;
extern const struct filter filter_block;
extern const struct filter filter_app_root;
extern const struct filter filter_cors;
extern const struct filter filter_snippet;
extern const struct filter filter_redirect;
extern const struct filter filter_limits;
extern const struct filter filter_access;
extern const struct filter filter_waf;
extern const struct filter filter_basic_auth;
extern const struct filter filter_digest_auth;
extern const struct filter filter_jwt;
extern const struct filter filter_auth_url;
extern const struct filter filter_access_end;
extern const struct filter filter_mirror;
extern const struct filter filter_answer_rewrite;
extern const struct filter filter_custom_errors; /* last: its answer part runs first */
