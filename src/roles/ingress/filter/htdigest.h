/* htdigest.h - users of auth-type digest, as Apache's htdigest writes them: "user:realm:HA1", in hex.
 *
 * HA1 is the hash of "user:realm:password": of 32 digits it is MD5's, of 64 SHA-256's. A user may have both.
 */
#pragma once

#include "base/err.h"

#define HTDIGEST_BYTES_MAX (1u << 20) /* a Secret's own limit (MaxSecretSize) */
#define HTDIGEST_HEX_MAX 64

enum digest_algorithm { DIGEST_SHA_256, DIGEST_MD5, DIGEST_ALGORITHMS };

struct htdigest; /* immutable: any thread may read it */

struct htdigest *htdigest_new(void);
void htdigest_free(struct htdigest *h); /* NULL is nothing */
/* Lines; '#' begins a comment line, the first line of a user counts, others are left out and counted. */
int htdigest_add_file(struct htdigest *h, struct str file, struct err *e) must_check;
/* "realm:HA1", as a Secret of auth-map holds it; or "user:realm:HA1" for this user. */
int htdigest_add_user(struct htdigest *h, struct str user, struct str value, struct err *e) must_check;
size_t htdigest_count(const struct htdigest *h);
size_t htdigest_unusable(const struct htdigest *h);
/* Does anybody of this realm have such a hash? */
bool htdigest_knows(const struct htdigest *h, const char *realm, enum digest_algorithm a);
/* In lower case; NULL: no such user. */
const char *htdigest_find(const struct htdigest *h, struct str user, const char *realm, enum digest_algorithm a);
