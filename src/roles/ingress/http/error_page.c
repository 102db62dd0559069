#include "roles/ingress/http/exchange_int.h"

#include "net/http.h"

#include <stdio.h>

/* nginx's words, where they differ from the RFC's; some kinds of 400 have numbers of their own inside. */
static const struct words {
	int status, sent;
	const char *reason, *title, *detail;
} all_words[] = {
	{ 302, 302, "Found", NULL, NULL },
	{ 308, 308, "Permanent Redirect", NULL, NULL },
	{ 401, 401, "Authorization Required", NULL, NULL },
	{ 405, 405, "Not Allowed", NULL, NULL },
	{ 408, 408, "Request Time-out", NULL, NULL },
	{ 413, 413, "Request Entity Too Large", NULL, NULL },
	{ 414, 414, "Request-URI Too Large", NULL, NULL },
	{ 431, 400, "Bad Request", "Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large" },
	{ 495, 400, "Bad Request", "The SSL certificate error", "The SSL certificate error" },
	{ 496, 400, "Bad Request", "No required SSL certificate was sent", "No required SSL certificate was sent" },
	{ 497, 400, "Bad Request", "The plain HTTP request was sent to HTTPS port",
	  "The plain HTTP request was sent to HTTPS port" },
	{ 503, 503, "Service Temporarily Unavailable", NULL, NULL },
	{ 504, 504, "Gateway Time-out", NULL, NULL },
};

static struct words words_of(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(all_words); i++)
		if (all_words[i].status == status)
			return all_words[i];
	return (struct words){ status, status, http_status_text(status), NULL, NULL };
}

const char *status_text(int status)
{
	const char *text = words_of(status).reason;

	return text ? text : "";
}

void error_page_of(struct exchange *x, int status, struct error_page *ret)
{
	const struct words w = words_of(status);
	const char *title = w.title ? w.title : w.reason;

	ret->status = w.sent;
	ret->body = x_printf(x,
			     "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n<center><h1>%d %s</h1></center>\r\n"
			     "%s%s%s<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
			     w.sent, title, w.sent, w.reason, w.detail ? "<center>" : "", w.detail ? w.detail : "",
			     w.detail ? "</center>\r\n" : "");
}
