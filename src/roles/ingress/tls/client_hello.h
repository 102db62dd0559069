/* client_hello.h - what a TLS client says first, read without answering: whom it wants (RFC 8446 section 4.1.2, RFC 6066
 * section 3, RFC 7301).
 *
 * For connections that are passed through unread: everything else is left to OpenSSL, which sees the same bytes again.
 */
#pragma once

#include "base/base.h"

#define CLIENT_HELLO_BYTES_MAX 16384 /* of the message; the largest seen, with post-quantum key shares, have 2 KB */
#define CLIENT_HELLO_NAME_MAX 255
#define CLIENT_HELLO_ALPN_MAX 128

struct client_hello {
	char server_name[CLIENT_HELLO_NAME_MAX + 1]; /* as it came; "": none */
	uint8_t alpn[CLIENT_HELLO_ALPN_MAX];	     /* wire format: length, name, length, name; what fits */
	size_t alpn_len;
};
/* 1: *ret is filled; 0: more bytes are needed; -1: this is no ClientHello, or a broken one. */
int client_hello_parse(const void *bytes, size_t len, struct client_hello *ret) must_check;
