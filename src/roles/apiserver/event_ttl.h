/* event_ttl.h - Events are news: an hour after they were last written they go. */
#pragma once

#include "roles/apiserver/apiserver.h"

/* To be called every minute or so. */
void event_ttl_sweep(struct apiserver *api);
