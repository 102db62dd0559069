/* kubelet_server.h - the HTTPS endpoints of a kubelet on port 10250, for the API server. */
#pragma once

#include "net/http_server.h"
#include "roles/node/node.h"

struct kubelet_server *kubelet_server_new(struct node *n, struct err *e) must_check;
void kubelet_server_free(struct kubelet_server *s); /* NULL is nothing */

/* One request below a prefix of the table; `rest` is the path behind it, still encoded. */
typedef void kubelet_handler_fn(struct node *n, struct http_exchange *x, struct str rest);
kubelet_handler_fn kubelet_logs; /* kubelet_logs.c: {ns}/{pod}/{container} */
kubelet_handler_fn kubelet_exec, kubelet_attach, kubelet_port_forward; /* kubelet_streams.c */
kubelet_handler_fn kubelet_resource_metrics;			       /* metrics.c */

void kubelet_reply(struct http_exchange *x, int status, const char *fmt, ...) printf_like(3, 4);
/* The container that {ns}/{pod}[/{uid}]/{container} names; answers 400 or 404 itself and returns
 * NULL. */
struct ctr *kubelet_find_ctr(struct node *n, struct http_exchange *x, struct str rest);
struct pod *kubelet_find_pod(struct node *n, struct http_exchange *x, struct str rest);
