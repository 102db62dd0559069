/* http_client_int.h - what the parts of the HTTP client share. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "net/http_client.h"

#define CALL_HEADERS_MAX 128
#define CALL_HEADER_BYTES (64u << 10) /* of one response; a peer that sends more is refused */
#define CALL_BODY_MAX (256u << 20)

enum call_stage { CALL_QUEUED, CALL_SENT, CALL_HEADED /* its response has begun */, CALL_ENDED };

struct http_call {
	struct list link; /* in the client's calls, or waiting */
	struct http_client *client;
	const struct http_call_ops *ops;
	void *ctx;
	enum call_stage stage;
	int status;
	struct timer timer;
	struct arena arena; /* request lines, then response headers */
	const char *method, *path;
	struct str host;
	struct http_header *headers;
	size_t n_headers;
	struct buf body; /* not yet sent */
	size_t body_at;
	bool body_open, has_body;
	struct http_header got[CALL_HEADERS_MAX]; /* response headers, then trailers */
	size_t n_got;
	int32_t stream_id;    /* HTTP/2; -1: not yet sent */
	struct h2_client *h2; /* HTTP/2: the connection it was sent on */
	void *h1;	      /* HTTP/1.1: its connection */
	struct defer reap, fail;
	struct err error;
};

struct h2_client;
struct http_client {
	struct loop *loop;
	struct http_client_config config;
	char *authority, *server_name;
	struct list calls;
	struct h2_client *h2; /* where new calls go; NULL when there is none */
	struct list h2_conns; /* all of them: a server that says GOAWAY still answers old calls */
	struct list idle;     /* HTTP/1.1 connections */
	size_t n_idle, n_calls;
};

/* The transports. A failure of send is told through call_fail_later. */
void h2_call_send(struct http_call *call);
void h2_call_more(struct http_call *call); /* body grew or ended */
void h2_call_cancel(struct http_call *call);
void h2_client_close(struct http_client *c);
void h1_call_send(struct http_call *call);
void h1_call_cancel(struct http_call *call);
void h1_call_want_body(struct http_call *call, bool on);
void h1_client_close(struct http_client *c);

/* Towards the user. The call may be gone after each of them. */
int call_add_header(struct http_call *call, struct str name, struct str value);
void call_headers_done(struct http_call *call);
void call_data(struct http_call *call, struct str bytes);
void call_done(struct http_call *call, const struct err *e);
void call_fail_later(struct http_call *call, const struct err *e);
