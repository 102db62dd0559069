/* action_int.h - between action.c and the kinds of handlers. */
#pragma once

#include "base/buf.h"
#include "net/http_client.h"
#include "roles/node/action.h"
#include "roles/node/grpc.h"
#include "roles/node/node.h"

struct action {
	struct ctr *ctr;
	action_done_fn *done;
	void *ctx;
	const struct action_kind *kind;
	uint64_t timeout_ms;
	struct timer timer;
	struct defer end;
	bool ok, ended;
	struct buf output;
	/* of whichever kind it is */
	struct http_client *client;
	struct http_call *http_call;
	struct grpc_call *grpc_call;
	struct cri_call *cri_call;
	struct conn *conn;
	struct tls *tls;
	int http_status;
};

struct action_kind {
	const char *member;
	void (*start)(struct action *a, const json_t *spec);
	void (*stop)(struct action *a);
};
void action_end(struct action *a, bool ok, const char *fmt, ...) printf_like(3, 4);
/* Where a handler points to: its host or the pod, and a port by number or name. */
int action_target(const struct action *a, const json_t *spec, const char **ret_ip,
		  uint16_t *ret_port, struct err *e) must_check;

extern const struct action_kind action_http, action_tcp, action_grpc; /* action_net.c */
