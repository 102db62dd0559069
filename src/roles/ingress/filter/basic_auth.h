/* basic_auth.h - parts of basic authentication that tests and fuzzers call.
 */
#pragma once

#include "base/buf.h"

/* "Basic <base64 of user:password>" (RFC 7617). `out` gets the decoded bytes, the others point into it. false: not that. */
bool basic_credentials_parse(struct str authorization, struct buf *out, struct str *ret_user, struct str *ret_password) must_check;
