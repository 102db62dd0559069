/* ingress_rig.h - the real proxy core in a test: one worker on a thread of its own, locations made by hand.
 *
 *	struct rig r;
 *	rig_init(&r);
 *	rig_location(&r, "/", port_of_the_upstream, PROTOCOL_HTTP);
 *	rig_start(&r, tls_or_null);	// r.port is plain, r.https_port with TLS
 *	...clients and upstreams on r.loop...
 *	rig_stop(&r);
 */
#pragma once

#include "loop/quiesce.h"
#include "net/addr.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/route/match.h"
#include "roles/ingress/route/routes.h"
#include "roles/ingress/workers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define RIG_LOCATIONS 16
#define RIG_CROWD 300

struct rig {
	struct loop *loop; /* the test's own */
	struct shared shared;
	struct globals globals;
	struct settings set;		    /* of locations without their own */
	struct settings sets[RIG_LOCATIONS]; /* copies of it: change them before rig_start */
	struct location locations[RIG_LOCATIONS];
	struct location *at[RIG_LOCATIONS];
	struct host *host;
	struct workers *workers;
	int fd, https_fd;
	uint16_t port, https_port;
	/* rig_until */
	bool (*done)(void *ctx);
	void *done_ctx;
	bool happened;
	uint64_t deadline_ms;
	struct timer ask;
};

static __attribute__((unused)) void rig_host_free(struct host *h)
{
	host_index_free(h);
}

static __attribute__((unused)) struct addr rig_loopback(uint16_t port)
{
	struct addr a = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&a.ss;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(port);
	return a;
}

static __attribute__((unused)) int rig_listen(uint16_t *ret_port)
{
	struct addr a = rig_loopback(0);
	struct err e;
	int fd = addr_listen(&a, 128, &e);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&a.ss, &a.len) < 0)
		abort();
	*ret_port = ntohs(((struct sockaddr_in *)&a.ss)->sin_port);
	return fd;
}

static __attribute__((unused)) void rig_init(struct rig *r)
{
	struct err e;

	*r = (struct rig){.loop = loop_new(&e), .fd = -1, .https_fd = -1};
	r->set = (struct settings){
		.refs_ = 1, .proxy_body_size_bytes = 64u << 20, .client_body_buffer_bytes = 16384,
		.proxy_connect_timeout_s = 5, .proxy_read_timeout_s = 60, .proxy_send_timeout_s = 60,
		.proxy_buffering = true, .proxy_request_buffering = true, .retry_budget_percent = 20,
		.next_upstream = NEXT_ERROR | NEXT_TIMEOUT, .next_upstream_tries = 3,
	};
	r->globals = (struct globals){
		.defaults = &r->set, .http2 = true, .keep_alive_s = 75, .keep_alive_requests = 1u << 30,
		.upstream_keepalive_connections = 320, .upstream_keepalive_timeout_s = 60,
		.upstream_keepalive_requests = 1u << 30, .client_header_buffer_bytes = 1024,
		.large_client_header_bytes = 32768, .client_header_timeout_s = 60,
		.client_body_timeout_s = 60, .worker_shutdown_timeout_s = 10,
		.http2_max_concurrent_streams = 128, .ignore_invalid_headers = true,
	};
	r->shared = (struct shared){.main_loop = r->loop, .globals = &r->globals, .n_workers = 1, .synced = true};
	r->shared.quiesce = quiesce_new(r->loop);
	r->shared.routes = routes_new(r->shared.quiesce);
	r->shared.backends = backends_new(r->shared.quiesce);
	r->shared.metrics = metrics_new(&(struct metrics_config){.controller_class = "k8s.io/ingress-nginx",
								 .controller_namespace = "test", .controller_pod = "test"});
	r->host = xcalloc(1, sizeof(*r->host));
	*r->host = (struct host){.refs_ = 1, .name = (char *)(uintptr_t)"", .all = r->at, .free_ = rig_host_free};
}

