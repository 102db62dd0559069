/* deviation.h - where portico does something else than ingress-nginx, whatever the annotations: for `portico explain`, `portico
 * ingress check` and the documentation. What concerns a single annotation stands in its row (struct field, differs).
 */
#pragma once

#include "roles/ingress/route/routes.h"

struct deviation {
	const char *id;
	const char *nginx, *portico; /* what each does; sentences */
	/* Does it show at this location? NULL: everywhere, or it cannot be told from the location. */
	bool (*applies)(const struct location *loc);
};
extern const struct deviation deviations[]; /* ends with id == NULL */
