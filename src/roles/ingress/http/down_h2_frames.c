/* Frame headers of an HTTP/2 connection, looked at before nghttp2 gets the bytes: it does not tell about frames that it
 * ignores, and those are what floods and confused clients send.
 *
 * nghttp2 forgets streams that have ended, and ignores what comes for them. That is right for those that we reset: their
 * frames may have been under way. What the client itself has ended, or never begun, is its error (RFC 9113 §5.1).
 */
#include "roles/ingress/http/down_h2_int.h"

#define FRAME_HEAD_BYTES 9

struct frame_head {
	uint32_t length;
	uint8_t type, flags;
	int32_t stream_id;
};

static struct frame_head head_of(const uint8_t b[FRAME_HEAD_BYTES])
{
	return (struct frame_head){
		.length = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2],
		.type = b[3],
		.flags = b[4],
		.stream_id = (int32_t)((uint32_t)(b[5] & 0x7f) << 24 | (uint32_t)b[6] << 16 |
				       (uint32_t)b[7] << 8 | b[8]),
	};
}

static bool is_useful(const struct frame_head *f)
{
	switch (f->type) {
	case NGHTTP2_DATA:
		return f->length > 0 || (f->flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION: /* counted by nghttp2, for each head */
		return true;
	default:
		return false;
	}
}

/* Whether it matters what nghttp2 knows about its stream now. */
static bool must_be_checked(struct h2_down *c, const struct frame_head *f)
{
	if (f->type == NGHTTP2_DATA)
		return true;
	if (f->type != NGHTTP2_HEADERS)
		return false;
	if (f->stream_id <= c->seen_id)
		return true;
	c->seen_id = f->stream_id;
	return false;
}

static void check(struct h2_down *c, const struct frame_head *f)
{
	if (f->stream_id > c->last_id || f->stream_id <= c->reset_id ||
	    nghttp2_session_get_stream_user_data(c->session, f->stream_id))
		return;
	nghttp2_session_terminate_session(c->session, f->type == NGHTTP2_HEADERS && f->stream_id < c->last_id
							      ? NGHTTP2_PROTOCOL_ERROR
							      : NGHTTP2_STREAM_CLOSED);
}

static void feed(struct h2_down *c, const uint8_t *bytes, size_t len)
{
	if (len == 0 || c->broken || c->calmed)
		return;
	ssize_t n = nghttp2_session_mem_recv(c->session, bytes, len);
	if (n >= 0)
		return;
	/* Its own limits (CONTINUATION, answers to PING and SETTINGS that pile up) come without a GOAWAY. */
	if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		c->broken = true;
	else
		h2_calm(c);
}

void h2_receive(struct h2_down *c, const uint8_t *bytes, size_t len)
{
	size_t at = 0, fed = 0;

	while (at < len) {
		if (c->frame_left) {
			size_t n = MIN(c->frame_left, len - at);
			c->frame_left -= n;
			at += n;
			continue;
		}
		size_t n = MIN(FRAME_HEAD_BYTES - c->n_head, len - at);
		memcpy(c->head + c->n_head, bytes + at, n);
		c->n_head += n;
		at += n;
		if (c->n_head < FRAME_HEAD_BYTES)
			break;
		struct frame_head f = head_of(c->head);
		c->n_head = 0;
		c->frame_left = f.length;
		if (!is_useful(&f) && !h2_bucket_take(&c->control, loop_now_ms(c->d.worker->loop)))
			h2_calm(c);
		if (!must_be_checked(c, &f))
			continue;
		feed(c, bytes + fed, at - n - fed); /* all that came before it */
		fed = at - n;
		check(c, &f);
	}
	feed(c, bytes + fed, len - fed);
}
