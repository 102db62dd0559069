/* attach.h - a program at one interface's ingress, before all others there: tcx (Linux 6.6), else a clsact filter.
 *
 * Needs CAP_NET_ADMIN, and CAP_BPF for tcx. A tcx link ends with its descriptor; a filter stays until it is taken away.
 */
#pragma once

#include "base/err.h"

enum attach_way { ATTACH_TCX, ATTACH_CLSACT };
struct attachment {
	int ifindex;
	enum attach_way way;
	int prog_fd; /* borrowed */
	int link_fd; /* ATTACH_TCX */
};
/* *way is what to begin with; becomes ATTACH_CLSACT when the kernel knows no tcx. */
int attach(struct attachment *a, int prog_fd, int ifindex, enum attach_way *way, struct err *e) must_check;
void detach(struct attachment *a); /* also of an interface that is gone */
