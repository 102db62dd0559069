/* `portico dns top`: what is asked, renewed every few seconds. */
#include "roles/dns/observe/commands.h"

#include "base/screen.h"

#include <stdio.h>
#include <unistd.h>

#define SECONDS_MAX 60 /* as /top takes */

struct top {
	struct dns_command d;
	bool once;
	unsigned seconds;
	struct screen screen;
};
#define line(t, ...) screen_line(&(t)->screen, __VA_ARGS__)
#define BOLD "\033[1m"

static double share(int64_t part, int64_t of)
{
	return of > 0 ? 100.0 * (double)part / (double)of : 0;
}

static void print_shares(struct top *t, const char *label, const json_t *counts, int64_t total)
{
	struct buf b;
	const char *name;
	json_t *v;

	buf_init(&b, 4096);
	json_object_foreach((json_t *)counts, name, v)
		buf_printf(&b, "%s%s %.1f %%", b.len ? ", " : "", name, share(json_integer_value(v), total));
	if (b.len)
		line(t, NULL, "%-10s %s", label, b.ptr);
	buf_done(&b);
}

static void print_head(struct top *t, const json_t *v, double seconds)
{
	int64_t questions = jx_int(v, "questions", 0), nx = jx_int(v, "rcodes.NXDOMAIN", 0);
	char n[16];

	line(t, BOLD, "%s questions/s, %.1f %% NXDOMAIN, %.1f %% without data, %.1f %% over TCP%s", number_scaled((double)questions / seconds, "", n),
	     share(nx, questions), share(jx_int(v, "nodata", 0), questions), share(jx_int(v, "tcp", 0), questions),
	     jx_bool(v, "kernelPaused", false) ? "  (while you look, the kernel answers nothing)" : "");
	print_shares(t, "answered", jx_at(v, "rcodes"), questions);
	print_shares(t, "from", jx_at(v, "sources"), questions);
	if (jx_int(v, "lost", 0) > 0)
		line(t, "\033[33m", "%lld questions are missing in what follows: they came too fast", (long long)jx_int(v, "lost", 0));
	line(t, NULL, "%s", "");
}

static bool print_entry(struct top *t, const json_t *e, double seconds, const char *text)
{
	int64_t count = jx_int(e, "count", 0), denied = jx_int(e, "denied", 0), failed = jx_int(e, "failed", 0);
	char n[16];

	return line(t, failed * 2 > count ? "\033[31m" : denied * 2 > count ? "\033[33m" : NULL, "%8s %7.1f%% %7.1f%%  %s",
		    number_scaled((double)count / seconds, "", n), share(denied, count), share(failed, count), text);
}

static void print_entries(struct top *t, const json_t *list, double seconds, const char *head, int keep)
{
	json_t *e;
	size_t i;

	line(t, BOLD, "%8s %8s %8s  %s", "PER S", "DENIED", "FAILED", head);
	json_array_foreach(list, i, e) {
		const char *pod = jx_str(e, "pod");
		cleanup(freep) char *text = jx_str(e, "name") ? xstrdup(jx_str(e, "name")) :
					    pod ? xasprintf("%s (%s)", pod, jx_str_or(e, "client", "")) : xstrdup(jx_str_or(e, "client", ""));
		if ((t->screen.on && t->screen.lines <= keep) || (!t->screen.on && i == 20) || !print_entry(t, e, seconds, text))
			break;
	}
	line(t, NULL, "%s", "");
}

static void print_upstreams(struct top *t, const json_t *list, double seconds)
{
	json_t *u;
	size_t i;

	if (json_array_size(list))
		line(t, BOLD, "%8s %8s %8s %8s %8s  %s", "PER S", "FAILED", "AVG MS", "P50 MS", "P99 MS", "UPSTREAM");
	json_array_foreach(list, i, u) {
		char n[4][16];
		line(t, jx_int(u, "failed", 0) ? "\033[33m" : NULL, "%8s %7.1f%% %8s %8s %8s  %s",
		     number_scaled((double)jx_int(u, "count", 0) / seconds, "", n[0]), share(jx_int(u, "failed", 0), jx_int(u, "count", 0)),
		     number_ms(json_number_value(jx_at(u, "averageMs")), n[1]), number_ms(json_number_value(jx_at(u, "p50Ms")), n[2]),
		     number_ms(json_number_value(jx_at(u, "p99Ms")), n[3]), jx_str_or(u, "upstream", ""));
	}
}

static void show(struct top *t, const json_t *v)
{
	double seconds = json_number_value(jx_at(v, "seconds"));
	int upstreams;

	if (t->d.json) {
		cleanup(freep) char *text = json_dumps(v, t->once ? JSON_INDENT(2) : JSON_COMPACT);
		puts(text);
		fflush(stdout);
		return;
	}
	screen_frame(&t->screen);
	print_head(t, v, seconds > 0 ? seconds : 1);
	upstreams = (int)MIN(jx_len(v, "upstreams"), 8u) + 1;
	print_entries(t, jx_at(v, "names"), seconds, "NAME", t->screen.on ? (t->screen.lines - upstreams) / 2 + upstreams : 0);
	print_entries(t, jx_at(v, "clients"), seconds, "CLIENT", upstreams + 1);
	print_upstreams(t, jx_at(v, "upstreams"), seconds);
	if (!t->screen.on && !t->once)
		printf("\n");
	screen_frame_end(&t->screen);
}

/* The role collects while we wait for its answer, or for a key. */
static int watch(struct top *t, struct err *e)
{
	cleanup(freep) char *path = xasprintf("/top?seconds=%u", t->seconds);
	bool key = false;

	screen_begin(&t->screen);
	if (t->screen.on) {
		printf("\033[Hcounting for %u s", t->seconds);
		fflush(stdout);
	}
	do {
		json_t *v = dns_command_ask(&t->d, path, (t->seconds + 15) * 1000ull, t->screen.on ? &key : NULL, e);
		if (!v && !key) {
			screen_end(&t->screen);
			return -1;
		}
		if (v)
			show(t, v);
		json_decref(v);
	} while (!t->once && screen_pause(&t->screen, 1));
	screen_end(&t->screen);
	return 0;
}

int dns_top_command(const struct config *c, struct args *a)
{
	struct top t = { .once = args_flag(a, "--once"), .screen = { .colour = screen_colours(STDOUT_FILENO) } };
	struct err e;

	t.seconds = t.once ? 1 : 2;
	if (dns_command_start(&t.d, c, a) < 0 || args_seconds(a, SECONDS_MAX, &t.seconds) < 0 || args_words(a, 0) < 0)
		return 2;
	t.screen.on = !t.once && !t.d.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	return watch(&t, &e) < 0 ? args_failed(&e) : 0;
}
