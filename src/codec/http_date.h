/* http_date.h - the date of HTTP's headers: "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110, 5.6.7). No I/O. */
#pragma once

#include <time.h>

#define HTTP_DATE_BYTES 30 /* with the final zero */

/* Costs as much as half a request: who needs it often keeps it for the second it is true for. Returns `out`. */
const char *http_date(time_t at, char out[HTTP_DATE_BYTES]);