/* Of every host. Its settings are the rig's, copied now, with this protocol. */
static __attribute__((unused)) struct settings *rig_location(struct rig *r, const char *path, uint16_t upstream_port,
							     enum backend_protocol protocol)
{
	struct endpoint_want want = {.addr = rig_loopback(upstream_port)};
	size_t i = r->host->n_all++;
	char port[8];

	snprintf(port, sizeof(port), "%u", upstream_port);
	r->sets[i] = r->set;
	r->sets[i].backend_protocol = protocol;
	r->locations[i] = (struct location){
		.host = r->host, .path = (char *)(uintptr_t)path, .type = PATH_PREFIX, .ns = (char *)(uintptr_t)"default",
		.ingress = (char *)(uintptr_t)"web", .rule_host = (char *)(uintptr_t)"", .set = &r->sets[i],
		.backend = backends_get(r->shared.backends, "default", "web", port),
	};
	backend_set(r->shared.backends, r->locations[i].backend, &want, 1);
	r->at[i] = &r->locations[i];
	return &r->sets[i];
}

static __attribute__((unused)) void rig_start(struct rig *r, struct tls *tls)
{
	struct worker_socket sockets[2] = {{0}};
	struct err e;
	size_t n = 1;

	for (size_t i = 0; i < r->host->n_all; i++)
		r->locations[i].filters = filters_for(&r->locations[i], &r->globals);
	host_index(r->host);
	routes_put_host(r->shared.routes, r->host);
	sockets[0].fd = r->fd = rig_listen(&r->port);
	if (tls) {
		r->shared.default_tls = tls;
		sockets[n].fd = r->https_fd = rig_listen(&r->https_port);
		sockets[n++].https = true;
	}
	r->workers = workers_start(&r->shared, sockets, n, &e);
	if (!r->workers)
		abort();
}

static __attribute__((unused)) void rig_crowd_free(struct host *h)
{
	free(h);
}

/* So many other hosts that requests of one turn are taken together. */
static __attribute__((unused)) void rig_crowd(struct rig *r)
{
	for (int i = 0; i < RIG_CROWD; i++) {
		struct host *h = xcalloc(1, sizeof(*h) + sizeof("crowd-999.test"));

		h->refs_ = 1;
		h->free_ = rig_crowd_free;
		h->name = (char *)(h + 1);
		sprintf(h->name, "crowd-%d.test", i);
		routes_put_host(r->shared.routes, h);
	}
}

static __attribute__((unused)) void rig_stop(struct rig *r)
{
	workers_stop(r->workers);
	close(r->fd);
	if (r->https_fd >= 0)
		close(r->https_fd);
	routes_free(r->shared.routes);
	for (size_t i = 0; i < RIG_LOCATIONS && r->at[i]; i++)
		backend_unref(r->locations[i].backend);
	backends_free(r->shared.backends);
	metrics_free(r->shared.metrics);
	quiesce_free(r->shared.quiesce);
	loop_free(r->loop);
	for (size_t i = 0; i < RIG_LOCATIONS; i++)
		if (r->locations[i].filters && r->locations[i].filters->filter) /* else the shared empty list */
			free(r->locations[i].filters);
	free(r->host);
}

/* ---- running the test's loop until something has happened ---- */

static void rig_ask(struct timer *t)
{
	struct rig *r = t->ctx;

	r->happened = r->done(r->done_ctx);
	if (r->happened || loop_now_ms(r->loop) > r->deadline_ms)
		loop_stop(r->loop);
	else
		timer_start(r->loop, t, 1);
}

/* false: it has not happened within `ms`. */
static __attribute__((unused)) bool rig_until(struct rig *r, bool (*done)(void *ctx), void *ctx, uint64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	r->deadline_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + ms;
	r->done = done;
	r->done_ctx = ctx;
	r->happened = false;
	r->ask = (struct timer){.fire = rig_ask, .ctx = r};
	timer_start(r->loop, &r->ask, 0);
	loop_run(r->loop);
	timer_stop(&r->ask);
	return r->happened;
}
