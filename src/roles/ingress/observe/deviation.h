/* deviation.h - where portico does something else than ingress-nginx, and why: for `portico explain`, `portico ingress check`
 * and the documentation.
 */
#pragma once

#include "roles/ingress/route/routes.h"

struct deviation {
	const char *id;
	const char *annotation; /* without the prefix; NULL: concerns no single annotation */
	const char *nginx, *portico; /* sentences: what each does */
	/* Does it show at this location? NULL: cannot be told from the location alone. */
	bool (*applies)(const struct location *loc);
};
extern const struct deviation deviations[]; /* ends with id == NULL */
