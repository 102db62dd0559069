/* addr.h - socket addresses as text and back. */
#pragma once

#include "base/err.h"

#include <sys/socket.h>

struct addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* "10.0.0.1:80", "[::1]:443", ":6443" (any address), "unix:/path". Names are not resolved. */
int addr_parse(const char *text, struct addr *ret_addr, struct err *e) must_check;
int addr_from_ip(const char *ip, uint16_t port, struct addr *ret_addr, struct err *e) must_check;
#define ADDR_TEXT_BYTES 128
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES]); /* "ip:port"; returns out */
const char *addr_ip_text(const struct addr *a, char out[ADDR_TEXT_BYTES]); /* "ip" */
/* A listening, non-blocking, close-on-exec socket with SO_REUSEADDR; returns the descriptor. One in the file system is for this
 * process' user alone, and root. */
int addr_listen(const struct addr *a, int backlog, struct err *e) must_check;
/* Where clients of IPv4 shall have IPv4 addresses, ":PORT" is 0.0.0.0:PORT and beside it [::]:PORT for IPv6 alone: *ret_six, whose
 * len is 0 for all other texts, which are as addr_parse has them. */
int addr_parse_pair(const char *text, struct addr *ret_addr, struct addr *ret_six, struct err *e) must_check;
/* *ret_fd -1: this machine has no IPv6. */
int addr_listen_six(const struct addr *six, int backlog, int *ret_fd, struct err *e) must_check;
/* The same with SO_REUSEPORT: another process of the same user may listen there as well. */
int addr_listen_shared(const struct addr *a, int backlog, struct err *e) must_check;
