/* tickets.h - the keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), a new one each hour.
 *
 * All contexts and workers share them, so a session is resumed whichever worker it meets and whichever certificate its host
 * has by then. A ticket under an older key is still taken, and replaced, for as long as tickets live: who steals the keys of
 * now cannot read what was recorded before. The main thread changes them; workers read without locks.
 *
 * Without a secret they are random and this process' own. With one, the hour's key is derived from it (docs/decisions/0014):
 * all that have the secret make the same, without talking to each other, and take those of the hours before and of the next
 * one, as clocks differ. What was made under another secret, or at random, is still taken until it is too old.
 */
#pragma once

#include "base/buf.h"
#include "loop/quiesce.h"
#include "roles/ingress/config/settings.h"

#include <openssl/ssl.h>

#define TICKET_KEY_CHANGE_MS (60 * 60 * 1000)
#define TICKET_LIFE_S (24 * 60 * 60) /* the longest: keys of more hours are not kept */

/* Both clocks, in milliseconds: loop_now_ms for what was made here, wall_now_ms for the hours that replicas agree on. */
struct ticket_time {
	uint64_t now_ms;
	int64_t wall_ms;
};

struct tickets;
/* Random keys, until tickets_set. */
struct tickets *tickets_new(struct quiesce *q, struct ticket_time at, struct err *e) must_check;
void tickets_free(struct tickets *t); /* after the contexts that use it */
/* `secret` NULL: none. `life_s`: for how long a ticket is taken; 0: TICKET_LIFE_S. On failure what was in force stays. */
int tickets_set(struct tickets *t, const struct ticket_secret *secret, unsigned life_s, struct ticket_time at, struct err *e) must_check;
/* Makes a new key when it is time to, and forgets those that nobody may use any more. */
void tickets_tick(struct tickets *t, struct ticket_time at);
/* All keys, for a process of this machine that goes on in this one's place; it takes what was made under them. `out` has at least
 * TICKET_EXPORT_BYTES of room without growing, so that nothing is left behind. */
#define TICKET_EXPORT_BYTES (8u << 10)
void tickets_export(const struct tickets *t, struct buf *out);
void tickets_import(struct tickets *t, struct str exported, struct ticket_time at);
void tickets_use(struct tickets *t, SSL_CTX *ctx); /* for tickets of the life that is set now */
