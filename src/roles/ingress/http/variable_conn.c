/* Variables of a connection's two ends, as this process and a proxy in front know them. */
#include "roles/ingress/http/variable_int.h"

#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/worker.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(fn) void fn(struct variable_sink *o, struct exchange *x, const struct variable_part *p)

static struct str port_text(const struct addr *a, char text[8])
{
	unsigned port = 0;

	if (a && a->ss.ss_family == AF_INET)
		port = ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
	else if (a && a->ss.ss_family == AF_INET6)
		port = ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
	return (struct str){ text, port ? (size_t)snprintf(text, 8, "%u", port) : 0 };
}

GET(variable_remote_port)
{
	char text[8];

	(void)p;
	variable_put(o, port_text(&x->req.client, text));
}

GET(variable_peer_addr)
{
	char text[ADDR_TEXT_BYTES];

	(void)p;
	if (x->req.peer)
		variable_put(o, str_of(addr_ip_text(x->req.peer, text)));
}

GET(variable_peer_port)
{
	char text[8];

	(void)p;
	variable_put(o, port_text(x->req.peer, text));
}

/* Four bytes of an IPv4 address, sixteen of an IPv6 one: the short key for hashes and limits. */
GET(variable_binary_addr)
{
	const struct addr *a = &x->req.client;

	(void)p;
	if (a->ss.ss_family == AF_INET)
		variable_put(o, (struct str){ (const char *)&((const struct sockaddr_in *)&a->ss)->sin_addr, 4 });
	else if (a->ss.ss_family == AF_INET6)
		variable_put(o, (struct str){ (const char *)&((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16 });
}

GET(variable_proxy_protocol_addr)
{
	(void)p;
	if (x->worker && globals_now(x->worker->shared)->use_proxy_protocol)
		variable_put(o, str_of(x->req.client_text));
}

/* "http" or "https" as a believed proxy in front of us saw it. */
GET(variable_pass_scheme)
{
	(void)p;
	variable_put(o, x->req.https ? STR("https") : STR("http"));
}

GET(variable_pass_port)
{
	(void)p;
	variable_put(o, forwarded_port(x, globals_now(x->worker->shared)));
}

GET(variable_pass_server_port)
{
	(void)p;
	variable_put(o, front_port(x));
}

/* nginx's own: what a proxy in front says does not change it. */
GET(variable_server_port)
{
	(void)p;
	variable_put(o, str_eq_c(x->req.scheme, "https") ? STR("443") : STR("80"));
}

GET(variable_server_addr)
{
	struct addr local = { .len = sizeof(local.ss) };
	char text[ADDR_TEXT_BYTES];
	int fd = x->down_ops && x->down_ops->fd ? x->down_ops->fd(x) : -1;

	(void)p;
	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&local.ss, &local.len) == 0)
		variable_put(o, str_of(addr_ip_text(&local, text)));
}

GET(variable_https)
{
	(void)p;
	if (str_eq_c(x->req.scheme, "https"))
		variable_put(o, STR("on"));
}

GET(variable_http2)
{
	(void)p;
	if (str_eq_c(x->req.protocol, "HTTP/2.0"))
		variable_put(o, x->req.tls ? STR("h2") : STR("h2c"));
}

GET(variable_hostname)
{
	char name[256] = "";

	(void)x;
	(void)p;
	if (gethostname(name, sizeof(name) - 1) == 0)
		variable_put(o, str_of(name));
}

GET(variable_pid)
{
	(void)x;
	(void)p;
	variable_printf(o, "%d", (int)getpid());
}
