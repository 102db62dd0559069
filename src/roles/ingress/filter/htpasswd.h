/* htpasswd.h - users and password hashes of auth-secret, as Apache's htpasswd writes them.
 *
 * Looking a user up is cheap; comparing a password may take a tenth of a second of CPU and belongs on a thread (loop_work).
 * Hashes: crypt(3) as Debian's libcrypt knows it (DES, $1$, $2a$ $2b$ $2y$, $5$, $6$, $y$), $apr1$, {SHA}, {SSHA}, {PLAIN}.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define HTPASSWD_BYTES_MAX (1u << 20) /* a Secret's own limit (MaxSecretSize) */
#define HTPASSWD_HASH_MAX 256	      /* $6$ with rounds and the longest salt has 123, {SSHA} with a long salt fits */
#define HTPASSWD_PASSWORD_MAX 512     /* crypt(3)'s CRYPT_MAX_PASSPHRASE_SIZE */

struct htpasswd; /* immutable: any thread may read it */

/* auth-file: lines "user:hash[:comment]"; '#' begins a comment line. The first line of a user counts, as in nginx.
 * Lines without a hash are left out. Fails only when the file is too large. Everything is copied. */
struct htpasswd *htpasswd_new(struct str file, struct err *e) must_check;
/* auth-map: a key of the Secret is a user, its (decoded) value the hash. */
struct htpasswd_user {
	struct str name, hash;
};
struct htpasswd *htpasswd_new_map(const struct htpasswd_user *users, size_t n, struct err *e) must_check;
void htpasswd_free(struct htpasswd *h); /* NULL is nothing */

size_t htpasswd_count(const struct htpasswd *h);
/* Of how many users the hash is of no known kind or dearer than is allowed: they can never log in. For warnings. */
size_t htpasswd_unusable(const struct htpasswd *h);
/* The hash of `user`; of an unknown one somebody else's, so that both cost the same (*ret_known tells). STR_NONE: there
 * are no users at all. */
struct str htpasswd_find(const struct htpasswd *h, struct str user, bool *ret_known);

/* Is it quick enough for an event loop? */
bool password_hash_is_quick(struct str hash);
/* Does `password` give `hash`? Any thread; compares in constant time. */
bool password_verify(struct str hash, struct str password) must_check;
