/* quiesce.h - when may memory that other threads' loops might be reading be freed?
 *
 * Readers on registered loops use what a writer published without locks or counts, but never keep it beyond the call-back they are in
 * (they take a reference for that). The writer unpublishes, then retires: the call-back runs on the writer's loop once
 * every registered loop has left the call-back it was in (quiescent-state-based reclamation, McKenney 2004).
 */
#pragma once

#include "loop/loop.h"

struct quiesce;
struct quiesce *quiesce_new(struct loop *writer);
/* Frees what is still retired at once: the registered loops must have stopped. */
void quiesce_free(struct quiesce *q);
void quiesce_add(struct quiesce *q, struct loop *reader); /* on the writer's thread; before the reader reads */
void quiesce_remove(struct quiesce *q, struct loop *reader); /* its loop has ended */
/* Without readers, or with q NULL, `fn` runs at once. */
void quiesce_retire(struct quiesce *q, void (*fn)(void *ptr), void *ptr);
