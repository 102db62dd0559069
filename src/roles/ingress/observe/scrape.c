#include "roles/ingress/observe/scrape.h"

#include "roles/ingress/observe/metrics.h"

#include <zlib.h>

#define GZIP_LEVEL 1 /* more costs more than the network does */

struct scrape {
	struct list link;
	struct loop *loop;
	struct http_exchange *x;
	struct metrics_text *text;
	struct timer next;
	z_stream *gzip; /* NULL: plain */
};

static void scrape_free(struct scrape *s)
{
	list_del(&s->link);
	timer_stop(&s->next);
	metrics_text_free(s->text);
	if (s->gzip)
		deflateEnd(s->gzip);
	free(s->gzip);
	free(s);
}

static void gone(void *ctx)
{
	scrape_free(ctx);
}

static void write_gzip(struct scrape *s, struct str piece, bool end)
{
	unsigned char out[16384];
	z_stream *z = s->gzip;

	z->next_in = (unsigned char *)(uintptr_t)piece.ptr;
	z->avail_in = (unsigned)piece.len;
	do {
		z->next_out = out;
		z->avail_out = sizeof(out);
		deflate(z, end ? Z_FINISH : Z_NO_FLUSH);
		if (z->avail_out < sizeof(out))
			http_reply_write(s->x, (struct str){ (const char *)out, sizeof(out) - z->avail_out });
	} while (z->avail_out == 0);
}

static void write_more(struct scrape *s)
{
	struct http_exchange *x = s->x;
	struct buf piece;

	buf_init(&piece, METRICS_PIECE_BYTES_MAX);
	bool more = metrics_text_next(s->text, &piece);
	if (s->gzip)
		write_gzip(s, buf_str(&piece), !more);
	else
		http_reply_write(x, buf_str(&piece));
	buf_done(&piece);
	if (!more) {
		scrape_free(s);
		http_reply_end(x);
	} else if (http_reply_pending(x) <= CONN_LOW_WATER_BYTES) {
		timer_start(s->loop, &s->next, 0);
	} /* else: when it has drained */
}

static void drained(void *ctx)
{
	struct scrape *s = ctx;

	if (!timer_active(&s->next))
		timer_start(s->loop, &s->next, 0);
}

static void on_timer(struct timer *t)
{
	write_more(t->ctx);
}

/* "gzip" without q=0. */
static bool takes_gzip(struct str accepted)
{
	while (accepted.ptr) {
		struct str weight, one = str_trim(str_cut(accepted, ',', &accepted));
		struct str name = str_trim(str_cut(one, ';', &weight));
		if (str_ieq(name, STR("gzip")))
			return !weight.ptr || !str_eq(str_trim(weight), STR("q=0"));
	}
	return false;
}

static z_stream *gzip_new(void)
{
	z_stream *z = xcalloc(1, sizeof(*z));

	if (deflateInit2(z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
		return z;
	free(z);
	return NULL;
}

void scrape_start(struct loop *l, struct list *all, struct metrics *m, struct http_exchange *x, const char *exclude)
{
	static const struct http_header h[] = { { STR("content-type"), STR("text/plain; version=0.0.4; charset=utf-8") },
						{ STR("vary"), STR("accept-encoding") },
						{ STR("content-encoding"), STR("gzip") } };
	struct scrape *s = xcalloc(1, sizeof(*s));

	*s = (struct scrape){ .loop = l, .x = x, .text = metrics_text_new(m, exclude), .next = { .fire = on_timer, .ctx = s } };
	if (takes_gzip(http_header_get(http_request_of(x)->headers, "accept-encoding")))
		s->gzip = gzip_new();
	list_append(all, &s->link);
	http_on_closed(x, gone, s);
	http_reply_on_drained(x, drained, s);
	http_reply_start(x, 200, h, ARRAY_LEN(h) - !s->gzip);
	write_more(s);
}

void scrapes_free(struct list *all)
{
	list_for(at, tmp, all)
		scrape_free(list_entry(at, struct scrape, link));
}
