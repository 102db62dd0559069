/* apiserver.h - the role's one state, shared by its files. Everything here lives on the role's
 * loop. */
#pragma once

#include "roles/apiserver/alloc.h"
#include "roles/apiserver/authn.h"
#include "roles/apiserver/render.h"
#include "roles/role.h"

struct metrics {
	uint64_t requests, errors, watches,
		watch_events; /* watches: open now; the others count up */
};
struct apiserver {
	struct loop *loop;
	const struct config *config;
	struct store *store;
	struct http_server *http;
	struct tls *tls;	 /* the server's own */
	struct tls *kubelet_tls; /* towards node agents: the client certificate they accept */
	struct tls *pod_tls;	 /* towards pods, for pods/proxy; NULL until the first that speaks TLS */
	struct authn authn;
	struct rbac *rbac;
	struct alloc *alloc;
	struct metrics metrics;
	struct timer housekeeping;
	int64_t started_ms;
	bool ready;
	struct store_wait first_wait; /* for what bootstrap made */
};
