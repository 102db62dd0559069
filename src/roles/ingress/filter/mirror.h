/* mirror.h - copies of requests for a second service, whose answers nobody reads. */
#pragma once

#include "base/base.h"

/* One worker's copies under way. What does not fit is dropped and counted (portico_mirrors_dropped_total): a mirror that is slow
 * never slows the request that is copied. */
#define MIRRORS_MAX 512
#define MIRROR_BODY_MAX (1u << 20)   /* of one request: ingress-nginx's proxy-body-size */
#define MIRROR_BYTES_MAX (32u << 20) /* of all bodies */

struct mirrors;
void mirrors_free(struct mirrors *m); /* before the worker's sub-requests are freed; NULL is nothing */
