/* http1_chars.h - which bytes may stand where in an HTTP/1 message. Private to the codecs. */
#pragma once

#include "base/base.h"

/* RFC 9110 §5.6.2: the lower-case form of a token character; 0 for what is none. */
extern const uint8_t http1_token_lower[256];

/* The first byte that may not stand in a field value (VCHAR, obs-text, blank, tab), or `end`. */
static inline const char *http1_value_end(const char *p, const char *end)
{
	typedef uint8_t v16 __attribute__((vector_size(16), aligned(1), may_alias));
	typedef uint64_t v2 __attribute__((vector_size(16)));

	for (; end - p >= 16; p += 16) {
		v16 v = *(const v16 *)p;
		v2 bad = (v2)((v < 0x20) | (v == 0x7f));

		if (bad[0] | bad[1])
			break;
	}
	for (; p < end; p++) {
		uint8_t c = (uint8_t)*p;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			break;
		/* Tabs stop the wide loop; they are rare enough to go on by bytes. */
	}
	return p;
}
