/* up_fcgi_int.h - what up_fcgi.c (a connection) and up_fcgi_params.c (what the program is told) share, with `portico explain`. */
#pragma once

#include "roles/ingress/http/exchange.h"

/* The parameters of x's request as nginx would send them: those of the location's settings, then its headers as HTTP_NAME.
 * x->up_target and up_headers are set. -1: `put` said so, or they are too long. Slices are valid during the call only. */
int up_fcgi_params(struct exchange *x, int (*put)(void *ctx, struct str name, struct str value), void *ctx) must_check;
