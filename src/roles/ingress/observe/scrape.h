/* scrape.h - the answer to one reader of /metrics: a piece for each turn of the loop, and none while the reader is slow.
 *
 * Compressed when the reader takes gzip, as Prometheus does: the same few names and labels over and over are a fortieth then.
 */
#pragma once

#include "base/list.h"
#include "net/http_server.h"

struct metrics;
/* `all`: the list it is in until it ends. */
void scrape_start(struct loop *l, struct list *all, struct metrics *m, struct http_exchange *x, const char *exclude);
void scrapes_free(struct list *all); /* their exchanges have ended */
