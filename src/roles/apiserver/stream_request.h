/* stream_request.h - what a client asks of exec, attach and portforward, and what the kubelet is
 * asked then. */
#pragma once

#include "net/http.h"
#include "roles/apiserver/stream.h"

struct stream_options {
	bool in, out, err, tty; /* err is never set beside tty: a terminal has one output */
};

/* How the client and we talk. */
enum stream_dialect {
	STREAM_SPDY,		/* raw SPDY/3.1, passed through */
	STREAM_TUNNEL,		/* SPDY/3.1 inside WebSocket messages */
	STREAM_CHANNELS,	/* binary messages, the first byte is the channel */
	STREAM_CHANNELS_BASE64, /* text messages: a digit, then base64 */
};

struct stream_protocol {
	enum stream_dialect dialect;
	struct str subprotocol; /* Sec-WebSocket-Protocol of the answer, borrowed from the request;
				   may be empty */
	bool json_status; /* channel 3 carries a Status (v4 and later) instead of a sentence */
	bool half_close;  /* channel 255 closes a channel (v5) */
};

/* -1 with ERR_BAD_REQUEST when the request is no upgrade, or to something that this kind does not
 * speak. */
int stream_protocol_choose(enum stream_kind kind, const struct http_request *r,
			   struct stream_protocol *ret, struct err *e) must_check;

/* A boolean parameter as apimachinery's conversion reads it: absent, "0" and "false" are false. */
int stream_options_parse(struct str query, struct arena *a, struct stream_options *ret,
			 struct err *e) must_check;

/* Path and query on the kubelet: "/exec/NS/POD/CONTAINER?command=…&input=1&output=1". NULL at the
 * arena's limit. */
const char *stream_kubelet_path(const struct stream_target *t, struct str query,
				const struct stream_options *o, struct arena *a);
