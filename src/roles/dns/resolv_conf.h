/* resolv_conf.h - the servers that the machine itself asks. resolv.conf(5). */
#pragma once

#include "net/addr.h"

#define RESOLV_SERVERS_MAX 8 /* libc reads three; a few more do no harm */

struct resolv_conf {
	struct addr servers[RESOLV_SERVERS_MAX];
	size_t n;
};
/* Takes the nameserver lines of `text`; `own` (NULL-terminated, may be NULL) are addresses that
 * lead back to us. */
void old_resolv_conf_parse(struct str text, uint16_t port, const char *const *own,
		       struct resolv_conf *ret);
