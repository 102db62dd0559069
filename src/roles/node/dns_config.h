/* dns_config.h - a pod's host name and what its /etc/hosts says. Pure.
 *
 * Kubernetes: pkg/kubelet/network/dns; the limits are those that it enforces.
 */
#pragma once

#include "base/buf.h"
#include "codec/jx.h"
#include "kube/object/pod_dns.h"

/* The pod's host name: spec.hostname, else its name, cut to 63 bytes. */
void pod_hostname(const json_t *pod, char out[64]);
/* The managed /etc/hosts. For host-network pods `base` is the machine's file; otherwise NULL. */
void hosts_file_print(const json_t *pod, const char *pod_ip, const char *cluster_domain,
		      const char *base, struct buf *out);
