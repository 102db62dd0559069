#include "roles/apiserver/gzip.h"

#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* + 16: a gzip header instead of zlib's */
#define GZIP_MEM_LEVEL 8

int gzip_replace(struct buf *body)
{
	z_stream z = { 0 };
	struct buf out;

	if (body->len > UINT32_MAX || deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS,
						   GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return -1;
	buf_init(&out, body->max);
	if (buf_reserve(&out, deflateBound(&z, body->len)) < 0) {
		deflateEnd(&z);
		return -1;
	}
	z.next_in = (unsigned char *)body->ptr;
	z.avail_in = (uInt)body->len;
	z.next_out = (unsigned char *)out.ptr;
	z.avail_out = (uInt)(out.cap - 1);
	int r = deflate(&z, Z_FINISH);
	out.len = z.total_out;
	deflateEnd(&z);
	if (r != Z_STREAM_END) {
		buf_done(&out);
		return -1;
	}
	buf_done(body);
	*body = out;
	return 0;
}
