/* loop.h - the plug-in that finds out when what is forwarded comes back; the forward plug-in asks whether it is there. */
#pragma once

#include "roles/dns/plugin/plugin.h"

extern const struct plugin plugin_loop;
