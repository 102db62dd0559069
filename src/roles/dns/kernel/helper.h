/* helper.h - the process that keeps the program attached to pods' veths while the role lives.
 *
 * A pod's veth is one whose other end is in another network namespace, whoever named it. The process is nobody's, has
 * CAP_BPF and CAP_NET_ADMIN and few system calls; it hears of interfaces from rtnetlink, and of the role's end by the end of
 * the socket between them. With it go its links; what a filter of an older kernel leaves behind answers nothing once the
 * role no longer prolongs the time in struct answer_control.
 */
#pragma once

#include "base/err.h"

struct helper {
	pid_t pid;
	int fd; /* told on it: a uint32_t, how many interfaces have the program, whenever that changes */
};
int helper_start(struct helper *h, int prog_fd, struct err *e) must_check;
void helper_end(struct helper *h); /* waits for it */
