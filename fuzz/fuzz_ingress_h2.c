/* A client's HTTP/2 connection to the ingress proxy: the bytes are what it sends behind the preface, in two pieces. Whatever
 * they are, the connection comes to an end with its client, and leaves nothing behind. The upstreams are real sockets. */
#include "../tests/unit/h1_peer.h"
#include "../tests/unit/ingress_rig.h"
#include "roles/ingress/http/down.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/upstream/up.h"

#include <fcntl.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HANG_MS 10000

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static struct rig r;
static struct h1_server upstream;
static struct worker w;

static struct {
	const uint8_t *bytes;
	size_t len;
	unsigned turns;
	struct timer step, watchdog;
	struct io io;
} client;

static void hung(struct timer *t)
{
	(void)t;
	abort();
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	rig_init(&r);
	h1_start(&upstream, &r);
	rig_location(&r, "/", upstream.port, PROTOCOL_HTTP);
	rig_location(&r, "/none", upstream.port, PROTOCOL_HTTP);
	r.locations[1].backend = backends_get(r.shared.backends, "default", "none", "80");
	for (size_t i = 0; i < r.host->n_all; i++)
		r.locations[i].filters = filters_for(&r.locations[i], &r.globals);
	host_index(r.host);
	routes_put_host(r.shared.routes, r.host);
	w = (struct worker){.loop = r.loop, .shared = &r.shared, .reap.run = exchange_reap};
	list_init(&w.downs);
	list_init(&w.free_exchanges);
	list_init(&w.ended_exchanges);
	list_init(&w.free_h1);
	list_init(&w.ended_h1);
	w.metrics = metrics_shard_new(r.shared.metrics, &w);
	w.pools = up_pools_new(&w);
	client.watchdog.fire = hung;
}

static void client_reads(struct io *io, uint32_t events)
{
	char bytes[65536];

	(void)events;
	if (read(io->fd, bytes, sizeof(bytes)) > 0)
		return;
	io_stop(io);
	timer_stop(&client.step);
	loop_stop(r.loop);
}

/* Sends the rest, or ends its side, after some turns of the loop. */
static void client_step(struct timer *t)
{
	if (client.turns-- > 0) {
		timer_start(r.loop, t, 0);
		return;
	}
	if (client.len == 0 || write(client.io.fd, client.bytes, client.len) != (ssize_t)client.len)
		shutdown(client.io.fd, SHUT_WR);
	client.len = 0;
	client.turns = 3;
	timer_start(r.loop, t, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	const struct conn_ops none = {0};
	int fds[2];
	struct err e;

	if (!ready)
		setup();
	ready = true;
	if (size < 2 || size > 100000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	size_t first = MIN(size - 2, (size_t)data[0] * 64);
	const struct sockaddr_in peer = {.sin_family = AF_INET};
	struct down_conn from = {.peer_len = sizeof(peer)};
	memcpy(from.peer_bytes, &peer, sizeof(peer));
	client.bytes = data + 2 + first;
	client.len = size - 2 - first;
	client.turns = data[1] & 7;
	if (write(fds[0], preface, sizeof(preface) - 1) < 0 || write(fds[0], data + 2, first) < 0)
		abort();
	struct conn *c = conn_accept(r.loop, fds[1], NULL, &none, NULL, &e);
	down_h2_start(&w, c, false, &from);
	client.io = (struct io){.fd = fds[0], .ready = client_reads};
	client.step = (struct timer){.fire = client_step};
	if (io_watch(r.loop, &client.io, EPOLLIN, &e) < 0)
		abort();
	timer_start(r.loop, &client.step, 0);
	timer_start(r.loop, &client.watchdog, HANG_MS);
	loop_run(r.loop);
	timer_stop(&client.watchdog);
	close(fds[0]);
	if (w.n_downs)
		abort();
	return 0;
}
