/* names.h - a hash table from names to objects that have their name inside: one thread writes, any number read meanwhile.
 *
 * Readers take no lock and see each object either there or not. Replacing and removing are one store; growing makes a new
 * shard and retires the old (loop/quiesce.h), so no change costs more than a two-hundred-fifty-sixth of the table. The hash is
 * keyed, because names come from the network. What is replaced or removed is the caller's to free, after the readers.
 */
#pragma once

#include "base/base.h"

struct quiesce;
struct names;
/* `name_at`: offset in the objects of a `char *`, or of the text itself. q NULL: nothing reads concurrently. */
struct names *names_new(struct quiesce *q, size_t name_at);
struct names *names_new_inline(struct quiesce *q, size_t name_at);
void names_free(struct names *n, void (*free_object)(void *obj)); /* free_object may be NULL; readers have ended */
void *names_get(const struct names *n, struct str name);	   /* any thread; NULL: absent */
/* The same in steps, with other work between them, so that memory is not waited for: the name's line of the table is asked
 * for first, then the lines of what stands there. */
uint64_t names_hash(const struct names *n, struct str name); /* fetches the table's line */
void names_fetch(const struct names *n, uint64_t hash);	     /* fetches the object, if there is one */
void *names_get_hashed(const struct names *n, struct str name, uint64_t hash);
void *names_put(struct names *n, void *obj);			   /* returns the object of the same name that it replaced, or NULL */
void *names_del(struct names *n, struct str name);		   /* returns what was there, or NULL */
size_t names_count(const struct names *n);			   /* any thread */
/* The writer's thread. fn may remove the object it is called with. */
void names_each(const struct names *n, void (*fn)(void *ctx, void *obj), void *ctx);
