/* A whole connection: the bytes are what a client sends before it ends its side. The server must
 * always come to an end too, whatever protocol it took them for. */
#include "net/http_server.h"

#include <stdio.h>
#include <unistd.h>

#define HANG_MS 10000

static struct loop *loop;
static struct http_server *server;
static struct addr address;
static struct http_exchange *parked;

static void hung(struct timer *t)
{
	(void)t;
	abort();
}

static void gone(void *ctx)
{
	(void)ctx;
	parked = NULL;
}

static void on_request(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);

	(void)ctx;
	if (str_eq(r->path, STR("/park"))) {
		parked = x;
		http_on_closed(x, gone, NULL);
	} else if (str_eq(r->path, STR("/stream"))) {
		http_reply_start(x, 200, NULL, 0);
		http_reply_write(x, r->target);
		http_reply_write(x, r->body);
		http_reply_end(x);
	} else if (str_eq(r->path, STR("/abort"))) {
		http_reply_abort(x);
	} else {
		if (parked)
			http_reply(parked, 204, NULL, 0, STR_NONE);
		parked = NULL;
		http_reply(x, 200, r->headers.at, r->headers.n, r->body);
	}
}

static void client_reads(struct io *io, uint32_t events)
{
	char bytes[65536];

	(void)events;
	if (read(io->fd, bytes, sizeof(bytes)) > 0)
		return;
	io_stop(io);
	loop_stop(loop);
}

static char path[64];

static void remove_socket(void)
{
	unlink(path + 5);
}

static void setup(void)
{
	struct http_server_config c = {
		.request = on_request, .body_max = 4096, .connections_max = 8};
	struct err e;

	snprintf(path, sizeof(path), "unix:/tmp/fuzz-http-server-%d.sock", (int)getpid());
	loop = loop_new(&e);
	if (!loop || addr_parse(path, &address, &e) < 0)
		abort();
	server = http_server_new(loop, &c);
	int fd = addr_listen(&address, 8, &e);
	atexit(remove_socket);
	if (fd < 0 || http_server_listen(server, fd, &e) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct timer guard = {.fire = hung};
	struct err e;

	if (!loop)
		setup();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address.ss, address.len) < 0)
		abort();
	struct io io = {.fd = fd, .ready = client_reads};
	if (send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0 ||
	    io_watch(loop, &io, EPOLLIN, &e) < 0) {
		close(fd);
		return 0;
	}
	timer_start(loop, &guard, HANG_MS);
	loop_run(loop);
	timer_stop(&guard);
	close(fd);
	return 0;
}
