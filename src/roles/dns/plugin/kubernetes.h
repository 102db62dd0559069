/* kubernetes.h - what others need of the kubernetes plug-in's settings. */
#pragma once

#include "roles/dns/plugin/plugin.h"

/* How long the first list is waited for before questions are answered (with SERVFAIL until it is there). */
uint64_t kubernetes_startup_timeout_ms(const struct plugin_instance *i);
