/* hash.h - consistent hashing over a backend's endpoints, and the names that session cookies have for them.
 *
 * The ring is the one of ingress-nginx (nginx's `hash … consistent`, after ketama): 160 points for each address, CRC-32. A
 * key goes where it went before a migration, and the set changing by one of n moves about one key in n. Draining endpoints
 * keep their points, so that their sessions stay; whoever opens no session walks on to the next.
 *
 * A ring belongs to one immutable `struct endpoints`. Any thread may ask for it.
 */
#pragma once

#include "roles/ingress/upstream/upstream.h"

#define HASH_POINTS 160		/* of each endpoint */
#define HASH_WALK_MAX 4096	/* points looked at for one request before any endpoint will do */
#define HASH_SUBSET_MAX 64	/* upstream-hash-by-subset-size: the default is 3 */
#define HASH_KEY_BYTES_MAX 8192 /* of upstream-hash-by's value: a whole request line fits */
#define HASH_NODE_TEXT 32	/* hexadecimal MD5 */

struct hash_ring;
/* The ring of `es`, which are endpoints of `b`; made by the first caller. */
struct hash_ring *hash_ring_of(struct backend *b, struct endpoints *es);
/* Main thread, before new endpoints are published: makes the ring if the backend hashes, so that no request waits for it. */
void hash_ring_prepare(struct backend *b, struct endpoints *es);
void hash_ring_free(void *ring); /* NULL is nothing */

struct hash_walk {
	const struct hash_ring *ring_;
	size_t at_, left_;
};
void hash_walk_begin(struct hash_walk *w, const struct hash_ring *r, struct str key);
/* The owner of the next point, an index into the endpoints; the same one may come again. False: enough has been seen. */
bool hash_walk_next(struct hash_walk *w, size_t *ret_index);

/* ingress-nginx's name of an endpoint in cookies of persistent sessions: MD5 of "<backend name><address:port>". */
void hash_node_name(const struct hash_ring *r, size_t index, char out[HASH_NODE_TEXT + 1]);
bool hash_node_find(const struct hash_ring *r, struct str name, size_t *ret_index);
/* … and of a backend: md5(md5(name) . name). Belongs to the ring. */
const char *hash_backend_name(const struct hash_ring *r);
