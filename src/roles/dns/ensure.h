/* ensure.h - Service kube-system/kube-dns and its EndpointSlice, which in other clusters an add-on
 * brings. */
#pragma once

#include "kube/client/informer.h"

struct dns_ensure;
/* Looks at the informers' copies, creates or mends what is missing or wrong, and goes on looking.
 * Strings are borrowed. */
struct dns_ensure *dns_ensure_new(struct kube_client *k, const struct informer *services,
				  const struct informer *slices, const char *cluster_ip,
				  const char *node_ip, uint16_t port);
void dns_ensure_free(struct dns_ensure *d); /* NULL is nothing */
