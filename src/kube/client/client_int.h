/* client_int.h - what the files of this folder share: a call with the client's address and credentials. */
#pragma once

#include "kube/client/client.h"
#include "net/http_client.h"

struct kube_raw {
	const char *method, *path, *content_type; /* content_type may be NULL */
	const char *accept;			  /* NULL: KUBE_JSON */
	struct str body;
	uint64_t timeout_ms; /* 0 = none */
};
/* http_client_send with the path prefix, user agent and token added. */
struct http_call *kube_raw_send(struct kube_client *k, const struct kube_raw *r,
				const struct http_call_ops *ops, void *ctx);
/* Turns an answer of status >= 400 into an error; `body` is the decoded Status, or NULL. */
int kube_status_error(int status, const json_t *body, struct err *e);

struct kube_events;
struct kube_events *kube_client_events(struct kube_client *k);
struct kube_events *kube_events_new(struct kube_client *k);
void kube_events_free(struct kube_events *ev);
