/* log_sink.h - the query log's way out: standard output, as CoreDNS writes it. Main thread.
 *
 * Nothing waits for the reader: what a full pipe does not take stays here, and when that is full too, lines are dropped and
 * counted, which a line tells once there is room again.
 */
#pragma once

#include "roles/dns/worker.h"

#define LOG_SINK_BYTES_MAX (4u << 20) /* some 30,000 lines: a reader's hiccup of a second */

/* One log plug-in more, or one less, is in use; with the first begins the work. */
int log_sink_use(struct dns_shared *s, struct err *e) must_check;
void log_sink_leave(struct dns_shared *s);
