/* bind.h - the addresses of a block's bind directives. */
#pragma once

#include "roles/dns/plugin/plugin.h"

extern const struct plugin plugin_bind;
/* NULL-terminated; of what plugin_bind's parse() made. */
const char *const *bind_addresses(const void *settings);
