/* admin_int.h - the parts of the admin address that are more than one answer. Main thread. */
#pragma once

#include "net/http_server.h"
#include "roles/dns/observe/admin.h"
#include "roles/dns/observe/watch.h"

void admin_reply(struct http_exchange *x, int status, const char *type, struct str body);
void admin_reply_text(struct http_exchange *x, int status, const char *text);

/* They answer by themselves, later; `dns_shared` outlives them. */
void admin_query(struct dns_shared *s, struct http_exchange *x);
void admin_log(struct dns_shared *s, struct http_exchange *x);
void admin_top(struct dns_shared *s, struct http_exchange *x);
