/* coding.h - content codings: what a client accepts, and streams that compress. RFC 9110, 12.5.3; RFC 1952, 7932, 8878.
 *
 * A coder's memory is kept by its worker when a stream ends, and used again for the next one.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"

/* In the order in which equal wishes are granted: zstd costs the least for what it saves, then brotli. */
enum coding { CODING_ZSTD, CODING_BR, CODING_GZIP, CODINGS, CODING_NONE = CODINGS };
struct str coding_name(enum coding c);

/* The wishes of a request, summed up over its Accept-Encoding lines; q-values in thousandths, -1: not named. */
struct accept_encoding {
	int q[CODINGS], identity, any;
};
void accept_encoding_init(struct accept_encoding *a);
/* Malformed members are skipped, as they are no wish for anything. */
void accept_encoding_add(struct accept_encoding *a, struct str value);
/* `offered`: bits 1 << enum coding. CODING_NONE: the answer goes as it is. */
enum coding accept_encoding_choose(const struct accept_encoding *a, unsigned offered);

/* One worker's streams at a time; beyond either, answers go as they are. A stream takes about 0.2 MiB (gzip), 1.8 MiB
 * (brotli, level 4; 30 MiB at level 9) or 1.4 MiB (zstd). */
#define CODERS_MAX 1024
#define CODERS_BYTES_MAX (128u << 20)
#define CODERS_IDLE_MAX 16	 /* of each kind, kept for the next streams */
#define CODER_OUT_MAX (8u << 20) /* what one chunk may become: far above what a socket gives at once */

struct coders;
struct coder;
struct coders *coders_new(void);
void coders_free(struct coders *cs); /* no stream may be open; NULL is nothing */
/* NULL: a limit is reached. */
struct coder *coder_begin(struct coders *cs, enum coding c, int level) must_check;
enum coder_step {
	CODER_MORE,  /* may keep bytes for later */
	CODER_FLUSH, /* whoever decodes can read all of it */
	CODER_END,
};
/* *ret_out is valid until the next call; it may be empty. -1: the library failed, or CODER_OUT_MAX. */
int coder_feed(struct coder *c, struct str in, enum coder_step step, struct str *ret_out) must_check;
void coder_end(struct coder *c); /* at any time; NULL is nothing */
