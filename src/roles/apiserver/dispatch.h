/* dispatch.h - from an HTTP exchange to its handler: who asks, for what, may they, and in which
 * form. */
#pragma once

#include "roles/apiserver/apiserver.h"

/* struct http_server_config.request; ctx is the struct apiserver. */
void dispatch(void *ctx, struct http_exchange *x);
/* struct http_server_config.refuse: a Status for what the HTTP layer itself turns away. */
void dispatch_refuse(void *ctx, int status, const char *message, struct buf *ret_body);
