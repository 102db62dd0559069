/* dns_node.c - a node's DNS in small: a zone, one UDP socket, and the kernel's answers; with the role's privileges.
 *
 *   dns_node IP:PORT [SERVICES]
 *
 * With SERVICES, that many are there from the start: svc-N.ns-M.svc.cluster.local, ten namespaces, ClusterIPs in 10.100.0.0/14.
 * Commands on standard input, a line each: "service NAME IP" (namespace default), "gone NAME", "pause", "resume", "counts",
 * "stop" (the main thread, for ever). Every command is answered with a line. The end of the input is the end.
 */
#include "base/log.h"
#include "codec/jx.h"
#include "loop/loop.h"
#include "roles/cli/sandbox.h"
#include "roles/dns/kernel/kernel.h"
#include "roles/dns/zone/zone.h"
#include "roles/role.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct node {
	struct loop *loop;
	struct zone *zone;
	struct kernel_answers *kernel;
	struct io udp, in;
	uint32_t pick;
	unsigned long asked;
};

static const struct role role = { .name = "dns", .bpf_maps = true };

static void die(const struct err *e)
{
	fprintf(stderr, "%s\n", e->message);
	exit(1);
}

/* ---- the zone ---- */

typedef void put_fn(struct zone *z, const json_t *obj);

static void put(struct zone *z, put_fn *fn, char *text)
{
	struct err e;
	json_t *obj = jx_parse(str_of(text), 1 << 20, &e);

	if (!obj)
		die(&e);
	fn(z, obj);
	json_decref(obj);
	free(text);
}

#define OBJECT(ns, name) "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name "\"}"

static void put_service(struct zone *z, const char *ns, const char *name, const char *ip)
{
	put(z, zone_put_service, xasprintf(OBJECT("%s", "%s") ",\"spec\":{\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],"
					   "\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}]}}",
					   ns, name, ip, ip));
}

static struct zone *zone_make(unsigned services)
{
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_INSECURE };
	struct zone *z;

	if (!dns_name_from_text(STR("cluster.local"), &o.domain))
		abort();
	z = zone_new(&o, 1, NULL);
	put(z, zone_put_namespace, xstrdup("{\"metadata\":{\"name\":\"default\"}}"));
	for (unsigned i = 0; i < 10; i++)
		put(z, zone_put_namespace, xasprintf("{\"metadata\":{\"name\":\"ns-%u\"}}", i));
	for (unsigned i = 0; i < services; i++) {
		cleanup(freep) char *ns = xasprintf("ns-%u", i % 10), *name = xasprintf("svc-%u", i);
		cleanup(freep) char *ip = xasprintf("10.%u.%u.%u", 100 + (i >> 16), i >> 8 & 255, i & 255);
		put_service(z, ns, name, ip);
	}
	put_service(z, "default", "web", "10.96.0.1");
	zone_set_synced(z);
	return z;
}

/* ---- user space ---- */

static void on_udp(struct io *io, uint32_t events)
{
	struct node *n = io->ctx;
	uint8_t in[2048], out[DNS_UDP_BYTES_MAX];
	struct addr from = { .len = sizeof(from.ss) };
	struct dns_query q;
	struct zone_answer a;
	ssize_t len = recvfrom(io->fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from.ss, &from.len);

	(void)events;
	n->asked += len > 0;
	if (len <= 0 || dns_query_parse((struct str){ (const char *)in, (size_t)len }, &q) != 0)
		return;
	if (zone_answer(n->zone, &q, out, q.udp_bytes, n->pick++, &a) == ZONE_ANSWERED)
		(void)!sendto(io->fd, out, a.len, MSG_DONTWAIT, (const struct sockaddr *)&from.ss, from.len);
}

/* ---- commands ---- */

static void counts(struct node *n)
{
	struct kernel_counts c;

	kernel_answers_counts(n->kernel, &c);
	printf("interfaces %u answered %llu denied %llu passed %llu asked %lu\n", kernel_answers_interfaces(n->kernel),
	       (unsigned long long)c.answered, (unsigned long long)c.denied, (unsigned long long)c.passed, n->asked);
}

static void command(struct node *n, char *line)
{
	char name[64] = "", ip[64] = "";

	if (sscanf(line, "service %63s %63s", name, ip) == 2)
		put_service(n->zone, "default", name, ip);
	else if (sscanf(line, "gone %63s", name) == 1)
		put(n->zone, zone_del_service, xasprintf(OBJECT("default", "%s") "}", name));
	zone_tell_changes(n->zone);
	if (strcmp(line, "pause\n") == 0 || strcmp(line, "resume\n") == 0)
		kernel_answers_pause(n->kernel, line[0] == 'p');
	if (strcmp(line, "counts\n") == 0)
		counts(n);
	else
		printf("ok\n");
	fflush(stdout);
	while (strcmp(line, "stop\n") == 0)
		pause();
}

static void on_input(struct io *io, uint32_t events)
{
	struct node *n = io->ctx;
	char line[256];

	(void)events;
	if (fgets(line, sizeof(line), stdin))
		command(n, line);
	else
		loop_stop(n->loop);
}

/* ---- start ---- */

static int socket_open(const struct addr *a)
{
	int fd = socket(a->ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1 << 20;

	if (fd == -1 || bind(fd, (const struct sockaddr *)&a->ss, a->len) == -1) {
		perror("listen");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

int main(int argc, char **argv)
{
	struct node n = { 0 };
	struct kernel_target target;
	struct err e;

	log_setup("dns", LOG_INFO);
	if (argc < 2 || addr_parse(argv[1], &target.addr, &e) < 0)
		die(argc < 2 ? &(struct err){ .message = "usage: dns_node IP:PORT [SERVICES]" } : &e);
	n.loop = loop_new(&e);
	n.kernel = kernel_answers_prepare(NULL, &e);
	if (!n.kernel)
		fprintf(stderr, "%s\n", e.message);
	n.udp = (struct io){ .fd = socket_open(&target.addr), .ready = on_udp, .ctx = &n };
	n.in = (struct io){ .fd = 0, .ready = on_input, .ctx = &n };
	setvbuf(stdin, NULL, _IONBF, 0);
	if (sandbox_identity(&role, &e) < 0 || sandbox_lock(&role, NULL, &e) < 0)
		die(&e);
	n.zone = zone_make(argc > 2 ? (unsigned)atoi(argv[2]) : 0);
	uint64_t from = loop_fresh_us();
	kernel_answers_serve(n.kernel, n.loop, n.zone, &target, 1);
	printf("ready: %zu services in the kernel after %llu us\n", zone_names(n.zone), (unsigned long long)(loop_fresh_us() - from));
	fflush(stdout);
	if (io_watch(n.loop, &n.udp, EPOLLIN, &e) < 0 || io_watch(n.loop, &n.in, EPOLLIN, &e) < 0)
		die(&e);
	loop_run(n.loop);
	kernel_answers_free(n.kernel);
	zone_free(n.zone);
	loop_free(n.loop);
	return 0;
}
