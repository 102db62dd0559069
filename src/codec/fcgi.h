/* fcgi.h - FastCGI 1.0 as a web server speaks it: one request on a connection. FastCGI Specification (Open Market, 1996).
 *
 * Bytes in, slices out: no sockets, no clock. Where an application says what it cannot mean - another version, another
 * request, a record of a type that only web servers send, more of a stream that has ended - it is not understood any more:
 * its answer would be cut at the wrong place.
 *
 *   struct fcgi_params p;                    fcgi_begin(out);
 *   fcgi_params_begin(&p, out);              fcgi_params_put(&p, name, value);        fcgi_params_end(&p);
 *   fcgi_header(out8, FCGI_STDIN, len) and the bytes, as often as need be; fcgi_header(out8, FCGI_STDIN, 0)
 *
 *   struct fcgi_reader r = { 0 };
 *   n = fcgi_next(&r, bytes, len, &piece, &e);   >0: bytes used; 0: more are needed; -1: no FastCGI
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum fcgi_type {
	FCGI_NONE,
	FCGI_BEGIN_REQUEST,
	FCGI_ABORT_REQUEST,
	FCGI_END_REQUEST,
	FCGI_PARAMS,
	FCGI_STDIN,
	FCGI_STDOUT,
	FCGI_STDERR,
};
enum fcgi_status { FCGI_REQUEST_COMPLETE, FCGI_CANT_MPX_CONN, FCGI_OVERLOADED, FCGI_UNKNOWN_ROLE };

#define FCGI_REQUEST_ID 1 /* a connection has one request */
#define FCGI_HEADER_BYTES 8
#define FCGI_CONTENT_BYTES_MAX 65535	  /* of a record: its length has two bytes */
#define FCGI_BODY_RECORD_BYTES_MAX 65528  /* what we send in one: a multiple of eight, so that it needs no padding */
#define FCGI_LONG_LENGTH_FLAG 0x80000000u /* of a name or value: lengths above 127 have four bytes and this bit */
#define FCGI_EMPTY_RECORDS_MAX 64	  /* of an answer: each of two streams ends with one */

/* ---- what a web server sends ---- */
void fcgi_header(uint8_t out[FCGI_HEADER_BYTES], enum fcgi_type type, size_t content_bytes);
/* A responder's request; the connection is not kept (FCGI_KEEP_CONN is not set). */
int fcgi_begin(struct buf *out);

/* Pairs are not split between records: PHP reads each record by itself. */
struct fcgi_params {
	struct buf *out;
	size_t record; /* where the record under way begins */
};
int fcgi_params_begin(struct fcgi_params *p, struct buf *out);
/* -1: `out` is full, or the pair does not fit into a record. */
int fcgi_params_put(struct fcgi_params *p, struct str name, struct str value);
int fcgi_params_end(struct fcgi_params *p);

/* ---- what it gets ---- */
struct fcgi_piece {
	enum fcgi_type type; /* FCGI_STDOUT, FCGI_STDERR, FCGI_END_REQUEST; FCGI_NONE: framing only */
	struct str data;     /* a run of the stream; not empty unless `end` */
	bool end;	     /* the stream has ended */
	uint8_t status;	     /* of FCGI_END_REQUEST: enum fcgi_status, or a number that nobody knows */
	uint32_t app_status; /* the program's exit status */
};
struct fcgi_reader {
	/* private */
	uint8_t type_, padding_;
	uint16_t left_;
	uint16_t empty_;
	bool stdout_ended_, ended_;
};
ssize_t fcgi_next(struct fcgi_reader *r, const uint8_t *bytes, size_t len, struct fcgi_piece *ret, struct err *e) must_check;

/* The first pair of `rest`, which moves behind it. 0: there is none left; -1: malformed. */
int fcgi_pair_next(struct str *rest, struct str *ret_name, struct str *ret_value, struct err *e) must_check;
