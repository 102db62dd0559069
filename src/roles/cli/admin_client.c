#include "roles/cli/admin_client.h"

#include "net/http_ask.h"

#include <stdio.h>

#define ANSWER_MS 15000
#define ANSWER_BYTES_MAX (64u << 20) /* TOP_BYTES_MAX of the proxy */

void admin_encode(struct buf *out, const char *value)
{
	http_ask_encode(out, value);
}

static json_t *parse(const struct config *c, int status, const struct buf *body, struct err *e)
{
	if (status < 0) {
		err_wrap(e, "the ingress proxy does not answer on %s", c->ingress_admin_address);
		size_t n = strlen(e->message);
		snprintf(e->message + n, sizeof(e->message) - n,
			 "; is it running (`portico status`)? Another address is given with --ingress-admin-address");
		return NULL;
	}
	if (status != 200) {
		err_set(e, err_reason_of_http(status), "%.*s", (int)MIN(body->len, 400u), body->ptr ? body->ptr : "");
		return NULL;
	}
	return jx_parse(buf_str(body), ANSWER_BYTES_MAX, e);
}

json_t *admin_ask(const struct config *c, const char *path, struct err *e)
{
	struct buf body;
	struct addr to;

	if (http_ask_address(c->ingress_admin_address, "--ingress-admin-address", &to, e) < 0)
		return NULL;
	buf_init(&body, ANSWER_BYTES_MAX);
	json_t *doc = parse(c, http_ask(&to, path, ANSWER_MS, &body, e), &body, e);
	buf_done(&body);
	return doc;
}
