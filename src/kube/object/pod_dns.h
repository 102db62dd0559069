/* pod_dns.h - what a pod's /etc/resolv.conf says. Pure.
 *
 * Kubernetes: pkg/kubelet/network/dns; the limits are those that it enforces.
 */
#pragma once

#include "codec/jx.h"

#define POD_DNS_LIST_MAX 64 /* kubelet stops at 3 servers and 32 search domains; options are few */

struct string_list {
	char *at[POD_DNS_LIST_MAX];
	size_t n;
};
void string_list_add(struct string_list *l, const char *s); /* drops duplicates and what is past the maximum */
void string_list_done(struct string_list *l);

struct pod_dns {
	struct string_list servers, searches, options;
};
void pod_dns_done(struct pod_dns *d);
/* resolv.conf(5) text. */
void pod_dns_parse(struct str resolv_conf, struct pod_dns *ret);
struct pod_dns_cluster {
	const char *server, *domain;  /* of the cluster */
	const struct pod_dns *host; /* the machine's own */
};
/* As dnsPolicy and dnsConfig of the pod have it. */
void pod_dns_of(const json_t *pod, const struct pod_dns_cluster *cluster, struct pod_dns *ret);
