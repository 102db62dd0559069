/* redirect.h - redirects that are not a location's: of names that only redirect, and of "/" where nothing matches it.
 */
#pragma once

#include "roles/ingress/http/exchange.h"

/* x matches no location, which is no reason for 404 yet: its host may only redirect to another name (from-to-www-redirect),
 * or it asked for "/" where an Ingress of the host has an app-root. True: it is answered, by 403 if a block list says so. */
bool redirect_unrouted(struct exchange *x);

/* ---- parts of it, for tests ---- */
/* 308 (http-redirect-code) to scheme://to:port/uri: the port is that of X-Forwarded-Port when that is believed, else the one
 * the client came to. */
void redirect_to_name(struct exchange *x, const char *to);
/* app-root of any Ingress of the host answers "/", whichever location matches: nginx decides it before. NULL: none. */
const char *host_app_root(const struct host *h);
