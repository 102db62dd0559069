/* cors.h - parts of CORS that tests and fuzzers call. */
#pragma once

#include "base/base.h"

/* Does `origin` match a pattern of cors-allow-origin: "https://a.b[:port]", "null", or one with "*" as a label?
 * Ignores case, as ingress-nginx does. */
bool cors_origin_matches(struct str pattern, struct str origin);
