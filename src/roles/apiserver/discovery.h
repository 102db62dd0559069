/* discovery.h - what this server serves, from the resource table: the aggregated documents
 * (KEP-3352) and the older ones, a document per group and version.
 */
#pragma once

#include "kube/schema/schema.h"

/* All return new trees. `core`: the document of /api, else that of /apis. `version` is "v2" or
 * "v2beta1". */
json_t *discovery_aggregated(bool core, const char *version);
json_t *discovery_api_versions(const char *server_address); /* /api */
json_t *discovery_groups(void);				    /* /apis */
json_t *discovery_group(const char *group);		    /* /apis/GROUP; NULL when not served */
json_t *discovery_resources(const char *group, const char *version); /* NULL when not served */
