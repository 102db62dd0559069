#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int unix_addr(const char *path, struct addr *ret_addr, struct err *e)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret_addr->ss;
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(un->sun_path))
		return err_set(e, ERR_INVALID, "socket path '%s' must have 1 to %zu bytes", path,
			       sizeof(un->sun_path) - 1);
	*ret_addr =
		(struct addr){.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)};
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	return 0;
}

int addr_from_ip(const char *ip, uint16_t port, struct addr *ret_addr, struct err *e)
{
	struct addr a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.ss;

	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		a.len = sizeof(*v6);
	} else {
		return err_set(e, ERR_INVALID, "'%s' is not an IP address", ip);
	}
	*ret_addr = a;
	return 0;
}

/* "" is any address: IPv6, which takes IPv4 too unless the machine has no IPv6. */
static const char *any_ip(void)
{
	static const char *any;

	if (!any) {
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

		any = fd >= 0 ? "::" : "0.0.0.0";
		if (fd >= 0)
			close(fd);
	}
	return any;
}

int addr_parse(const char *text, struct addr *ret_addr, struct err *e)
{
	char ip[INET6_ADDRSTRLEN + 3];
	uint64_t port;

	if (strncmp(text, "unix:", 5) == 0)
		return unix_addr(text + 5, ret_addr, e);
	const char *colon = strrchr(text, ':');
	if (!colon || !str_to_u64(str_of(colon + 1), UINT16_MAX, &port))
		return err_set(e, ERR_INVALID,
			       "address '%s' must be IP:PORT, [IP]:PORT, :PORT or unix:/PATH",
			       text);
	size_t len = (size_t)(colon - text);
	bool brackets = len >= 2 && text[0] == '[' && colon[-1] == ']';
	if (len >= sizeof(ip) || (!brackets && memchr(text, ':', len)))
		return err_set(e, ERR_INVALID, "address '%s': an IPv6 address stands in [ ]", text);
	snprintf(ip, sizeof(ip), "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
	return addr_from_ip(len ? ip : any_ip(), (uint16_t)port, ret_addr, e);
}

int addr_parse_pair(const char *text, struct addr *ret_addr, struct addr *ret_six, struct err *e)
{
	cleanup(freep) char *four = text[0] == ':' ? xasprintf("0.0.0.0%s", text) : NULL;
	cleanup(freep) char *six = text[0] == ':' ? xasprintf("[::]%s", text) : NULL;

	*ret_six = (struct addr){0};
	if (six && addr_parse(six, ret_six, e) < 0)
		return -1;
	return addr_parse(four ? four : text, ret_addr, e);
}

static uint16_t addr_port(const struct addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
}

const char *addr_ip_text(const struct addr *a, char out[ADDR_TEXT_BYTES])
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->ss;

	out[0] = '\0';
	if (a->ss.ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->ss)->sin_addr, out,
			  ADDR_TEXT_BYTES);
	else if (a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, ADDR_TEXT_BYTES);
	else if (a->ss.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, out, ADDR_TEXT_BYTES);
	return out;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES])
{
	char ip[ADDR_TEXT_BYTES];

	if (a->ss.ss_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)&a->ss;

		snprintf(out, ADDR_TEXT_BYTES, "unix:%s", un->sun_path);
	} else if (a->ss.ss_family == AF_INET || a->ss.ss_family == AF_INET6) {
		addr_ip_text(a, ip);
		snprintf(out, ADDR_TEXT_BYTES, strchr(ip, ':') ? "[%.46s]:%u" : "%.46s:%u", ip,
			 addr_port(a));
	} else {
		snprintf(out, ADDR_TEXT_BYTES, "unknown");
	}
	return out;
}

/* Accepted sockets inherit these (Linux). Keep-alive finds watchers whose machine went away. */
static void set_listen_options(int fd, bool shared)
{
	const int on = 1, idle_s = 60, interval_s = 15, count = 4;

	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* conn.h gathers the writes of a turn itself */
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static int listen_at(const struct addr *a, int backlog, bool shared, bool six_only, struct err *e)
{
	char text[ADDR_TEXT_BYTES];
	cleanup(closep) int fd =
		socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(e, errno, "socket for %s", addr_text(a, text));
	if (six_only)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (a->ss.ss_family == AF_UNIX) {
		unlink(((const struct sockaddr_un *)&a->ss)
			       ->sun_path); /* left by a process that died */
		if (fchmod(fd, 0600) < 0) /* bind makes the file so, whatever the umask leaves */
			return err_errno(e, errno, "restrict %s", addr_text(a, text));
	} else {
		set_listen_options(fd, shared);
	}
	if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0 || listen(fd, backlog) < 0)
		return err_errno(e, errno, "listen on %s", addr_text(a, text));
	int taken = fd;
	fd = -1;
	return taken;
}

int addr_listen(const struct addr *a, int backlog, struct err *e)
{
	return listen_at(a, backlog, false, false, e);
}

int addr_listen_shared(const struct addr *a, int backlog, struct err *e)
{
	return listen_at(a, backlog, true, false, e);
}

int addr_listen_six(const struct addr *six, int backlog, int *ret_fd, struct err *e)
{
	*ret_fd = listen_at(six, backlog, false, true, e);
	return *ret_fd >= 0 || e->sys_errno == EAFNOSUPPORT || e->sys_errno == EADDRNOTAVAIL ? 0 : -1;
}
