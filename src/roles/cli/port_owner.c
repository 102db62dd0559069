#include "roles/cli/port_owner.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define TCP_LISTEN_STATE 0x0a
#define UDP_UNCONNECTED_STATE 0x07

static unsigned port_of(const struct addr *a)
{
	return ntohs(a->ss.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&a->ss)->sin6_port :
						   ((const struct sockaddr_in *)&a->ss)->sin_port);
}

/* The inode of a socket bound to the port, from one of /proc/net's tables; 0 if none. */
static unsigned long inode_in(const char *table, unsigned port)
{
	FILE *f = fopen(table, "re");
	char line[512];
	unsigned long inode = 0;

	while (f && !inode && fgets(line, sizeof(line), f)) {
		unsigned local, state;
		unsigned long ino;
		if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", &local, &state, &ino) == 3 &&
		    local == port && (state == TCP_LISTEN_STATE || state == UDP_UNCONNECTED_STATE))
			inode = ino;
	}
	if (f)
		fclose(f);
	return inode;
}

static bool holds(const char *pid, const char *link_text)
{
	char path[300], target[64];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	DIR *d = opendir(path);
	for (struct dirent *f; d && !found && (f = readdir(d));) {
		ssize_t n = readlinkat(dirfd(d), f->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			found = strcmp(target, link_text) == 0;
		}
	}
	if (d)
		closedir(d);
	return found;
}

static void describe(const char *pid, char out[PORT_OWNER_BYTES])
{
	char path[300], name[32] = "";

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	snprintf(out, PORT_OWNER_BYTES, "%s (pid %.16s)", name, pid);
}

void port_owner(const struct addr *a, char out[PORT_OWNER_BYTES])
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6" };
	const size_t six = a->ss.ss_family == AF_INET6; /* its own family first: the other's may be ours */
	unsigned long inode = 0;
	char link_text[64];

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(tables) && !inode; i++)
		inode = inode_in(tables[i ^ six], port_of(a));
	if (!inode)
		return;
	snprintf(link_text, sizeof(link_text), "socket:[%lu]", inode);
	DIR *proc = opendir("/proc");
	for (struct dirent *p; proc && !out[0] && (p = readdir(proc));)
		if (p->d_name[0] >= '1' && p->d_name[0] <= '9' && holds(p->d_name, link_text))
			describe(p->d_name, out);
	if (proc)
		closedir(proc);
}
