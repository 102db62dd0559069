/* listen.h - where the role answers: sockets for every address and port of the configuration, one UDP socket a worker.
 */
#pragma once

#include "roles/dns/serve/server.h"

#define DNS_ENDPOINTS_MAX 64

/* One address and port, UDP and TCP; or TLS. Main thread; workers read it while they serve it. */
struct dns_endpoint {
	struct dns_entrance entrance;
	struct addr asked, addr; /* as configured; with the kernel's choice in place of a port 0 */
	struct tls *tls;     /* DNS_TLS */
	int tcp_fd;
	int *udp_fds;	     /* one for each worker, -1 once it is the worker's; NULL with TLS */
	bool inherited;	     /* from the supervisor: the process that replaces this one reads the same sockets */
	bool wanted_;	     /* by the configuration that is being applied */
	unsigned users_;     /* workers */
};
struct dns_listen {
	struct dns_endpoint *at[DNS_ENDPOINTS_MAX];
	size_t n;
};
/* Opens what the configuration wants and is not open yet; `added` is told of each, `gone` of each that is not wanted any more
 * (then it leaves the list; dns_endpoint_free when no worker uses it). On failure nothing has changed. The supervisor's
 * sockets come first, then --listen, then the Corefile's own ports and addresses. */
int dns_listen_apply(struct dns_listen *l, const struct dns_shared *s, const struct dns_config *c,
		     void (*added)(void *ctx, struct dns_endpoint *ep), void (*gone)(void *ctx, struct dns_endpoint *ep), void *ctx,
		     struct err *e) must_check;
void dns_endpoint_free(struct dns_endpoint *ep);
/* The port where plain questions about the cluster arrive; 0: nowhere. */
uint16_t dns_listen_port(const struct dns_listen *l);
