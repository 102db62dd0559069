#include "codec/jx.h"
#include "roles/node/cri_spec.h"
#include "roles/node/kubelet_server.h"
#include "roles/node/log_line.h"
#include "roles/node/log_reader.h"
#include "roles/node/pods.h"

#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#define PENDING_MAX_BYTES (256u << 10) /* queued for a slow client: reading waits */
#define TURN_MAX_BYTES (256u << 10)    /* read in one go, then others get their turn */
#define POLL_MS 1000 /* a container's end and a rotated file are noticed at the latest then */

struct log_stream {
	struct node *node;
	struct http_exchange *x;
	struct log_reader reader;
	char *ns, *pod, *ctr, *id; /* looked up anew each time: pods come and go */
	char *path;
	struct io watch;
	struct timer timer;
};

static void stream_free(struct log_stream *s)
{
	io_stop(&s->watch);
	if (s->watch.fd >= 0)
		close(s->watch.fd);
	timer_stop(&s->timer);
	log_reader_done(&s->reader);
	free(s->ns);
	free(s->pod);
	free(s->ctr);
	free(s->id);
	free(s->path);
	free(s);
}

static void on_client_gone(void *ctx)
{
	stream_free(ctx);
}

static void stream_end(struct log_stream *s)
{
	struct http_exchange *x = s->x;

	http_on_closed(x, NULL, NULL);
	http_reply_on_drained(x, NULL, NULL);
	stream_free(s);
	http_reply_end(x);
}

static bool still_runs(const struct log_stream *s)
{
	const struct pod *p = pods_find(s->node, s->ns, s->pod);

	for (size_t i = 0; p && i < p->n_ctrs; i++)
		if (c_eq(p->ctrs[i].name, s->ctr))
			return p->ctrs[i].state == CTR_RUNNING && c_eq(p->ctrs[i].id, s->id);
	return false;
}

/* True when there may be more to read at once. */
static bool pump_some(struct log_stream *s, bool *ret_over)
{
	struct buf out;
	enum log_more more = LOG_MORE;

	buf_init(&out, TURN_MAX_BYTES * 2);
	while (more == LOG_MORE && out.len < TURN_MAX_BYTES)
		more = log_reader_next(&s->reader, &out);
	if (out.len)
		http_reply_write(s->x, buf_str(&out));
	buf_done(&out);
	*ret_over = more == LOG_LIMIT;
	return more == LOG_MORE;
}

/* The log was rotated: what is left of the old file has been read. */
static void follow_rotation(struct log_stream *s)
{
	struct log_options rest = s->reader.options;
	struct log_reader fresh;
	struct err e;

	if (access(s->path, F_OK) == -1)
		return;
	cleanup(freep) char *self = xasprintf("/proc/self/fd/%d", s->reader.fd);
	char now[PATH_MAX];
	ssize_t n = readlink(self, now, sizeof(now) - 1);
	now[MAX(n, 0)] = '\0';
	rest.tail_lines = -1;
	if (c_eq(now, s->path) || log_reader_open(&fresh, s->path, &rest, &e) < 0)
		return;
	fresh.left_bytes = s->reader.left_bytes;
	log_reader_done(&s->reader);
	s->reader = fresh;
	inotify_add_watch(s->watch.fd, s->path, IN_MODIFY);
}

static void pump(struct log_stream *s)
{
	bool running = s->reader.options.follow && still_runs(s), over = false;

	while (http_reply_pending(s->x) < PENDING_MAX_BYTES && !over)
		if (!pump_some(s, &over)) {
			/* Whether it ran was asked before the reading: nothing written since is
			 * missed. */
			over = over || !running;
			break;
		}
	if (over)
		stream_end(s);
}

static void on_drained(void *ctx)
{
	pump(ctx);
}

static void on_modified(struct io *io, uint32_t events)
{
	char ignored[4096];

	(void)events;
	while (read(io->fd, ignored, sizeof(ignored)) > 0)
		continue;
	pump(io->ctx);
}

