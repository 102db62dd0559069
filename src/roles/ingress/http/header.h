/* header.h - header names that the proxy itself knows, found without comparing strings one after another.
 *
 * Names are compared ignoring case everywhere: HTTP/1 ones are passed on as they came, HTTP/2 ones are lower case.
 */
#pragma once

#include "codec/http_header.h"

enum header_id {
	H_OTHER,
	H_HOP,		/* Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade, TE: of one hop (RFC 9110 §7.6.1) */
	H_LENGTH,	/* Content-Length: kept as a number */
	H_HOST,
	H_EXPECT,
	H_PROXY,	/* "Proxy": becomes HTTP_PROXY in CGI programs (httpoxy) */
	H_REQUEST_ID,	/* X-Request-ID */
	H_FORWARDED,	/* X-Real-IP, X-Forwarded-{For,Host,Port,Proto,Scheme}, X-Scheme, X-Original-Forwarded-{For,Host}: written anew */
	H_CONTENT_TYPE,
	H_TE,
	H_UPGRADE,
	H_CONNECTION,
};
enum header_id header_id(struct str name);
