/* top.h - totals of routes and endpoints, as JSON text for `portico top ingress`, which subtracts two of them. */
#pragma once

#include "base/buf.h"
#include "roles/ingress/worker.h"

#define TOP_BYTES_MAX (64u << 20) /* some 100,000 routes that have had requests */

/* {"nowUs":…, "connections":{"active":…,"waiting":…}, "totals":{name: n, …}, "boundsUs":[…], "routes":[{"namespace":…,
 * "ingress":…, "service":…, "host":…, "path":…, "requests":…, "status":[others,1xx,…,5xx], "bytesIn":…, "bytesOut":…,
 * "timeUs":…, "duration":[[bucket,n],…]}], "endpoints":[{"backend":…, "address":…, "pod":…, "inFlight":…, "ewmaUs":…,
 * "requests":…, "errors":…, "ejectedMs":…, "health":…, "draining":…}]}
 * Routes without a request are left out. */
void top_write(const struct shared *s, struct buf *out);
