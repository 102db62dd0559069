#include "roles/cli/command.h"

#include "base/screen.h"
#include "roles/cli/admin_client.h"
#include "roles/cli/top_sample.h"

#include <stdio.h>
#include <unistd.h>

#define SECONDS_MAX 3600

struct top {
	const struct config *config;
	bool json, once;
	unsigned seconds;
	struct screen screen;
};

/* ---- the picture ---- */
#define line(t, ...) screen_line(&(t)->screen, __VA_ARGS__)

static const char *colour_of(const struct top_rate *r)
{
	if (r->class_per_s[5] > 0)
		return "\033[31m";
	return r->class_per_s[4] > r->per_s / 2 ? "\033[33m" : NULL;
}

static bool print_rate(struct top *t, const char *name, const struct top_rate *r)
{
	char n[10][16];

	return line(t, colour_of(r), "%8s %8s %7s %7s %7s %8s %8s %8s %8s  %s", number_scaled(r->per_s, "", n[0]),
		    number_scaled(r->class_per_s[2], "", n[1]), number_scaled(r->class_per_s[3], "", n[2]), number_scaled(r->class_per_s[4], "", n[3]),
		    number_scaled(r->class_per_s[5], "", n[4]), number_ms(r->p50_ms, n[5]), number_ms(r->p99_ms, n[6]), number_scaled(r->in_per_s, "B", n[7]),
		    number_scaled(r->out_per_s, "B", n[8]), name);
}

static void print_routes(struct top *t, const struct top_sample *s)
{
	/* On a screen the endpoints get their part of it. */
	int keep = t->screen.on ? MIN((int)s->n_endpoints + 3, t->screen.lines / 2) : 0;

	line(t, "\033[1m", "%8s %8s %7s %7s %7s %8s %8s %8s %8s  %s", "REQ/S", "2XX", "3XX", "4XX", "5XX", "P50 MS", "P99 MS", "IN/S",
	     "OUT/S", "ROUTE");
	print_rate(t, "all", &s->all);
	for (size_t i = 0; i < s->n_routes && (!t->screen.on || t->screen.lines > keep); i++) {
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

	line(t, colour, "%8s %8s %9lld %8s  %-9s  %-21s %s %s", number_scaled(e->per_s, "", n[0]), number_scaled(e->errors_per_s, "", n[1]),
	     (long long)e->in_flight, e->average_ms > 0 ? number_ms(e->average_ms, n[2]) : "-", state, e->address, e->backend, e->pod);
}

static void print_sample(struct top *t, const struct top_sample *s)
{
	char n[3][16], reused[32] = "";

	if (s->reused >= 0)
		snprintf(reused, sizeof(reused), ", %.0f %% on kept connections", s->reused * 100);
	line(t, NULL, "connections %lld (%lld waiting), %s new/s; upstream %s retries/s, %s ejections/s%s", (long long)s->active,
	     (long long)s->waiting, number_scaled(s->accepted_per_s, "", n[0]), number_scaled(s->retries_per_s, "", n[1]),
	     number_scaled(s->ejections_per_s, "", n[2]), reused);
	line(t, NULL, "%s", "");
	print_routes(t, s);
	line(t, NULL, "%s", "");
	line(t, "\033[1m", "%8s %8s %9s %8s  %-9s  %-21s %s", "REQ/S", "ERRORS/S", "IN FLIGHT", "AVG MS", "STATE", "ENDPOINT", "SERVICE");
	for (size_t i = 0; i < s->n_endpoints && (!t->screen.on || t->screen.lines > 1); i++)
		print_endpoint(t, &s->endpoints[i]);
}

static void show(struct top *t, const struct top_sample *s)
{
	screen_frame(&t->screen);
	if (t->json) {
		cleanup(json_decrefp) json_t *v = top_sample_json(s);
		cleanup(freep) char *text = json_dumps(v, t->once ? JSON_INDENT(2) : JSON_COMPACT);
		puts(text);
	} else {
		print_sample(t, s);
		if (!t->screen.on && !t->once)
			printf("\n");
	}
	screen_frame_end(&t->screen);
}

static int watch(struct top *t, struct err *e)
{
	json_t *before = admin_ask(t->config, "/top", e);

	if (!before)
		return -1;
	screen_begin(&t->screen);
	while (screen_pause(&t->screen, t->seconds * 1000)) {
		struct top_sample s;
		json_t *now = admin_ask(t->config, "/top", e);
		if (!now) {
			json_decref(before);
			screen_end(&t->screen);
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
	screen_end(&t->screen);
	return 0;
}

static int run(struct config *c, struct args *a)
{
	struct top t = { .config = c, .once = args_flag(a, "--once"), .screen = { .colour = screen_colours(STDOUT_FILENO) } };
	struct err e;

	t.seconds = t.once ? 1 : 2;
	if (args_json(a, &t.json) < 0 || args_seconds(a, SECONDS_MAX, &t.seconds) < 0 || args_words(a, 1) < 0)
		return 2;
	if (a->argc < 2)
		return args_usage(a, "of what? There is `portico top ingress`");
	if (strcmp(a->argv[1], "ingress") != 0)
		return args_usage(a, "unknown argument '%s'", a->argv[1]);
	t.screen.on = !t.once && !t.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	return watch(&t, &e) < 0 ? args_failed(&e) : 0;
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
