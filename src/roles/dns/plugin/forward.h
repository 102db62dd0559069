/* forward.h - the settings of a block's `forward` directives. */
#pragma once

#include "roles/dns/plugin/zone_set.h"
#include "roles/dns/resolve/forwarder.h"

#define FORWARD_RULES_MAX 64 /* directives in one block */

struct forward_rule { /* one directive */
	struct zone_set from, except;
	struct forwarder *forwarder;
	uint32_t next; /* a bit for each rcode after which the next directive is asked */
	bool next_on_nodata;
};
struct forward {
	struct forward_rule *rules; /* the first that matches is asked */
	size_t n;
};
extern const struct plugin plugin_forward;
int forward_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e) must_check;
void forward_free(void *settings);
extern const struct plugin_property forward_properties[];
