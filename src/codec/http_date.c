#include "codec/http_date.h"

#define YEAR_MAX_S 253402300799 /* the last second of 9999: the format has four digits */

const char *http_date(time_t at, char out[HTTP_DATE_BYTES])
{
	struct tm tm;

	at = at < 0 ? 0 : at > YEAR_MAX_S ? YEAR_MAX_S : at;
	gmtime_r(&at, &tm);
	strftime(out, HTTP_DATE_BYTES, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	return out;
}
