/* manifest.h - the objects of one manifest file, each as an API server would give it out.
 *
 * YAML files hold documents between lines of "---", JSON files one value or several; `kind: List` (IngressList, …) is
 * unfolded. Types are checked and defaults filled in by the schema's tables, as the API server does; rules between fields
 * are not applied, so that an EndpointSlice may name any address. A Secret's stringData becomes data. Pure: text in,
 * objects out.
 */
#pragma once

#include "kube/schema/schema.h"

#define MANIFEST_BYTES_MAX (64u << 20) /* of a file: a dump of 10,000 Ingresses is a fifth of it */
#define MANIFEST_LIST_DEPTH 4	       /* a List of Lists of …: kubectl writes one level */
#define MANIFEST_NAME_BYTES_MAX 253    /* DNS-1123 subdomain: no kind allows more */

struct manifest_sink {
	/* `storage` is the row whose objects these are kept with: networking.k8s.io/v1 for a v1beta1 Ingress. The object
	 * keeps its own apiVersion. It is borrowed, and may be changed. `line` is where its document begins. */
	void (*object)(void *ctx, const struct resource *storage, json_t *obj, unsigned line);
	/* `lost`: an object could not be read. Otherwise something was left out of one: an unknown field or kind. */
	void (*problem)(void *ctx, unsigned line, bool lost, const char *text);
};
void manifest_read(struct str text, bool is_json, const struct manifest_sink *sink, void *ctx);
