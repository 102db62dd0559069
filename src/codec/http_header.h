/* http_header.h - a list of HTTP header fields, whatever the version on the wire. */
#pragma once

#include "base/base.h"

struct http_header {
	struct str name, value;
};
struct http_headers {
	const struct http_header *at;
	size_t n;
};
