#include "roles/ingress/filter/coding.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP_WINDOW_BITS 14 /* 16 KiB: half of zlib's most, for 2 % of the size and half of the memory */
#define GZIP_MEM_LEVEL 7
#define GZIP_HEADER 16 /* added to the window's bits: RFC 1952's frame instead of zlib's */
#define BROTLI_WINDOW_BITS 17
#define GZIP_BYTES (136u << 10) /* zconf.h's formula for these */
#define ZSTD_WINDOW_BITS 17 /* RFC 8878 lets a decoder refuse more than 23 */
#define ZSTD_TABLE_BITS 16 /* its tables for a window of that size */
#define STEP_BYTES (16u << 10)
#define SPARE_BYTES_MAX (8u << 20) /* of brotli's blocks kept by one worker */
#define OUT_KEPT_BYTES (64u << 10)

struct coder {
	struct list link; /* idle */
	struct coders *set;
	enum coding coding;
	int level;
	size_t bytes; /* counted in the set */
	struct buf out;
	bool started; /* gzip: deflateInit was called */
	z_stream gzip;
	BrotliEncoderState *br;
	ZSTD_CCtx *zstd;
};

/* A freed block of brotli's, which makes an encoder anew for each stream: the same few sizes come again. */
struct spare {
	struct list link;
	size_t bytes;
	_Alignas(max_align_t) char block[];
};

struct coders {
	struct list idle[CODINGS], spares;
	size_t n_idle[CODINGS], n_open;
	size_t bytes, spare_bytes; /* of open streams; of spares */
};

struct str coding_name(enum coding c)
{
	static const struct str names[CODINGS] = {
		[CODING_ZSTD] = {"zstd", 4}, [CODING_BR] = {"br", 2}, [CODING_GZIP] = {"gzip", 4}};

	return names[c];
}

struct coders *coders_new(void)
{
	struct coders *cs = xcalloc(1, sizeof(*cs));

	for (size_t i = 0; i < CODINGS; i++)
		list_init(&cs->idle[i]);
	list_init(&cs->spares);
	return cs;
}

static void *spare_alloc(void *ctx, size_t size)
{
	struct coders *cs = ctx;

	list_for(n, tmp, &cs->spares)
	{
		struct spare *s = list_entry(n, struct spare, link);

		if (s->bytes != size)
			continue;
		list_del(&s->link);
		cs->spare_bytes -= size;
		cs->bytes += size;
		return s->block;
	}
	struct spare *s = xmalloc(sizeof(*s) + size);
	s->bytes = size;
	list_init(&s->link);
	cs->bytes += size;
	return s->block;
}

static void spare_free(void *ctx, void *block)
{
	struct coders *cs = ctx;
	struct spare *s = block ? container_of(block, struct spare, block) : NULL;

	if (!s)
		return;
	cs->bytes -= s->bytes;
	if (cs->spare_bytes + s->bytes > SPARE_BYTES_MAX) {
		free(s);
		return;
	}
	cs->spare_bytes += s->bytes;
	list_append(cs->spares.next, &s->link); /* at the front: the newest is the warmest */
}

static void coder_free(struct coder *c)
{
	if (c->started)
		deflateEnd(&c->gzip);
	ZSTD_freeCCtx(c->zstd);
	buf_done(&c->out);
	free(c);
}

void coders_free(struct coders *cs)
{
	if (!cs)
		return;
	for (size_t i = 0; i < CODINGS; i++)
		list_for(n, tmp, &cs->idle[i]) coder_free(list_entry(n, struct coder, link));
	list_for(n, tmp, &cs->spares) free(list_entry(n, struct spare, link));
	free(cs);
}

static bool gzip_begin(struct coder *c)
{
	int r;

	if (c->started && deflateReset(&c->gzip) == Z_OK &&
	    deflateParams(&c->gzip, c->level, Z_DEFAULT_STRATEGY) == Z_OK)
		return true;
	if (c->started)
		deflateEnd(&c->gzip);
	r = deflateInit2(&c->gzip, c->level, Z_DEFLATED, GZIP_WINDOW_BITS + GZIP_HEADER, GZIP_MEM_LEVEL,
			 Z_DEFAULT_STRATEGY);
	c->started = r == Z_OK;
	return c->started;
}

static bool br_begin(struct coder *c)
{
	c->br = BrotliEncoderCreateInstance(spare_alloc, spare_free, c->set);
	return c->br && BrotliEncoderSetParameter(c->br, BROTLI_PARAM_QUALITY, (uint32_t)c->level) &&
	       BrotliEncoderSetParameter(c->br, BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
}

static bool zstd_begin(struct coder *c)
{
	if (!c->zstd)
		c->zstd = ZSTD_createCCtx();
	return c->zstd &&
	       !ZSTD_isError(ZSTD_CCtx_reset(c->zstd, ZSTD_reset_session_and_parameters)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, c->level)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_BITS)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_hashLog, ZSTD_TABLE_BITS)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_chainLog, ZSTD_TABLE_BITS));
}

