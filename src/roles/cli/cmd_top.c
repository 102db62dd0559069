#include "roles/cli/command.h"

#include "roles/cli/admin_client.h"
#include "roles/cli/top_sample.h"

#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MAX 3600

struct top {
	const struct config *config;
	bool json, once, screen, colour;
	unsigned seconds;
	int columns, lines; /* of the terminal; lines 0: as many as there are */
	struct termios before;
};

/* ---- numbers as people read them ---- */
static const char *scaled(double v, const char *unit, char out[16])
{
	static const char steps[] = " kMGT";
	size_t i = 0;

	for (; v >= 9999.5 && i < 4; i++)
		v /= 1000;
	if (i == 0)
		snprintf(out, 16, v >= 99.95 || v == 0 ? "%.0f%s" : "%.1f%s", v, unit);
	else
		snprintf(out, 16, "%.0f%c%s", v, steps[i], unit);
	return out;
}

static const char *ms(double v, char out[16])
{
	if (v < 0)
		return "-";
	snprintf(out, 16, v < 10 ? "%.2f" : v < 100 ? "%.1f" : "%.0f", v);
	return out;
}

/* ---- the picture ---- */
/* A line at most as wide as the terminal; returns false when the screen is full. */
static bool line(struct top *t, const char *colour, const char *fmt, ...) printf_like(3, 4);
static bool line(struct top *t, const char *colour, const char *fmt, ...)
{
	va_list ap;

	if (t->screen && t->lines <= 1)
		return false;
	t->lines--;
	va_start(ap, fmt);
	cleanup(freep) char *text = NULL;
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	/* Names come from the cluster: a terminal must not obey them. */
	for (int i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			text[i] = '?';
	bool paint = colour && t->colour;
	printf("%s%.*s%s%s\n", paint ? colour : "", t->columns, text ? text : "", paint ? "\033[0m" : "", t->screen ? "\033[K" : "");
	return true;
}

static const char *colour_of(const struct top_rate *r)
{
	if (r->class_per_s[5] > 0)
		return "\033[31m";
	return r->class_per_s[4] > r->per_s / 2 ? "\033[33m" : NULL;
}

static bool print_rate(struct top *t, const char *name, const struct top_rate *r)
{
	char n[10][16];

	return line(t, colour_of(r), "%8s %8s %7s %7s %7s %8s %8s %8s %8s  %s", scaled(r->per_s, "", n[0]),
		    scaled(r->class_per_s[2], "", n[1]), scaled(r->class_per_s[3], "", n[2]), scaled(r->class_per_s[4], "", n[3]),
		    scaled(r->class_per_s[5], "", n[4]), ms(r->p50_ms, n[5]), ms(r->p99_ms, n[6]), scaled(r->in_per_s, "B", n[7]),
		    scaled(r->out_per_s, "B", n[8]), name);
}

static void print_routes(struct top *t, const struct top_sample *s)
{
	/* On a screen the endpoints get their part of it. */
	int keep = t->screen ? MIN((int)s->n_endpoints + 3, t->lines / 2) : 0;

	line(t, "\033[1m", "%8s %8s %7s %7s %7s %8s %8s %8s %8s  %s", "REQ/S", "2XX", "3XX", "4XX", "5XX", "P50 MS", "P99 MS", "IN/S",
	     "OUT/S", "ROUTE");
	print_rate(t, "all", &s->all);
	for (size_t i = 0; i < s->n_routes && (!t->screen || t->lines > keep); i++) {
		const struct top_rate *r = &s->routes[i];
		cleanup(freep) char *name =
			r->ingress[0] ? xasprintf("%s%s  (%s/%s)", r->host[0] ? r->host : "*", r->path, r->ns, r->ingress) :
					xstrdup("no Ingress");
		if (!print_rate(t, name, r))
			return;
	}
}

static void print_endpoint(struct top *t, const struct top_endpoint *e)
{
	const char *state = e->ejected_ms ? "ejected" : e->draining ? "draining" : e->health;
	const char *colour = e->ejected_ms || c_eq(e->health, "unhealthy") ? "\033[31m" : e->draining ? "\033[33m" : NULL;
	char n[3][16];

	line(t, colour, "%8s %8s %9lld %8s  %-9s  %-21s %s %s", scaled(e->per_s, "", n[0]), scaled(e->errors_per_s, "", n[1]),
	     (long long)e->in_flight, e->average_ms > 0 ? ms(e->average_ms, n[2]) : "-", state, e->address, e->backend, e->pod);
}

static void print_sample(struct top *t, const struct top_sample *s)
{
	char n[3][16], reused[32] = "";

	if (s->reused >= 0)
		snprintf(reused, sizeof(reused), ", %.0f %% on kept connections", s->reused * 100);
	line(t, NULL, "connections %lld (%lld waiting), %s new/s; upstream %s retries/s, %s ejections/s%s", (long long)s->active,
	     (long long)s->waiting, scaled(s->accepted_per_s, "", n[0]), scaled(s->retries_per_s, "", n[1]),
	     scaled(s->ejections_per_s, "", n[2]), reused);
	line(t, NULL, "%s", "");
	print_routes(t, s);
	line(t, NULL, "%s", "");
	line(t, "\033[1m", "%8s %8s %9s %8s  %-9s  %-21s %s", "REQ/S", "ERRORS/S", "IN FLIGHT", "AVG MS", "STATE", "ENDPOINT", "SERVICE");
	for (size_t i = 0; i < s->n_endpoints && (!t->screen || t->lines > 1); i++)
		print_endpoint(t, &s->endpoints[i]);
}

static void show(struct top *t, const struct top_sample *s)
{
	struct winsize w;

	t->columns = t->lines = 1 << 20;
	if (t->screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0) {
		t->columns = w.ws_col;
		t->lines = w.ws_row;
	}
	if (t->json) {
		cleanup(json_decrefp) json_t *v = top_sample_json(s);
		cleanup(freep) char *text = json_dumps(v, t->once ? JSON_INDENT(2) : JSON_COMPACT);
		puts(text);
	} else {
		if (t->screen)
			printf("\033[H");
		print_sample(t, s);
		if (t->screen)
			printf("\033[J");
		else if (!t->once)
			printf("\n");
	}
	fflush(stdout);
}

/* ---- the keyboard ---- */
static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

static void screen_begin(struct top *t)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &t->before) == -1) {
		t->screen = false;
		return;
	}
	raw = t->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	printf("\033[?1049h\033[?25l\033[2J");
}

