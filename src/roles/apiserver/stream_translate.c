#include "roles/apiserver/stream_translate.h"

#include "codec/spdy.h"

#define FRAMES_BYTES_MAX (2u << 20) /* the largest client message and a head, with room */

struct stream {
	uint32_t id;		     /* 0: not asked for */
	bool replied, ended, closed; /* ended: by the node; closed: by us */
};

struct translate {
	struct spdy *spdy;
	const struct translate_ops *ops;
	void *ctx;
	struct stream streams[CHANNELS];
	struct buf frames, status;
	bool ready, finished;
};

/* In the order in which client-go opens them. */
static const struct {
	enum stream_channel channel;
	struct str name;
} order[] = {
	{ CHANNEL_ERROR, { "error", 5 } },   { CHANNEL_STDIN, { "stdin", 5 } },
	{ CHANNEL_STDOUT, { "stdout", 6 } }, { CHANNEL_STDERR, { "stderr", 6 } },
	{ CHANNEL_RESIZE, { "resize", 6 } },
};

static void flush(struct translate *t)
{
	if (t->frames.len)
		t->ops->to_node(t->ctx, buf_str(&t->frames));
	buf_clear(&t->frames);
}

struct translate *translate_new(const struct stream_options *o, const struct translate_ops *ops,
				void *ctx)
{
	struct translate *t = xcalloc(1, sizeof(*t));
	const bool wanted[CHANNELS] = {
		[CHANNEL_STDIN] = o->in, [CHANNEL_STDOUT] = o->out, [CHANNEL_STDERR] = o->err,
		[CHANNEL_ERROR] = true,	 [CHANNEL_RESIZE] = o->tty,
	};
	uint32_t next_id = 1;

	t->spdy = spdy_new();
	t->ops = ops;
	t->ctx = ctx;
	buf_init(&t->frames, FRAMES_BYTES_MAX);
	buf_init(&t->status, STREAM_STATUS_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct spdy_header h = { STR("streamtype"), order[i].name };
		if (!wanted[order[i].channel])
			continue;
		if (spdy_put_syn_stream(t->spdy, &t->frames, next_id, false, &h, 1) < 0)
			abort(); /* five short frames into an empty buffer */
		t->streams[order[i].channel].id = next_id;
		next_id += 2;
	}
	flush(t);
	return t;
}

void translate_free(struct translate *t)
{
	if (!t)
		return;
	spdy_free(t->spdy);
	buf_done(&t->frames);
	buf_done(&t->status);
	free(t);
}

static int channel_of(const struct translate *t, uint32_t id)
{
	for (int i = 0; i < CHANNELS; i++)
		if (id && t->streams[i].id == id)
			return i;
	return -1;
}

static bool done_with(const struct stream *s)
{
	return !s->id || s->ended;
}

static void finish(struct translate *t)
{
	if (t->finished)
		return;
	t->finished = true;
	t->ops->finished(t->ctx, buf_str(&t->status));
}

/* The status goes last, whatever order the node's streams ended in. */
static void finish_if_ended(struct translate *t)
{
	if (done_with(&t->streams[CHANNEL_ERROR]) && done_with(&t->streams[CHANNEL_STDOUT]) &&
	    done_with(&t->streams[CHANNEL_STDERR]))
		finish(t);
}

static void replied(struct translate *t, struct stream *s)
{
	s->replied = true;
	for (int i = 0; i < CHANNELS; i++)
		if (t->streams[i].id && !t->streams[i].replied)
			return;
	if (t->ready)
		return;
	t->ready = true;
	t->ops->ready(t->ctx);
}

static int take_data(struct translate *t, int channel, struct str data, struct err *e)
{
	if (channel == CHANNEL_ERROR)
		return buf_put_str(&t->status, data) == 0
			       ? 0
			       : err_set(e, ERR_TOO_LARGE,
					 "the node's status is larger than %u bytes",
					 STREAM_STATUS_BYTES_MAX);
	if (data.len && (channel == CHANNEL_STDOUT || channel == CHANNEL_STDERR))
		t->ops->to_client(t->ctx, (enum stream_channel)channel, data);
	return 0;
}

/* What is about no stream of ours: an even PING is the node's own, which it wants back; it opens no
 * streams. */
static int answer_node(struct translate *t, const struct spdy_event *ev, struct err *e)
{
	int r = 0;

	if (ev->type == SPDY_PING && ev->stream % 2 == 0)
		r = spdy_put_ping(&t->frames, ev->stream);
	else if (ev->type == SPDY_SYN_STREAM)
		r = spdy_put_rst(&t->frames, ev->stream, SPDY_RST_REFUSED_STREAM);
	return r == 0 ? 0 : err_set(e, ERR_TOO_LARGE, "the node sends more than it reads");
}

static int take_event(struct translate *t, const struct spdy_event *ev, struct err *e)
{
	int channel =
		ev->type == SPDY_PING || ev->type == SPDY_GOAWAY ? -1 : channel_of(t, ev->stream);
	struct stream *s = channel >= 0 ? &t->streams[channel] : NULL;

	if (!s)
		return answer_node(t, ev, e);
	if (ev->type == SPDY_RST_STREAM && !s->replied)
		return err_set(e, ERR_INTERNAL, "the node refused a stream of the command");
	if (ev->type == SPDY_DATA && take_data(t, channel, ev->data, e) < 0)
		return -1;
	if (ev->type == SPDY_SYN_REPLY)
		replied(t, s);
	if (ev->fin || ev->type == SPDY_RST_STREAM) {
		s->ended = true;
		finish_if_ended(t);
	}
	return 0;
}

ssize_t translate_from_node(struct translate *t, struct str bytes, struct err *e)
{
	size_t used = 0;

	while (!t->finished) {
		struct spdy_event ev;
		ssize_t n = spdy_parse(t->spdy, (struct str){ bytes.ptr + used, bytes.len - used },
				       &ev, e);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
		if (ev.type != SPDY_IGNORED && take_event(t, &ev, e) < 0)
			return -1;
	}
	flush(t);
	return t->finished ? (ssize_t)bytes.len : (ssize_t)used;
}

/* A FIN: the command reads end of file, while its output goes on. */
static void close_channel(struct translate *t, uint8_t channel)
{
	struct stream *s = channel < CHANNELS ? &t->streams[channel] : NULL;

	if (!s || !s->id || s->closed || (channel != CHANNEL_STDIN && channel != CHANNEL_RESIZE))
		return;
	s->closed = true;
	if (spdy_put_data(&t->frames, s->id, true, STR("")) == 0)
		flush(t);
}

void translate_from_client(struct translate *t, uint8_t channel, struct str payload)
{
	if (channel == CHANNEL_CLOSE) {
		if (payload.len == 1)
			close_channel(t, (uint8_t)payload.ptr[0]);
		return;
	}
	if ((channel != CHANNEL_STDIN && channel != CHANNEL_RESIZE) || !payload.len)
		return;
	struct stream *s = &t->streams[channel];
	if (!s->id || s->closed || t->finished)
		return;
	if (spdy_put_data(&t->frames, s->id, false, payload) == 0)
		flush(t);
}

int translate_node_gone(struct translate *t, struct err *e)
{
	if (!t->status.len && !t->streams[CHANNEL_ERROR].ended)
		return err_set(e, ERR_INTERNAL,
			       "the node's connection ended before the command did");
	finish(t);
	return 0;
}
