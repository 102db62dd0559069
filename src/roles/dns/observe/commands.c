#include "roles/dns/observe/commands.h"

#include "net/http_ask.h"

#include <unistd.h>

#define ANSWER_BYTES_MAX (64u << 20)

int dns_command_start(struct dns_command *d, const struct config *c, struct args *a)
{
	*d = (struct dns_command){ .server = c->dns_admin_address };
	return args_value(a, "--server", NULL, &d->server) < 0 || args_json(a, &d->json) < 0 ? -1 : 0;
}

/* ---- asking ---- */
void dns_command_parameter(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "%c%s=", memchr(path->ptr, '?', path->len) ? '&' : '?', name);
	http_ask_encode(path, value);
}

static void nobody(const struct dns_command *d, struct err *e)
{
	err_wrap(e, "the DNS role does not answer on %s", d->server);
	size_t n = strlen(e->message);
	snprintf(e->message + n, sizeof(e->message) - n, "; is it running (`portico status`)? Another address is given with --server");
}

json_t *dns_command_ask(const struct dns_command *d, const char *path, uint64_t timeout_ms, bool *ret_key, struct err *e)
{
	struct buf body;
	struct addr to;
	json_t *doc = NULL;

	if (http_ask_address(d->server, "--server", &to, e) < 0)
		return NULL;
	buf_init(&body, ANSWER_BYTES_MAX);
	int status = http_ask_until(&to, path, timeout_ms, ret_key ? STDIN_FILENO : -1, &body, e);
	if (ret_key)
		*ret_key = status == 0;
	if (status < 0)
		nobody(d, e);
	else if (status != 0 && status != 200)
		err_set(e, err_reason_of_http(status), "%.*s", (int)MIN(body.len, 400u), body.ptr ? body.ptr : "");
	else if (status == 200)
		doc = jx_parse(buf_str(&body), ANSWER_BYTES_MAX, e);
	buf_done(&body);
	return doc;
}

int dns_command_follow(const struct dns_command *d, const char *path, bool (*line)(void *ctx, struct str line), void *ctx,
		       struct err *e)
{
	struct addr to;

	if (http_ask_address(d->server, "--server", &to, e) < 0)
		return -1;
	int status = http_ask_lines(&to, path, line, ctx, e);
	if (status < 0)
		nobody(d, e);
	return status == 200 ? 0 : -1;
}
