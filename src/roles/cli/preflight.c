#include "roles/cli/preflight.h"

#include "net/addr.h"
#include "roles/cli/containerd.h"
#include "roles/cli/port_owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_FREE_MIN_BYTES (200ull << 20) /* below it SQLite and images fail soon, and less clearly */
#define BACKLOG 1024
#define HOST_NAME_BYTES 254
#define DNS_PORT 10053 /* an ordinary port: 53 may be taken, and the Service's targetPort hides it */
#define KUBELET_PORT 10250

/* The address the kernel would send from; connecting a UDP socket sends nothing. */
static char *default_source(void)
{
	cleanup(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x01000001) };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char text[INET_ADDRSTRLEN];

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1 ||
	    getsockname(fd, (struct sockaddr *)&from, &len) == -1)
		return NULL;
	return xstrdup(inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)));
}

/* Without a default route: the first interface that is up and no loopback. */
static char *first_interface(void)
{
	struct ifaddrs *list;
	char *out = NULL;

	if (getifaddrs(&list) == -1)
		return NULL;
	for (struct ifaddrs *i = list; i && !out; i = i->ifa_next) {
		char text[INET_ADDRSTRLEN];
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
		    !(i->ifa_flags & IFF_UP))
			continue;
		struct sockaddr_in *sin = (struct sockaddr_in *)i->ifa_addr;
		out = xstrdup(inet_ntop(AF_INET, &sin->sin_addr, text, sizeof(text)));
	}
	freeifaddrs(list);
	return out;
}

static char *host_name(void)
{
	char name[HOST_NAME_BYTES] = "";

	gethostname(name, sizeof(name) - 1);
	for (char *p = name; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
		else if (*p == '_')
			*p = '-'; /* a Node's name is a DNS subdomain */
	}
	return xstrdup(name[0] ? name : "node");
}

int preflight_fill(struct config *c, struct err *e)
{
	if (!c->node_name)
		c->node_name = host_name();
	if (!c->node_ip)
		c->node_ip = default_source();
	if (!c->node_ip)
		c->node_ip = first_interface();
	if (!c->node_ip)
		return err_set(e, ERR_INVALID, "this machine has no address but loopback: give it one, or name one "
					       "with --node-ip");
	return 0;
}

