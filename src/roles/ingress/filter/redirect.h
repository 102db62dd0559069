/* redirect.h - redirects that are not a location's: of names that only redirect, and of "/" where nothing matches it.
 */
#pragma once

#include "roles/ingress/http/exchange.h"

/* from-to-www-redirect: `to` is host->redirect_to. 308 (http-redirect-code) to scheme://to:port/uri: the port is that of
 * X-Forwarded-Port when that is believed, else the one the client came to. x has no location. */
void redirect_to_name(struct exchange *x, const char *to);
/* app-root of any Ingress of the host answers "/", whichever location matches: nginx decides it before. The text of
 * app-root; NULL: none. For hosts that have no location for "/". */
const char *host_app_root(const struct host *h);
void redirect_to_app_root(struct exchange *x, const char *app_root);
