/* dns_config.h - what a pod's /etc/resolv.conf and /etc/hosts say. Pure.
 *
 * Kubernetes: pkg/kubelet/network/dns; the limits are those that it enforces.
 */
#pragma once

#include "base/buf.h"
#include "codec/jx.h"

#define DNS_LIST_MAX 64 /* kubelet stops at 3 servers and 32 search domains; options are few */

struct string_list {
	char *at[DNS_LIST_MAX];
	size_t n;
};
void string_list_add(struct string_list *l,
		     const char *s); /* drops duplicates and what is past the maximum */
void string_list_done(struct string_list *l);

struct dns_config {
	struct string_list servers, searches, options;
};
void dns_config_done(struct dns_config *d);
/* resolv.conf(5) text. */
void dns_config_parse(struct str resolv_conf, struct dns_config *ret_config);
struct dns_cluster {
	const char *server, *domain;   /* of the cluster */
	const struct dns_config *host; /* the machine's own */
};
void dns_config_of_pod(const json_t *pod, const struct dns_cluster *cluster,
		       struct dns_config *ret_config);

/* The pod's host name: spec.hostname, else its name, cut to 63 bytes. */
void pod_hostname(const json_t *pod, char out[64]);
/* The managed /etc/hosts. For host-network pods `base` is the machine's file; otherwise NULL. */
void hosts_file_print(const json_t *pod, const char *pod_ip, const char *cluster_domain,
		      const char *base, struct buf *out);
