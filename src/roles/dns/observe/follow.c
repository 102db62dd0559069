/* /log: questions as they are answered, until the reader goes. */
#include "roles/dns/observe/admin_int.h"
#include "roles/dns/observe/event.h"
#include "roles/dns/observe/name_pattern.h"
#include "roles/dns/observe/pods.h"

#include "codec/dns_text.h"

#include <stdio.h>

#define FOLLOWERS_MAX 16
#define WAITING_BYTES_MAX (1u << 20) /* of a reader that is slow; then lines are left out */
#define TURN_BYTES_MAX (1u << 20)

struct follower {
	struct dns_shared *shared;
	struct http_exchange *x;
	struct watch_tap tap;
	char *name, *client; /* NULL: all */
	int rcode;	     /* -1: all */
	uint64_t left_out, told_lost;
	struct buf lines;
};
static unsigned n_followers;

static bool wanted(const struct follower *f, const struct dns_event *e, const char *pod)
{
	char text[DNS_NAME_TEXT_BYTES + 1];

	if (f->rcode >= 0 && e->rcode != f->rcode)
		return false;
	if (f->client && !c_eq(f->client, event_addr_text(&e->client, text)) && !c_eq(f->client, pod))
		return false;
	return !f->name || name_pattern_fits(f->name, event_name_text(&e->name, text));
}

static void on_event(void *ctx, const struct dns_event *e)
{
	struct follower *f = ctx;
	const char *pod = watch_pods_find(&e->client);
	size_t before = f->lines.len;

	if (!wanted(f, e, pod))
		return;
	event_put_json(&f->lines, e, pod);
	if (!f->lines.overflow)
		return;
	f->lines.overflow = false;
	f->lines.len = before;
	f->left_out++;
}

static void on_drained(void *ctx)
{
	struct follower *f = ctx;
	uint64_t lost = dns_watch_lost(f->shared->watch);

	f->left_out += lost - f->told_lost;
	f->told_lost = lost;
	if (f->lines.len == 0 && !f->left_out)
		return;
	if (http_reply_pending(f->x) > WAITING_BYTES_MAX) {
		for (size_t i = 0; i < f->lines.len; i++)
			f->left_out += f->lines.ptr[i] == '\n';
		buf_clear(&f->lines);
		return;
	}
	if (f->lines.len)
		http_reply_write(f->x, buf_str(&f->lines));
	buf_clear(&f->lines);
	if (!f->left_out)
		return;
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"leftOut\":%llu}\n", (unsigned long long)f->left_out);
	http_reply_write(f->x, (struct str){ text, (size_t)n });
	f->left_out = 0;
}

static void on_closed(void *ctx)
{
	struct follower *f = ctx;

	dns_watch_remove(f->shared->watch, &f->tap);
	watch_pods_release();
	buf_done(&f->lines);
	free(f->name);
	free(f->client);
	free(f);
	n_followers--;
}

void admin_log(struct dns_shared *s, struct http_exchange *x)
{
	static const struct http_header headers[] = { { STR("content-type"), STR("application/x-ndjson") },
						      { STR("cache-control"), STR("no-store") } };
	const struct http_request *q = http_request_of(x);
	const char *rcode = http_query_get(q->query, "rcode", http_arena(x)), *name = http_query_get(q->query, "name", http_arena(x));
	uint16_t code = 0;
	char first[64];

	if (rcode && !dns_rcode_from_text(str_of(rcode), &code)) {
		admin_reply_text(x, 400, "rcode is a name such as NXDOMAIN, or a number");
		return;
	}
	if (name && strlen(name) > NAME_PATTERN_BYTES_MAX) {
		admin_reply_text(x, 400, "name is a pattern as *.example.com, of at most 255 characters");
		return;
	}
	if (n_followers == FOLLOWERS_MAX) {
		admin_reply_text(x, 503, "as many follow the log as may: 16");
		return;
	}
	n_followers++;
	struct follower *f = xcalloc(1, sizeof(*f));
	*f = (struct follower){ .shared = s, .x = x, .rcode = rcode ? code : -1, .told_lost = dns_watch_lost(s->watch) };
	f->name = xstrdup(name);
	f->client = xstrdup(http_query_get(q->query, "client", http_arena(x)));
	f->tap = (struct watch_tap){ .event = on_event, .drained = on_drained, .ctx = f };
	buf_init(&f->lines, TURN_BYTES_MAX);
	watch_pods_hold(s);
	dns_watch_add(s->watch, &f->tap);
	http_on_closed(x, on_closed, f);
	http_reply_start(x, 200, headers, ARRAY_LEN(headers));
	int n = snprintf(first, sizeof(first), "{\"started\":true,\"kernelPaused\":%s}\n", s->kernel ? "true" : "false");
	http_reply_write(x, (struct str){ first, (size_t)n });
}
