/* cgi_head.h - the head of a CGI program's answer. RFC 3875 §6, read as nginx reads it.
 *
 * Lines end with LF or CRLF; there is no status line (one of HTTP is passed over), the status is a field called Status.
 *
 *   end = cgi_head_end(bytes, len, &seen);        0: call again with more
 *   cgi_head_parse(&h, bytes, end, table, max, &e);
 */
#pragma once

#include "base/err.h"
#include "codec/http_header.h"

/* Everything in it points into the bytes that were parsed. */
struct cgi_head {
	int status;		     /* 200 to 999. Without a Status field: 302 when there is a Location, else 200 */
	struct str reason;	     /* may be empty */
	struct http_header *headers; /* the caller's table; neither Status nor Content-Length nor Transfer-Encoding */
	size_t n_headers;
	bool has_length;
	uint64_t content_length;
};
/* The head's length with its empty line; 0: it is not complete. *seen, 0 at first: bytes that need no second look. */
size_t cgi_head_end(const char *bytes, size_t len, size_t *seen) must_check;
int cgi_head_parse(struct cgi_head *h, const char *bytes, size_t len, struct http_header *table, size_t max, struct err *e)
	must_check;