static void screen_end(struct top *t)
{
	if (!t->screen)
		return;
	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* False: q, or a signal. */
static bool pause_for(struct top *t)
{
	uint64_t until = now_ms() + t->seconds * 1000ull, now;
	struct pollfd p = { .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN };

	while (!interrupted && (now = now_ms()) < until) {
		char key = 0;
		if (poll(&p, 1, (int)(until - now)) != 1)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			p.fd = -1;
		if (key == 'q' || key == 'Q' || key == 3)
			return false;
	}
	return !interrupted;
}

static int watch(struct top *t, struct err *e)
{
	json_t *before = admin_ask(t->config, "/top", e);

	if (!before)
		return -1;
	if (t->screen)
		screen_begin(t);
	while (pause_for(t)) {
		struct top_sample s;
		json_t *now = admin_ask(t->config, "/top", e);
		if (!now) {
			json_decref(before);
			screen_end(t);
			return -1;
		}
		top_sample_init(&s, before, now);
		show(t, &s);
		json_decref(before);
		before = json_incref(now);
		top_sample_done(&s);
		if (t->once)
			break;
	}
	json_decref(before);
	screen_end(t);
	return 0;
}

static int take_seconds(int *argc, char **argv, unsigned *ret)
{
	uint64_t n;

	for (int i = 1; i + 1 < *argc; i++) {
		if (strcmp(argv[i], "-n") != 0)
			continue;
		if (!str_to_u64(str_of(argv[i + 1]), SECONDS_MAX, &n) || n == 0)
			return usage_error(&command_top, "-n takes seconds from 1 to %d, not '%s'", SECONDS_MAX, argv[i + 1]);
		*ret = (unsigned)n;
		memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		*argc -= 2;
		return 0;
	}
	return 0;
}

static int run(struct config *c, int argc, char **argv)
{
	struct top t = { .config = c, .seconds = 2, .colour = colours_wanted(STDOUT_FILENO) };
	struct err e;

	if (take_output(&command_top, &argc, argv, &t.json) < 0)
		return 2;
	t.once = take_flag(&argc, argv, "--once");
	if (t.once)
		t.seconds = 1;
	if (take_seconds(&argc, argv, &t.seconds) != 0)
		return 2;
	if (argc != 2 || strcmp(argv[1], "ingress") != 0)
		return usage_error(&command_top, argc < 2 ? "of what? There is `portico top ingress`" : "unknown argument '%s'",
				   argv[argc - 1]);
	t.screen = !t.once && !t.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	return watch(&t, &e) < 0 ? fail(&e) : 0;
}

const struct command command_top = {
	"top", "ingress [--once] [-n SECONDS] [--output text|json]", "Watch the ingress proxy: requests, latency, endpoints.",
	"For each route: requests a second, by class of status, the median and 99th percentile of their duration, bytes; for each\n"
	"endpoint: requests, errors, what is in flight, average duration, health. The busiest first. On a terminal the picture is\n"
	"renewed until q is pressed; elsewhere one follows the other, as text or one JSON document a line.\n\n"
	"  --once      one picture, then end\n"
	"  -n SECONDS  between two pictures [2; 1 with --once]",
	run,
};
