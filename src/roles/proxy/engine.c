#include "roles/proxy/engine.h"

#include "base/log.h"
#include "roles/proxy/interfaces.h"
#include "roles/proxy/netns.h"
#include "roles/proxy/sockdestroy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Source ports for what has to return through this node: above the ephemeral range's default end, 60999. */
#define SNAT_PORT_MIN 61000
#define SNAT_PORT_MAX 65535

struct engine {
	struct loop *loop;
	struct tables tables;
	struct dp *dp;
	struct interfaces *interfaces;
	struct sockdestroy *destroyer;
	struct defer flush;
	struct engine_options o;
	bool interfaces_ready, fed, ready;
};

/* No packet is sent: connect() only looks the route up. */
static int default_source(__be32 *ret_addr, struct err *e)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x08080808) };
	cleanup(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(to);

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1 ||
	    getsockname(fd, (struct sockaddr *)&to, &len) == -1)
		return err_errno(e, errno, "find this node's address (set --node-ip)");
	*ret_addr = to.sin_addr.s_addr;
	return 0;
}

static int range_read(const char *text, const char *setting, __be32 *ret_net, __be32 *ret_mask, struct err *e)
{
	struct ip_range r;

	if (!text || model_ip_range_parse(text, &r) < 0)
		return err_set(e, ERR_BAD_REQUEST, "--%s: '%s' is no IPv4 range", setting, text ? text : "");
	*ret_net = r.addr;
	*ret_mask = model_prefix_mask(r.prefix_len);
	return 0;
}

static int config_read(const struct engine_options *o, struct dp_config *ret_config, struct err *e)
{
	struct dp_config c = { .snat_port_min = SNAT_PORT_MIN, .snat_port_max = SNAT_PORT_MAX };

	if (range_read(o->service_cidr, "service-cidr", &c.service_net, &c.service_mask, e) < 0 ||
	    range_read(o->cluster_cidr, "cluster-cidr", &c.pod_net, &c.pod_mask, e) < 0)
		return -1;
	if (!o->node_port_range ||
	    sscanf(o->node_port_range, "%hu-%hu", &c.node_port_min, &c.node_port_max) != 2)
		return err_set(e, ERR_BAD_REQUEST, "--node-port-range: '%s' is no range", o->node_port_range);
	if (o->node_ip && model_ip_parse(o->node_ip, &c.node_addr) < 0)
		return err_set(e, ERR_BAD_REQUEST, "--node-ip: '%s' is no IPv4 address", o->node_ip);
	if (!o->node_ip && default_source(&c.node_addr, e) < 0)
		return -1;
	*ret_config = c;
	return 0;
}

/* Sockets are served from the moment on when the maps are complete: before it they would be refused. After
 * a restart the old programs serve with the old maps until then. */
static void ready_check(struct engine *g)
{
	struct err e;

	if (g->ready || !g->fed || !g->interfaces_ready)
		return;
	if (dp_attach_sockets(g->dp, &e) < 0) {
		g->o.failed(g->o.ctx, &e);
		return;
	}
	g->ready = true;
	g->o.ready(g->o.ctx);
}

static void destroy_sockets(struct engine *g, const struct tables_changes *c)
{
	int32_t nsids[NETNS_SEARCH_MAX];

	if (c->n_gone > 0)
		sockdestroy_request(g->destroyer, c->gone, c->n_gone, nsids,
				    interfaces_pods(g->interfaces, nsids, NETNS_SEARCH_MAX));
}

static void destroying_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	log_warn("UDP sockets connected to a backend that is gone stay connected to it: %s, skipping", e->message);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void flush_run(struct defer *d)
{
	struct engine *g = container_of(d, struct engine, flush);
	struct tables_changes c;
	struct err e;

	/* Services without their endpoints yet would refuse what is served by the maps as they are. */
	if (!g->fed)
		return;
	tables_flush(&g->tables, loop_now_ms(g->loop), &c);
	if (g->tables.refused)
		log_error("services=%zu do not fit into the data plane's maps, skipping", g->tables.refused);
	uint64_t before = now_us();
	int rc = dp_apply(g->dp, &c, &e);
	log_debug("maps_us=%llu backends=%zu frontends=%zu removed=%zu", (unsigned long long)(now_us() - before),
		  c.n_backends, c.n_puts, c.n_dels);
	destroy_sockets(g, &c);
	tables_changes_done(&c);
	if (rc < 0)
		g->o.failed(g->o.ctx, &e);
	else
		ready_check(g);
}

static void interfaces_are_ready(void *ctx)
{
	struct engine *g = ctx;

	g->interfaces_ready = true;
	loop_defer(g->loop, &g->flush);
}

static int adopt(struct engine *g, struct err *e)
{
	struct tables_frontend *frontends;
	struct svc_source *sources;
	size_t n, n_sources;

	if (dp_snapshot(g->dp, &frontends, &n, &sources, &n_sources, e) < 0)
		return -1;
	tables_adopt(&g->tables, frontends, n, sources, n_sources);
	free(frontends);
	free(sources);
	return 0;
}

struct engine *engine_new(struct loop *l, const struct engine_options *o, struct err *e)
{
	struct engine *g = xcalloc(1, sizeof(*g));
	struct dp_config c;

	g->loop = l;
	g->o = *o;
	g->flush.run = flush_run;
	tables_init(&g->tables, o->node_name);
	if (config_read(o, &c, e) == 0)
		g->dp = dp_open(&o->dp, &c, e);
	if (g->dp && adopt(g, e) == 0)
		g->interfaces = interfaces_new(l, g->dp, interfaces_are_ready, g, e);
	if (g->interfaces) {
		g->destroyer = sockdestroy_new(l, dp_sock_origins_fd(g->dp), destroying_failed, g);
		return g;
	}
	engine_free(g);
	return NULL;
}

void engine_free(struct engine *g)
{
	if (!g)
		return;
	defer_cancel(&g->flush);
	interfaces_free(g->interfaces);
	sockdestroy_free(g->destroyer);
	dp_close(g->dp);
	tables_done(&g->tables);
	free(g);
}

struct tables *engine_tables(struct engine *g)
{
	return &g->tables;
}

struct dp *engine_dp(struct engine *g)
{
	return g->dp;
}

void engine_changed(struct engine *g)
{
	loop_defer(g->loop, &g->flush);
}

void engine_fed(struct engine *g)
{
	g->fed = true;
	tables_adoption_end(&g->tables);
	loop_defer(g->loop, &g->flush);
}
