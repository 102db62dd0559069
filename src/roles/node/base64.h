/* base64.h - the values of Secrets. RFC 4648, standard alphabet with padding. */
#pragma once

#include "base/base.h"

/* On the heap, with a zero byte behind ret_len bytes; NULL when malformed. */
char *base64_decode(struct str text, size_t *ret_len);
