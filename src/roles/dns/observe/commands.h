/* commands.h - `portico dns query|log|top`: what a person asks of a running role, over its admin address.
 */
#pragma once

#include "base/buf.h"
#include "codec/jx.h"
#include "roles/role.h"

int dns_query_command(const struct config *c, struct args *a);
int dns_log_command(const struct config *c, struct args *a);
int dns_top_command(const struct config *c, struct args *a);

/* For the role's `commands`. */
#define DNS_OBSERVE_COMMANDS                                                                                                    \
	{ "query", "NAME [TYPE] [--from POD|NAMESPACE/POD|IP] [--server ADDRESS:PORT] [--output text|json]",                    \
	  "Shows how an answer comes about.",                                                                                   \
	  "The names that a pod's resolver tries (--from: its search list and ndots, as the node agent writes them), for each\n" \
	  "which server block and zone took it, what the plug-ins did, where the answer came from and how long that took; then\n" \
	  "what the program in the pod gets, and what could be better. Without --from the name is asked as it stands.\n\n"      \
	  "TYPE is A if not given. --server is the admin address of the instance that is asked [--dns-admin-address].\n\n"      \
	  "Exit status: 0 there is such a record, 1 there is none, or nobody answers.",                                         \
	  dns_query_command },                                                                                                  \
	{ "log", "[--name GLOB] [--client IP|NAMESPACE/POD] [--rcode CODE] [--server ADDRESS:PORT] [--output text|json]",       \
	  "Follows questions as they are answered.",                                                                            \
	  "Each line: when, who (the pod, when the API server tells), what was asked, the answer's code, where it came from\n"  \
	  "(zone, cache, an upstream), how long it took. Only those that fit all that is given: --name '*.example.com',\n"      \
	  "--client 10.244.0.7 or default/web-0, --rcode NXDOMAIN. While somebody looks, the kernel answers nothing, so that\n" \
	  "every question is seen.",                                                                                            \
	  dns_log_command },                                                                                                    \
	{ "top", "[--once] [-n SECONDS] [--server ADDRESS:PORT] [--output text|json]",                                          \
	  "Watches what is asked: questions a second, names, clients, upstreams.",                                              \
	  "The names and clients that come most often, with the share that has no answer, where answers come from, and how\n"   \
	  "long upstreams take. On a terminal the picture is renewed until q is pressed; elsewhere one follows the other.\n\n"  \
	  "  --once      one picture, then end\n"                                                                               \
	  "  -n SECONDS  that a picture is about [2; 1 with --once]",                                                           \
	  dns_top_command }

/* ---- shared by them ---- */

struct dns_command {
	const char *server; /* whom to ask: --server, else the setting */
	bool json;
};
/* Takes --server and --output out of the arguments. -1 after a message. */
int dns_command_start(struct dns_command *d, const struct config *c, struct args *a) must_check;
/* As http_ask_until, with the body as JSON; NULL with an error that says what to do, or (ret_key not NULL) with *ret_key when
 * a key was pressed. */
json_t *dns_command_ask(const struct dns_command *d, const char *path, uint64_t timeout_ms, bool *ret_key, struct err *e) must_check;
/* The same for what goes on. -1 with an error. */
int dns_command_follow(const struct dns_command *d, const char *path, bool (*line)(void *ctx, struct str line), void *ctx,
		       struct err *e) must_check;
/* "&name=value", percent-encoded; nothing for NULL. */
void dns_command_parameter(struct buf *path, const char *name, const char *value);
