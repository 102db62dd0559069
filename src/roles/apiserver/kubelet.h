/* kubelet.h - where a pod's node agent listens, for what only it can answer: logs, exec, attach,
 * port-forward. */
#pragma once

#include "net/addr.h"
#include "roles/apiserver/request.h"

struct kubelet_target {
	struct addr to;
	char host[ADDR_TEXT_BYTES]; /* the address as text: what its certificate must name */
	uint16_t port;
	const char *container; /* in the request's arena; NULL when none was to be found */
};
/* -1 with upstream's error. ret->to.len is 0 when the pod has no node yet. `with_container`: one
 * must be named, or be the only one. */
int kubelet_find(struct request *q, bool with_container, struct kubelet_target *ret,
		 struct err *e) must_check;
