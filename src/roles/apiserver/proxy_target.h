/* proxy_target.h - whom pods/proxy and services/proxy lead to.
 *
 * A name may carry more than the object's: NAME, NAME:PORT or SCHEME:NAME:PORT (k8s.io/apimachinery
 * pkg/util/net, SplitSchemeNamePort). A pod's port is a number, and its first containerPort when
 * there is none; a Service's is a port's name or number, and stands for a ready endpoint that is a
 * pod.
 */
#pragma once

#include "net/addr.h"
#include "roles/apiserver/request.h"

struct proxy_name {
	const char *scheme; /* "", "http" or "https" */
	const char *name;
	const char *port; /* "" when there was none */
};
/* 400 when it is none of the three forms. Strings go into the arena. */
int proxy_name_parse(const char *id, const char *kind, struct arena *a, struct proxy_name *ret,
		     struct err *e) must_check;

struct proxy_target {
	struct addr to;
	bool tls;
	char ip[ADDR_TEXT_BYTES];
};
/* q->res is pods or services. -1 with upstream's error: 404, 400 for an address that must not be
 * asked, 503. */
int proxy_target_find(struct request *q, struct proxy_target *ret, struct err *e) must_check;
