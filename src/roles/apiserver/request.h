/* request.h - one request on its way through the server, and the ways it can be answered.
 *
 * A handler gets a request that is authenticated, authorized and negotiated, and answers it exactly
 * once, now or later, with one of the reply functions; the request is gone after that. An answer
 * about stored objects is held back until what it shows is durable.
 */
#pragma once

#include "net/http_server.h"
#include "roles/apiserver/apiserver.h"
#include "roles/apiserver/authz_rbac.h"
#include "roles/apiserver/negotiate.h"
#include "roles/apiserver/request_info.h"

#define REQUEST_HEADERS_MAX 4
struct request {
	struct apiserver *api;
	struct http_exchange *x;
	const struct http_request *http;
	struct arena *arena; /* the exchange's; this struct is in it */
	struct request_info info;
	struct request_options opt;
	struct user user;
	const struct resource *res; /* as asked for; NULL for paths that are no resource's */
	struct table *table;	    /* where its objects are kept; NULL for virtual resources */
	enum form form;
	json_t *warnings; /* an array of texts for Warning headers, or NULL; owned */

	/* An answer that waits for the store. */
	struct store_wait wait;
	int status;
	struct buf body; /* owned */
	const char *content_type;
	struct http_header headers[REQUEST_HEADERS_MAX]; /* the handler's own, for the reply;
							    borrowed until then */
	size_t n_headers;
};

void request_init(struct request *q); /* the parts that replies use; the rest is set by dispatch */
/* Texts for Warning headers: takes over an array of strings (NULL is nothing). */
void request_warn(struct request *q, json_t *texts);
/* A header for the coming reply: strings live until it, names are lower case. */
void reply_header(struct request *q, const char *name, const char *value);
/* 200 or 201 with the object in the negotiated form. Borrows o. */
void reply_object(struct request *q, int status, const struct object *o);
void reply_list(struct request *q, const struct render_list *l);
/* Takes over `v`. */
void reply_json(struct request *q, int status, json_t *v);
/* A Status; takes over `v`. */
void reply_status(struct request *q, json_t *v);
void reply_error(struct request *q, const struct err *e);
/* Takes over the buffer's contents. `content_type` is borrowed for ever. */
void reply_body(struct request *q, int status, const char *content_type, struct buf *body);
void reply_text(struct request *q, int status, const char *text);
/* For handlers that answer the exchange by themselves (streams): releases what the request owns. */
void request_detach(struct request *q);

struct authz_question request_question(const struct request *q);
