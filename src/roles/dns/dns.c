/* The DNS role: the cluster's names from the API's objects, all others from the machine's name
 * servers. */
#include "base/log.h"
#include "kube/client/informer.h"
#include "net/addr.h"
#include "roles/dns/ensure.h"
#include "roles/dns/server.h"
#include "roles/dns/tcp.h"
#include "roles/dns/udp.h"
#include "roles/role.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <unistd.h>

#define RECORD_TTL 30 /* seconds; kubeadm's setting */
/* without a supervisor: above the privileged ports, as the Service's endpoint */
#define OWN_PORT 10053
#define UPSTREAM_PORT 53
#define RESOLV_CONF "/etc/resolv.conf"
#define TCP_BACKLOG 256
#define RECEIVE_BUFFER_BYTES (1 << 20) /* some thousand questions, while the objects are read */
/* For the objects to be there, as questions wait: less than a resolver's 5 s, so that it is
 * answered. */
#define PATIENCE_MS 4000

struct dns_role {
	struct dns_server server;
	struct dns_udp *udp;
	struct dns_tcp *tcp;
	int udp_fd, tcp_fd;
	struct timer patience;
	struct informer *services, *slices, *namespaces;
	struct dns_ensure *ensure;
	const char *own_ips[3];
	const struct role_ctx *ctx;
	uint16_t port;
};

/* ---- from informers into the zone ---- */

#define HANDLERS(what)                                                                             \
	static void what##_added(void *ctx, const json_t *obj)                                     \
	{                                                                                          \
		old_zone_put_##what(((struct dns_role *)ctx)->server.zone, obj);                       \
	}                                                                                          \
	static void what##_updated(void *ctx, const json_t *old, const json_t *obj)                \
	{                                                                                          \
		(void)old;                                                                         \
		old_zone_put_##what(((struct dns_role *)ctx)->server.zone, obj);                       \
	}                                                                                          \
	static void what##_deleted(void *ctx, const json_t *obj)                                   \
	{                                                                                          \
		struct dns_role *d = ctx;                                                          \
		old_zone_del_##what(d->server.zone, obj);                                              \
		dns_ensure_look(d->ensure);                                                        \
	}
HANDLERS(service)
HANDLERS(slice)
HANDLERS(namespace)

/* Questions that came before this have waited in the sockets. */
static void serve(struct dns_role *d)
{
	struct err e;

	timer_stop(&d->patience);
	if (d->udp)
		return;
	d->udp = old_dns_udp_new(d->ctx->loop, d->udp_fd, &d->server, &e);
	d->tcp = d->udp ? old_dns_tcp_new(d->ctx->loop, d->tcp_fd, &d->server, &e) : NULL;
	if (d->tcp)
		return;
	role_set_error("%s", e.message);
	loop_stop(d->ctx->loop);
}

static void on_patience_end(struct timer *t)
{
	log_warn("no answer from the API server yet: cluster names get SERVFAIL");
	serve(t->ctx);
}

static void synced(void *ctx)
{
	struct dns_role *d = ctx;
	const struct config *c = d->ctx->config;

	if (old_zone_synced(d->server.zone) || !d->services || !d->slices || !d->namespaces ||
	    !informer_synced(d->services) || !informer_synced(d->slices) ||
	    !informer_synced(d->namespaces))
		return;
	old_zone_set_synced(d->server.zone);
	log_info("serving %s: %zu services, %zu slices, %zu namespaces", c->cluster_domain,
		 informer_count(d->services), informer_count(d->slices),
		 informer_count(d->namespaces));
	malloc_trim(0); /* the lists' pages were many times what stays */
	serve(d);
	role_ready();
	if (c->standalone)
		d->ensure = dns_ensure_new(d->ctx->kube, d->services, d->slices, c->dns_ip,
					   c->node_ip, d->port);
}

