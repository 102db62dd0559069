/* reload.h - how often the files of a configuration are looked at. */
#pragma once

#include "roles/dns/plugin/plugin.h"

struct reload {
	uint64_t interval_ms, jitter_ms;
};
extern const struct plugin plugin_reload; /* its settings are a struct reload */
