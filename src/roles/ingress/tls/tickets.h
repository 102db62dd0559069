/* tickets.h - the keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): made in memory, changed by themselves.
 *
 * All contexts and workers share them, so a session is resumed whichever worker it meets and whichever certificate its host
 * has by then. A ticket under an older key is still taken, and replaced, for a day: who steals the keys of now cannot read
 * what was recorded before. The main thread changes them; workers read without locks.
 */
#pragma once

#include "loop/quiesce.h"

#include <openssl/ssl.h>

#define TICKET_KEY_CHANGE_MS (60u * 60 * 1000)
#define TICKET_KEY_KEPT_MS (24u * 60 * 60 * 1000)
#define TICKET_LIFE_S (24 * 60 * 60)

struct tickets;
struct tickets *tickets_new(struct quiesce *q, uint64_t now_ms, struct err *e) must_check;
void tickets_free(struct tickets *t); /* after the contexts that use it */
/* Makes a new key when it is time to, and forgets those that nobody may use any more. */
void tickets_tick(struct tickets *t, uint64_t now_ms);
void tickets_use(struct tickets *t, SSL_CTX *ctx);