static const struct informer_handlers service_handlers = {
	service_added,
	service_updated,
	service_deleted,
	synced,
};
static const struct informer_handlers slice_handlers = {
	slice_added,
	slice_updated,
	slice_deleted,
	synced,
};
static const struct informer_handlers namespace_handlers = {
	namespace_added,
	namespace_updated,
	namespace_deleted,
	synced,
};

static void watch(struct dns_role *d)
{
	static const struct kube_gvr services = { "", "v1", "services" },
				     namespaces = { "", "v1", "namespaces" },
				     slices = { "discovery.k8s.io", "v1", "endpointslices" };
	static const struct informer_options all = { .handlers_only = true };
	struct kube_client *k = d->ctx->kube;

	d->namespaces = informer_new(k, namespaces, &all, &namespace_handlers, d);
	d->services = informer_new(k, services, &all, &service_handlers, d);
	d->slices = informer_new(k, slices, &all, &slice_handlers, d);
}

/* ---- listening ---- */

static int bind_udp(const struct addr *a, struct err *e)
{
	int fd = socket(a->ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT_BYTES];

	if (fd == -1 || bind(fd, (const struct sockaddr *)&a->ss, a->len) == -1) {
		err_errno(e, errno, "DNS: listen on UDP %s", addr_text(a, text));
		closep(&fd);
		return -1;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a = { 0 }; /* the port of an IPv4 address is at the same place */
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin6_port) : 0;
}

static int open_sockets(struct dns_role *d, const struct addr *own, struct err *e)
{
	int size = RECEIVE_BUFFER_BYTES;

	d->udp_fd = role_listen_fd("dns-udp");
	if (d->udp_fd == -1)
		d->udp_fd = bind_udp(own, e);
	if (d->udp_fd == -1)
		return -1;
	setsockopt(d->udp_fd, SOL_SOCKET, SO_RCVBUF, &size,
		   sizeof(size)); /* up to net.core.rmem_max */
	d->port = port_of(d->udp_fd);
	d->tcp_fd = role_listen_fd("dns-tcp");
	if (d->tcp_fd == -1)
		d->tcp_fd = addr_listen(own, TCP_BACKLOG, e);
	return d->tcp_fd == -1 ? -1 : 0;
}

/* ---- the role ---- */

static int dns_start(struct role_ctx *ctx, struct err *e)
{
	const struct config *c = ctx->config;
	struct dns_role *d = xcalloc(1, sizeof(*d));
	struct addr own;

	ctx->state = d;
	d->ctx = ctx;
	d->own_ips[0] = c->dns_ip;
	d->server.zone =
		old_zone_new(str_of(c->cluster_domain), RECORD_TTL, (uint32_t)(wall_now_ms() / 1000));
	if (!d->server.zone)
		return err_set(e, ERR_INVALID, "cluster-domain: '%s' is no domain name",
			       c->cluster_domain);
	d->server.forwarder =
		old_forwarder_new(ctx->loop, &(struct forwarder_config){ .resolv_conf = RESOLV_CONF,
								     .own_ips = d->own_ips,
								     .port = UPSTREAM_PORT });
	if (addr_from_ip(c->node_ip, OWN_PORT, &own, e) < 0 || open_sockets(d, &own, e) < 0)
		return -1;
	d->patience = (struct timer){ .fire = on_patience_end, .ctx = d };
	timer_start(ctx->loop, &d->patience, PATIENCE_MS);
	watch(d);
	return 0;
}

static void dns_stop(struct role_ctx *ctx)
{
	struct dns_role *d = ctx->state;

	if (!d)
		return;
	timer_stop(&d->patience);
	dns_ensure_free(d->ensure);
	informer_free(d->services);
	informer_free(d->slices);
	informer_free(d->namespaces);
	old_dns_udp_free(d->udp);
	old_dns_tcp_free(d->tcp);
	old_forwarder_free(d->server.forwarder);
	old_zone_free(d->server.zone);
	free(d);
}

const struct role role_dns = {
	.name = "dns",
	.summary = "DNS for the cluster's Services and pods; other names are forwarded.",
	.start = dns_start,
	.stop = dns_stop,
};
