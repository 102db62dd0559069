/* handover.h - a proxy that is run by hand gives its listening sockets to the next one (--handover NAME): a new program or
 * other settings, without a refused connection.
 *
 * NAME is that of an abstract Unix socket (unix(7)): no file, no permission of a folder, nothing left behind. The new process
 * connects and gets the descriptors at once (SCM_RIGHTS), and what else the old one has to give; both accept for a moment. When it serves, it says READY; the old
 * one gives the name free and finishes what it has. If READY never comes, nothing has changed. Either side believes only a
 * process of its own user, or root. Under `portico up` the supervisor holds the sockets, and this is not needed.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#define HANDOVER_SOCKETS_MAX 8
#define HANDOVER_MORE_BYTES (16u << 10) /* one message of a socket */

/* An older program takes the first four at most, by their names, and closes those that it does not know. */
struct handover_socket {
	const char *name; /* "https" */
	int fd;		  /* listening; -1: not given */
};
/* Asks whoever serves under `name`; fills in the sockets of the given names, and appends what else it gives to `more`. Returns the
 * connection, for handover_ready; -1: nobody is there (then nothing is filled in). */
int handover_take(const char *name, struct handover_socket *sockets, size_t n, struct buf *more);
/* Tells the old process to finish, and waits until the name is free. Closes the connection; -1 is nothing. */
void handover_ready(int connection);

struct handover;
struct handover_ops {
	void (*more)(void *arg, struct buf *out); /* what else is given, at the time when it is; wiped behind it */
	void (*replaced)(void *arg);
};
/* The descriptors stay the caller's. */
struct handover *handover_new(struct loop *l, const char *name, const struct handover_socket *sockets, size_t n,
			      const struct handover_ops *ops, void *arg, struct err *e) must_check;
void handover_free(struct handover *h); /* NULL is nothing */
