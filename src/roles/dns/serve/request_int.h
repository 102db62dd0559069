/* request_int.h - what workers know of requests beyond request.h. */
#pragma once

#include "roles/dns/serve/request.h"

void requests_done(struct dns_worker *w); /* frees those that wait to be used again */