static bool file_has(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, word) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* Of the file system that the path is on, or will be. */
static int free_bytes(const char *path, uint64_t *ret_bytes)
{
	cleanup(freep) char *at = xstrdup(path);
	struct statvfs fs;

	while (statvfs(at, &fs) == -1) {
		char *slash = strrchr(at, '/');
		if (errno != ENOENT || !slash || slash == at)
			return -1;
		*slash = '\0';
	}
	*ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int preflight_folder(const char *path, const char *setting, struct err *e)
{
	cleanup(freep) char *at = xstrdup(path);
	struct stat st;

	for (char *end = at + strlen(at); end && end != at; end = strrchr(at, '/')) {
		*end = '\0';
		if (stat(at, &st) == 0 && !(st.st_mode & S_IXOTH))
			return err_set(e, ERR_FORBIDDEN, "--%s '%s': roles that run without root cannot enter '%s' (mode %04o): "
							 "chmod o+x it, or choose another folder",
				       setting, path, at, st.st_mode & 07777);
	}
	return 0;
}

int preflight_machine(const struct config *c, struct err *e)
{
	uint64_t room;

	if (geteuid() != 0)
		return err_set(e, ERR_FORBIDDEN, "`portico up` runs containers and network programs: it needs root (use sudo)");
	if (!containerd_find(e) || !ctr_find(e))
		return -1;
	if (access("/usr/sbin/runc", X_OK) != 0 && access("/usr/bin/runc", X_OK) != 0 &&
	    access("/usr/local/sbin/runc", X_OK) != 0 && access("/usr/local/bin/runc", X_OK) != 0)
		return err_set(e, ERR_NOT_FOUND, "runc is not installed: apt-get install runc");
	if (!file_has("/proc/mounts", " cgroup2 "))
		return err_set(e, ERR_UNAVAILABLE, "no cgroup2 file system is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified");
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		return err_set(e, ERR_UNAVAILABLE, "this kernel has no BTF (/sys/kernel/btf/vmlinux): portico needs Linux 5.10 or newer "
						   "with CONFIG_DEBUG_INFO_BTF");
	if (free_bytes(c->data_dir, &room) == 0 && room < DISK_FREE_MIN_BYTES)
		return err_set(e, ERR_UNAVAILABLE, "only %llu MiB are free under --data-dir '%s', and %llu MiB are needed: free some, or "
						   "choose another folder",
			       (unsigned long long)(room >> 20), c->data_dir, DISK_FREE_MIN_BYTES >> 20);
	return 0;
}

static int socket_refused(const struct addr *a, const char *address, const char *setting, struct err *e)
{
	char owner[PORT_OWNER_BYTES];

	if (e->sys_errno != EADDRINUSE)
		return err_wrap(e, "--%s", setting);
	port_owner(a, owner);
	return err_set(e, ERR_CONFLICT, "%s is in use%s%s: stop that, or choose another address with --%s", address, owner[0] ? " by " : "",
		       owner, setting);
}

static int socket_add(struct supervisor_sockets *s, const char *role, const char *name, const char *address, int type,
		      const char *setting, struct err *e)
{
	struct addr a;
	int fd = -1, one = 1;

	if (addr_parse(address, &a, e) < 0)
		return err_wrap(e, "--%s '%s'", setting, address);
	if (type == SOCK_STREAM) {
		fd = addr_listen(&a, BACKLOG, e);
	} else {
		fd = socket(a.ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (fd == -1 || bind(fd, (struct sockaddr *)&a.ss, a.len) == -1) {
			err_errno(e, errno, "bind %s", address);
			closep(&fd);
			fd = -1;
		}
	}
	if (fd >= 0) {
		s->at[s->n++] = (struct supervisor_socket){ role, name, fd };
		return 0;
	}
	return socket_refused(&a, address, setting, e);
}

/* The ingress proxy's: ":PORT" is a socket for IPv4, and one for IPv6 where the machine has it. */
static int ingress_sockets(struct supervisor_sockets *s, const char *const names[2], const char *address, const char *setting, struct err *e)
{
	struct addr a, six;
	char text[ADDR_TEXT_BYTES];
	int fd = -1;

	if (addr_parse_pair(address, &a, &six, e) < 0)
		return err_wrap(e, "--%s '%s'", setting, address);
	if (socket_add(s, "ingress", names[0], six.len ? addr_text(&a, text) : address, SOCK_STREAM, setting, e) < 0)
		return -1;
	if (six.len && addr_listen_six(&six, BACKLOG, &fd, e) < 0)
		return socket_refused(&six, addr_text(&six, text), setting, e);
	if (fd != -1)
		s->at[s->n++] = (struct supervisor_socket){ "ingress", names[1], fd };
	return 0;
}

/* One for each of the role's threads: the kernel spreads clients over them. */
static int dns_udp_sockets(const struct config *c, struct supervisor_sockets *s, const char *address, struct err *e)
{
	static const char *const names[CONFIG_DNS_SOCKETS_MAX] = { "dns-udp",  "dns-udp1", "dns-udp2", "dns-udp3",
								   "dns-udp4", "dns-udp5", "dns-udp6", "dns-udp7" };

	for (unsigned i = 0; i < MIN(config_workers(c), CONFIG_DNS_SOCKETS_MAX); i++)
		if (socket_add(s, "dns", names[i], address, SOCK_DGRAM, "node-ip", e) < 0)
			return -1;
	return 0;
}

int preflight_sockets(const struct config *c, struct supervisor_sockets *s, struct err *e)
{
	char dns[64], kubelet[64];

	s->n = 0;
	snprintf(dns, sizeof(dns), "%s:%d", c->node_ip, DNS_PORT);
	snprintf(kubelet, sizeof(kubelet), "0.0.0.0:%d", KUBELET_PORT);
	if (socket_add(s, "apiserver", "api", c->api_address, SOCK_STREAM, "api-address", e) < 0 ||
	    socket_add(s, "node", "kubelet", kubelet, SOCK_STREAM, "node-ip", e) < 0 ||
	    dns_udp_sockets(c, s, dns, e) < 0 ||
	    socket_add(s, "dns", "dns-tcp", dns, SOCK_STREAM, "node-ip", e) < 0 ||
	    ingress_sockets(s, (const char *const[]){ "http", "http6" }, c->http_address, "http-address", e) < 0 ||
	    ingress_sockets(s, (const char *const[]){ "https", "https6" }, c->https_address, "https-address", e) < 0 ||
	    (c->dns_admin_address[0] &&
	     socket_add(s, "dns", "dns-admin", c->dns_admin_address, SOCK_STREAM, "dns-admin-address", e) < 0) ||
	    (c->ingress_admin_address[0] && socket_add(s, "ingress", "ingress-admin", c->ingress_admin_address, SOCK_STREAM,
						       "ingress-admin-address", e) < 0))
		return -1;
	return 0;
}
