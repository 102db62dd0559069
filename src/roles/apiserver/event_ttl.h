/* event_ttl.h - Events are news: an hour after they were last written they go. */
#pragma once

#include "roles/apiserver/apiserver.h"

void event_ttl_start(struct apiserver *api);
void event_ttl_stop(struct apiserver *api);
