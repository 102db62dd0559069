/* http1.h - HTTP/1.0 and 1.1 messages, read strictly. RFC 9112, RFC 9110.
 *
 * Bytes in, slices out: no sockets, no allocation, no clock. Where the RFC lets a recipient repair
 * a message, this one refuses it, because two readers that repair differently is what request
 * smuggling is made of: Content-Length with Transfer-Encoding, repeated Content-Length, any coding
 * but `chunked`, folded lines, bare CR or LF, blanks before a colon, control characters, a missing
 * or repeated Host, junk in chunk sizes. The error's text names the rule.
 *
 *   struct http_header table[N];
 *   struct http1_head h;
 *   http1_head_init(&h, HTTP1_REQUEST, table, N);
 *   n = http1_head_parse(&h, bytes, len, &e);   >0: complete, n bytes long; 0: call again with
 * more; -1: refuse http1_body_init(&b, h.framing, h.content_length); n = http1_body_next(&b, bytes,
 * len, &data, &e);  until b.done
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "codec/http_header.h"

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };
enum http1_framing {
	HTTP1_NO_BODY,
	HTTP1_LENGTH, /* content_length bytes */
	HTTP1_CHUNKED,
	HTTP1_UNTIL_CLOSE, /* responses only */
};

/* Everything in it points into the bytes that were parsed. Header names are made lower case in
 * place, unless keep_case was set after http1_head_init. */
struct http1_head {
	enum http1_kind kind;
	int minor;		   /* HTTP/1.minor: 0 or 1 */
	struct str method, target; /* request */
	struct str path, query,
		authority;	     /* request; path is "*" or empty for OPTIONS * and CONNECT */
	int status;		     /* response */
	struct str reason;	     /* response */
	struct http_header *headers; /* the caller's table */
	size_t n_headers, max_headers;
	enum http1_framing framing; /* of a response: see http1_response_framing */
	uint64_t content_length;
	bool has_length;
	bool keep_alive;      /* what version and Connection say; HTTP1_UNTIL_CLOSE overrules it */
	bool upgrade;	      /* Connection: upgrade */
	bool expect_continue; /* Expect: 100-continue on HTTP/1.1 */
	bool keep_case;	      /* leave header names as they came: whoever reads them ignores case */
	int refuse_status;    /* after an error: what to answer, 400, 431, 501 or 505 */
	/* private */
	size_t at_, n_host_;
	const char *base_;
	bool line_done_, chunked_, close_, keep_;
};
void http1_head_init(struct http1_head *h, enum http1_kind kind, struct http_header *table,
		     size_t max);
/* `bytes` always starts with the message's first byte; it may have moved and grown since the last
 * call. Limiting `len` is the caller's task. Only lines that are new are looked at. */
ssize_t http1_head_parse(struct http1_head *h, char *bytes, size_t len, struct err *e) must_check;
/* The bytes were copied to `to`: the slices follow. */
void http1_head_move(struct http1_head *h, const char *to);
/* A response's body depends on its request too (RFC 9112 §6.3). */
enum http1_framing http1_response_framing(const struct http1_head *h, bool request_was_head);

struct http1_body {
	enum http1_framing framing;
	uint64_t left; /* of the body or of the chunk */
	bool done;     /* for HTTP1_UNTIL_CLOSE the caller decides, at the end of the stream */
	struct buf *trailers; /* where their lines are kept; NULL: they are checked and dropped */
	/* private */
	uint8_t state_;
	uint32_t digits_, line_, overhead_;
};
void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t content_length);
/* Returns how many bytes were used; *ret_data is a run of the body among them, empty for framing
 * bytes. 0: more are needed. -1: malformed. Bytes behind the body are not used. */
ssize_t http1_body_next(struct http1_body *b, const char *bytes, size_t len, struct str *ret_data,
			struct err *e) must_check;

/* The fields of trailer lines that were kept; they point into `text`. */
size_t http1_trailers(struct str text, struct http_header *table, size_t max);

/* Writes "<hex>\r\n"; returns its length. The chunk ends with "\r\n", the body with "0\r\n\r\n". */
#define HTTP1_CHUNK_HEAD_BYTES 20
size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_BYTES], size_t chunk_len);
