/* patch.h - the three patches: JSON merge (RFC 7386), JSON patch (RFC 6902), strategic merge
 * (Kubernetes: sig-api-machinery/strategic-merge-patch.md; patchStrategy/patchMergeKey from the
 * tables).
 *
 * All return a new tree and leave their arguments alone.
 */
#pragma once

#include "kube/schema/schema.h"

json_t *patch_merge(const json_t *obj, const json_t *patch, struct err *e) must_check;
json_t *patch_json(const json_t *obj, const json_t *ops, struct err *e) must_check;
/* $patch: replace|delete|merge, $retainKeys, $setElementOrder/…, $deleteFromPrimitiveList/… */
json_t *patch_strategic(const struct schema_type *t, const json_t *obj, const json_t *patch,
			struct err *e) must_check;
