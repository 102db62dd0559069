/* env_doc.h - a container's environment as a document: every variable, and where it comes from. Pure.
 *
 *   {"namespace", "pod", "container", "containers": [NAME…], "startedAt" (while it runs),
 *    "variables": [{"name", "value", "secret": true (value is not shown), "source": SOURCE, "hides": SOURCE, "note"}],
 *    "problems": [{"field": "spec.containers[0].env[2]", "variable", "message"}],
 *    "leftOut": [{"namespace", "service", "reason"}]}
 *   SOURCE: {"kind": "value"|"fieldRef"|"resourceFieldRef"|"ConfigMap"|"Secret"|"Service", "namespace", "name", "key",
 *            "port", "portNumber", "protocol", "field", "text": the same for people}
 */
#pragma once

#include "codec/jx.h"

struct env_objects {
	const json_t *pod;
	json_t *services;	   /* an array: the namespace's, and default/kubernetes */
	const json_t *allocatable; /* of the pod's Node; NULL: not known */
	/* "configmaps/NAME" and "secrets/NAME": the object; null: there is none; a string: why it could not be read. */
	const json_t *objects;
};
/* The names an environment needs, as keys of env_objects.objects with null values: a new reference. */
json_t *env_doc_wants(const json_t *pod, const char *container);
/* `container` NULL: the pod's default one. A new reference. */
json_t *env_doc(const struct env_objects *o, const char *container, bool show_secrets, struct err *e) must_check;
