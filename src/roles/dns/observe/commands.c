#include "roles/dns/observe/commands.h"

#include "net/http_ask.h"

#include <stdio.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (64u << 20)

/* ---- arguments ---- */
static void drop(int *argc, char **argv, int at, int n)
{
	memmove(&argv[at], &argv[at + n], (size_t)(*argc - at - n + 1) * sizeof(*argv));
	*argc -= n;
}

int dns_command_usage(const struct dns_command *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "portico dns %s: ", d->name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; see `portico dns %s --help`\n", d->name);
	va_end(ap);
	return 2;
}

int dns_command_fail(const struct err *e)
{
	fprintf(stderr, "portico: %s\n", e->message);
	return 1;
}

bool dns_command_flag(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], name) == 0) {
			drop(argc, argv, i, 1);
			return true;
		}
	return false;
}

int dns_command_option(const struct dns_command *d, int *argc, char **argv, const char *name, const char **ret)
{
	size_t len = strlen(name);

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], name, len) != 0 || (argv[i][len] && argv[i][len] != '='))
			continue;
		if (argv[i][len]) {
			*ret = argv[i] + len + 1;
			drop(argc, argv, i, 1);
			return 0;
		}
		if (i + 1 == *argc) {
			dns_command_usage(d, "%s needs a value", name);
			return -1;
		}
		*ret = argv[i + 1];
		drop(argc, argv, i, 2);
		return 0;
	}
	return 0;
}

int dns_command_start(struct dns_command *d, const char *name, const struct config *c, int *argc, char **argv)
{
	const char *output = "text";

	*d = (struct dns_command){ .name = name, .config = c, .server = c->dns_admin_address };
	if (dns_command_option(d, argc, argv, "--server", &d->server) < 0 || dns_command_option(d, argc, argv, "--output", &output) < 0 ||
	    dns_command_option(d, argc, argv, "-o", &output) < 0)
		return -1;
	d->json = strcmp(output, "json") == 0;
	if (d->json || strcmp(output, "text") == 0)
		return 0;
	dns_command_usage(d, "--output is text or json, not '%s'", output);
	return -1;
}

bool dns_command_colours(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && *no);
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
