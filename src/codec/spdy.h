/* spdy.h - SPDY/3.1 framing: bytes in, events out; frames appended to a buffer. No I/O.
 *
 * Source: the SPDY protocol drafts 3 and 3.1 (The Chromium Projects). Kubernetes speaks it for
 * exec, attach and port-forward, between peers that never send WINDOW_UPDATE and do not wait for
 * one: so flow control is reported here and left to the connection below, as those peers do.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum spdy_type {
	SPDY_DATA = 0, /* data frames have no type on the wire */
	SPDY_SYN_STREAM = 1,
	SPDY_SYN_REPLY = 2,
	SPDY_RST_STREAM = 3,
	SPDY_SETTINGS = 4,
	SPDY_PING = 6,
	SPDY_GOAWAY = 7,
	SPDY_HEADERS = 8,
	SPDY_WINDOW_UPDATE = 9,
	SPDY_IGNORED = 0x10000, /* a type we do not know, or a part of a frame: nothing to do */
};

enum spdy_rst {
	SPDY_RST_PROTOCOL_ERROR = 1,
	SPDY_RST_INVALID_STREAM = 2,
	SPDY_RST_REFUSED_STREAM = 3,
	SPDY_RST_CANCEL = 5,
	SPDY_RST_INTERNAL_ERROR = 6,
};

#define SPDY_HEADERS_MAX 64		   /* Kubernetes' streams carry three */
#define SPDY_CONTROL_BYTES_MAX (32u << 10) /* a control frame's payload, compressed */
/* the same, inflated: a compression bomb stops here */
#define SPDY_HEADER_BLOCK_BYTES_MAX (64u << 10)
#define SPDY_DATA_BYTES_MAX ((1u << 24) - 1) /* what the length field can say */

struct spdy_header {
	struct str name, value; /* names in lower case */
};

/* What one call of spdy_parse saw. `headers` and `data` are valid until the next call. */
struct spdy_event {
	enum spdy_type type;
	uint32_t stream; /* PING: its id; GOAWAY: the last good stream */
	uint32_t value;	 /* RST_STREAM, GOAWAY: status. WINDOW_UPDATE: delta. SETTINGS: initial
			    window, 0 if not said */
	bool fin;	 /* the sender will send no more on this stream */
	struct str data; /* a piece of a data frame; fin comes with the last */
	const struct spdy_header *headers;
	size_t n_headers;
};

struct spdy;
struct spdy *spdy_new(void);
void spdy_free(struct spdy *s); /* NULL is nothing */

/* Returns how many bytes of `in` were used and what they said; 0: a whole control frame is not
 * there yet. On -1 the connection cannot go on (both ends' header compression has state). */
ssize_t spdy_parse(struct spdy *s, struct str in, struct spdy_event *ret, struct err *e) must_check;
struct str spdy_header_get(const struct spdy_event *ev, const char *name); /* STR_NONE if absent */

/* All append one frame, or return -1 (buffer full, or too many or too long headers: nothing was
 * written then, but with headers the connection cannot go on). */
int spdy_put_syn_stream(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
			const struct spdy_header *h, size_t n) must_check;
int spdy_put_syn_reply(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
		       const struct spdy_header *h, size_t n) must_check;
int spdy_put_headers(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
		     const struct spdy_header *h, size_t n) must_check;
int spdy_put_data(struct buf *out, uint32_t stream, bool fin, struct str data) must_check;
int spdy_put_rst(struct buf *out, uint32_t stream, enum spdy_rst status) must_check;
int spdy_put_ping(struct buf *out, uint32_t id) must_check;
int spdy_put_goaway(struct buf *out, uint32_t last_good_stream, uint32_t status) must_check;
int spdy_put_window_update(struct buf *out, uint32_t stream, uint32_t delta) must_check;