static void on_poll(struct timer *t)
{
	struct log_stream *s = t->ctx;

	timer_start(s->node->loop, &s->timer, POLL_MS);
	follow_rotation(s);
	pump(s);
}

static int watch(struct log_stream *s, struct err *e)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	s->watch = (struct io){ .fd = fd, .ready = on_modified, .ctx = s };
	if (fd == -1 || inotify_add_watch(fd, s->path, IN_MODIFY) == -1)
		return err_errno(e, errno, "watch '%s'", s->path);
	timer_start(s->node->loop, &s->timer, POLL_MS);
	return io_watch(s->node->loop, &s->watch, EPOLLIN, e);
}

static const char *query(struct http_exchange *x, const char *name)
{
	const char *v = http_query_get(http_request_of(x)->query, name, http_arena(x));

	return v ? v : "";
}

static int64_t number(struct http_exchange *x, const char *name, int64_t fallback)
{
	uint64_t v;

	return str_to_u64(str_of(query(x, name)), INT64_MAX, &v) ? (int64_t)v : fallback;
}

static struct log_options options_of(struct http_exchange *x)
{
	int64_t seconds = number(x, "sinceSeconds", -1);
	struct log_options o = {
		.follow = c_eq(query(x, "follow"), "true"),
		.previous = c_eq(query(x, "previous"), "true"),
		.timestamps = c_eq(query(x, "timestamps"), "true"),
		.tail_lines = number(x, "tailLines", -1),
		.limit_bytes = number(x, "limitBytes", -1),
	};

	if (seconds >= 0)
		o.since_unix_ns = (wall_now_ms() - seconds * 1000) * 1000000;
	else if (log_time_parse(str_of(query(x, "sinceTime")), &o.since_unix_ns) < 0)
		o.since_unix_ns = 0;
	return o;
}

/* Which run's log is meant; -1 when there is none, and the client has been told. */
static int64_t choose_attempt(struct http_exchange *x, const struct ctr *c, bool previous)
{
	bool has_current = c->state != CTR_NONE;

	if (previous && c->last.id)
		return (int64_t)c->attempt - 1;
	if (previous)
		kubelet_reply(x, 400,
			      "previous terminated container \"%s\" in pod \"%s\" not found",
			      c->name, c->pod->name);
	else if (has_current)
		return c->attempt;
	else if (c->last.id)
		return (int64_t)c->attempt - 1;
	else
		kubelet_reply(x, 400, "container \"%s\" in pod \"%s\" is waiting to start: %s",
			      c->name, c->pod->name,
			      c->waiting_reason ? c->waiting_reason : "ContainerCreating");
	return -1;
}

void kubelet_logs(struct node *n, struct http_exchange *x, struct str rest)
{
	const struct http_header type = { STR("content-type"), STR("text/plain") };
	struct ctr *c = kubelet_find_ctr(n, x, rest);
	struct log_options o = options_of(x);
	int64_t attempt = c ? choose_attempt(x, c, o.previous) : -1;
	struct err e;

	if (attempt < 0)
		return;
	struct log_stream *s = xcalloc(1, sizeof(*s));
	*s = (struct log_stream){ .node = n,
				  .x = x,
				  .ns = xstrdup(c->pod->ns),
				  .pod = xstrdup(c->pod->name),
				  .ctr = xstrdup(c->name),
				  .id = xstrdup(c->id),
				  .path = ctr_log_path(c, (unsigned)attempt),
				  .watch = { .fd = -1 },
				  .timer = { .fire = on_poll, .ctx = s },
				  .reader = { .fd = -1 } };
	o.follow = o.follow && !o.previous;
	if (log_reader_open(&s->reader, s->path, &o, &e) < 0 || (o.follow && watch(s, &e) < 0)) {
		stream_free(s);
		kubelet_reply(x, 500, "%s", e.message);
		return;
	}
	http_on_closed(x, on_client_gone, s);
	http_reply_on_drained(x, on_drained, s);
	http_reply_start(x, 200, &type, 1);
	pump(s);
}
