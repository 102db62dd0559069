/* program.h - the BPF program and its maps, loaded once, before the role drops its privileges.
 *
 * The maps' entries can be changed by whoever has their descriptors (since Linux 5.19 also without CAP_BPF); the program
 * can only be attached with CAP_NET_ADMIN.
 */
#pragma once

#include "base/err.h"
#include "dns_maps.h"

struct program {
	int fd; /* of the program; -1 once program_close_code was called */
	int names, medium, large, targets, counters;
	size_t names_max;
	struct answer_control *control; /* memory shared with the program */
};
int program_load(struct program *p, struct err *e) must_check;
void program_close_code(struct program *p); /* the maps stay */
void program_close(struct program *p);