/* Brotli's blocks are counted where they are made. */
static void coder_count(struct coder *c)
{
	size_t now = c->coding == CODING_GZIP ? GZIP_BYTES : c->coding == CODING_ZSTD ? ZSTD_sizeof_CCtx(c->zstd) : 0;

	c->set->bytes += now - c->bytes;
	c->bytes = now;
}

static int gzip_step(struct coder *c, struct str in, enum coder_step step)
{
	static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};

	c->gzip.next_in = (Bytef *)in.ptr;
	c->gzip.avail_in = (uInt)in.len;
	do {
		if (buf_reserve(&c->out, STEP_BYTES) < 0)
			return -1;
		c->gzip.next_out = (Bytef *)c->out.ptr + c->out.len;
		c->gzip.avail_out = STEP_BYTES;
		if (deflate(&c->gzip, flush[step]) == Z_STREAM_ERROR)
			return -1;
		c->out.len += STEP_BYTES - c->gzip.avail_out;
	} while (c->gzip.avail_out == 0);
	return 0;
}

static int br_step(struct coder *c, struct str in, enum coder_step step)
{
	static const BrotliEncoderOperation op[] = {BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH,
						    BROTLI_OPERATION_FINISH};
	const uint8_t *next = (const uint8_t *)in.ptr;
	size_t left = in.len;

	do {
		if (buf_reserve(&c->out, STEP_BYTES) < 0)
			return -1;
		uint8_t *to = (uint8_t *)c->out.ptr + c->out.len;
		size_t room = STEP_BYTES;
		if (!BrotliEncoderCompressStream(c->br, op[step], &left, &next, &room, &to, NULL))
			return -1;
		c->out.len += STEP_BYTES - room;
	} while (left || BrotliEncoderHasMoreOutput(c->br));
	return 0;
}

static int zstd_step(struct coder *c, struct str in, enum coder_step step)
{
	static const ZSTD_EndDirective op[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
	ZSTD_inBuffer from = {in.ptr, in.len, 0};
	size_t left;

	do {
		if (buf_reserve(&c->out, STEP_BYTES) < 0)
			return -1;
		ZSTD_outBuffer to = {c->out.ptr + c->out.len, STEP_BYTES, 0};
		left = ZSTD_compressStream2(c->zstd, &to, &from, op[step]);
		if (ZSTD_isError(left))
			return -1;
		c->out.len += to.pos;
	} while (step == CODER_MORE ? from.pos < from.size : left > 0);
	return 0;
}

static const struct {
	bool (*begin)(struct coder *c);
	int (*step)(struct coder *c, struct str in, enum coder_step step);
} codecs[CODINGS] = {
	[CODING_ZSTD] = {zstd_begin, zstd_step},
	[CODING_BR] = {br_begin, br_step},
	[CODING_GZIP] = {gzip_begin, gzip_step},
};

static struct coder *coder_take(struct coders *cs, enum coding coding)
{
	struct coder *c;

	if (list_empty(&cs->idle[coding])) {
		c = xcalloc(1, sizeof(*c));
		*c = (struct coder){.set = cs, .coding = coding};
		list_init(&c->link);
		buf_init(&c->out, CODER_OUT_MAX);
		return c;
	}
	c = list_entry(cs->idle[coding].prev, struct coder, link);
	list_del(&c->link);
	cs->n_idle[coding]--;
	return c;
}

struct coder *coder_begin(struct coders *cs, enum coding coding, int level)
{
	if (cs->n_open == CODERS_MAX || cs->bytes >= CODERS_BYTES_MAX)
		return NULL;
	struct coder *c = coder_take(cs, coding);

	c->level = level;
	cs->n_open++;
	if (!codecs[coding].begin(c)) {
		coder_end(c);
		return NULL;
	}
	coder_count(c);
	return c;
}

int coder_feed(struct coder *c, struct str in, enum coder_step step, struct str *ret_out)
{
	buf_clear(&c->out);
	if (codecs[c->coding].step(c, in, step) < 0)
		return -1;
	coder_count(c);
	*ret_out = buf_str(&c->out);
	return 0;
}

void coder_end(struct coder *c)
{
	if (!c)
		return;
	struct coders *cs = c->set;

	cs->n_open--;
	cs->bytes -= c->bytes;
	c->bytes = 0;
	if (c->br)
		BrotliEncoderDestroyInstance(c->br);
	c->br = NULL;
	if (c->out.cap > OUT_KEPT_BYTES)
		buf_done(&c->out);
	if (cs->n_idle[c->coding] == CODERS_IDLE_MAX) {
		coder_free(c);
		return;
	}
	cs->n_idle[c->coding]++;
	list_append(&cs->idle[c->coding], &c->link);
}
