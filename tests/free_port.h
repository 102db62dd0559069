/* free_port.h - a port for a server that is started later.
 *
 * Not one of those that the kernel gives to whoever binds port 0 or connects: until the server listens, any other socket of
 * the machine could get it.
 */
#pragma once

#include "base/base.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_PORT_FIRST 20000 /* below net.ipv4.ip_local_port_range, and below NodePorts */
#define FREE_PORTS 10000

static inline bool free_port_is(uint16_t port, int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) }; /* in the way of [::], too */
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	bool ok = bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;

	close(fd);
	return ok;
}

/* For TCP and UDP, on any address; another one each time. */
static inline uint16_t free_port(void)
{
	static uint16_t next;
	uint16_t port;

	while (!next)
		if (getrandom(&next, sizeof(next), 0) != sizeof(next))
			next = 0;
	do
		port = (uint16_t)(FREE_PORT_FIRST + next++ % FREE_PORTS);
	while (!free_port_is(port, SOCK_STREAM) || !free_port_is(port, SOCK_DGRAM));
	return port;
}
