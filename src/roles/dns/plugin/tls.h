/* tls.h - the certificate of a block's tls directive. */
#pragma once

#include "roles/dns/plugin/plugin.h"

struct tls;
extern const struct plugin plugin_tls;
struct tls *tls_of_directive(const void *settings); /* borrowed; of what plugin_tls' parse() made */
