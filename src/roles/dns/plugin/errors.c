/* errors - what failed, in the log; much of the same kind as one line. */
#include "base/log.h"
#include "codec/dns_text.h"
#include "roles/dns/serve/request.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>

#define PATTERNS_MAX 32
#define PATTERN_BYTES_MAX 10000 /* CoreDNS' limit */
#define PERIOD_MAX_MS (24ull * 3600 * 1000)
#define MATCH_STEPS_MAX 10000	/* of one pattern on one line */
#define WRITE_MS 100
#define LINES_PER_S_MAX 20	/* what patterns do not gather: an outage would fill the disk */
#define WAITING_MAX 64		/* lines between two turns of the main thread */
#define LINE_BYTES 1400

extern const struct plugin plugin_errors;

struct pattern {
	char *text;
	pcre2_code *code;
	uint64_t period_ms;
	enum log_level level;
	bool show_first;
};
struct errors {
	size_t n;
	struct pattern at[PATTERNS_MAX];
};

struct line {
	enum log_level level;
	char text[LINE_BYTES];
};
/* Workers write under the lock: failures are rare, and what is many is only counted. */
struct errors_state {
	const struct errors *settings;
	struct loop *loop;
	struct timer timer;
	pthread_mutex_t lock;
	bool awake;			/* the main thread looks every WRITE_MS */
	uint64_t count[PATTERNS_MAX];	/* since the period began */
	uint64_t until_ms[PATTERNS_MAX]; /* when it ends; main thread; 0: none is running */
	uint64_t more;			/* lines that were not kept */
	size_t n_waiting;
	uint64_t second_ms;
	unsigned in_second;
	struct line waiting[WAITING_MAX];
};

/* ---- reading ---- */
static int parse_options(const struct corefile_line *l, struct pattern *p, struct err *e)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = { { "error", LOG_ERROR }, { "warning", LOG_WARN }, { "info", LOG_INFO }, { "debug", LOG_DEBUG } };

	p->level = LOG_ERROR;
	for (size_t w = 3; w < l->n; w++) {
		size_t i = 0;
		while (i < ARRAY_LEN(levels) && !c_eq(l->words[w], levels[i].name))
			i++;
		if (i < ARRAY_LEN(levels) && w == 3)
			p->level = levels[i].level;
		else if (c_eq(l->words[w], "show_first") && w == l->n - 1)
			p->show_first = true;
		else
			return directive_error(e, l, "errors", "behind the pattern come error, warning, info or debug, then show_first; not '%s'",
					       l->words[w]);
	}
	return 0;
}

static int parse_consolidate(const struct corefile_line *l, struct errors *s, struct err *e)
{
	struct pattern *p = &s->at[s->n];
	PCRE2_SIZE at;
	int why;

	if (l->n < 3 || l->n > 5)
		return directive_error(e, l, "errors", "consolidate takes a duration and a regular expression, as in: consolidate 5m \".* timeout$\"");
	if (s->n == PATTERNS_MAX)
		return directive_error(e, l, "errors", "more than %d consolidate", PATTERNS_MAX);
	if (!directive_duration_ms(l->words[1], PERIOD_MAX_MS, &p->period_ms) || p->period_ms == 0)
		return directive_error(e, l, "errors", "'%s' is no duration such as 30s or 5m, at most 24h", l->words[1]);
	if (strlen(l->words[2]) > PATTERN_BYTES_MAX)
		return directive_error(e, l, "errors", "the expression has more than %d bytes", PATTERN_BYTES_MAX);
	if (parse_options(l, p, e) < 0)
		return -1;
	p->code = pcre2_compile((PCRE2_SPTR)l->words[2], PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &why, &at, NULL);
	if (!p->code) {
		char text[128];
		pcre2_get_error_message(why, (PCRE2_UCHAR *)text, sizeof(text));
		return directive_error(e, l, "errors", "the expression '%s' at %zu: %s", l->words[2], (size_t)at, text);
	}
	p->text = xstrdup(l->words[2]);
	s->n++;
	return 0;
}

static int parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct errors *s = *settings = xcalloc(1, sizeof(*s));

	(void)scope;
	if (d->head.n > 2 || (d->head.n == 2 && !c_eq(d->head.words[1], "stdout")))
		return directive_error(e, &d->head, "errors", "takes nothing, or stdout; not '%s'", d->head.words[d->head.n - 1]);
	for (size_t i = 0; i < d->n_body; i++)
		if (c_eq(d->body[i].words[0], "consolidate") && parse_consolidate(&d->body[i], s, e) < 0)
			return -1;
	return 0;
}

static void free_settings(void *settings)
{
	struct errors *s = settings;

	for (size_t i = 0; s && i < s->n; i++) {
		pcre2_code_free(s->at[i].code);
		free(s->at[i].text);
	}
	free(s);
}

/* ---- worker ---- */
static bool fits(const struct pattern *p, const char *text)
{
	pcre2_match_data *m = pcre2_match_data_create(1, NULL);
	pcre2_match_context *c = pcre2_match_context_create(NULL);

	pcre2_set_match_limit(c, MATCH_STEPS_MAX);
	int n = pcre2_match(p->code, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, m, c);
	pcre2_match_context_free(c);
	pcre2_match_data_free(m);
	return n >= 0;
}

static void keep_line(struct errors_state *s, enum log_level level, const struct request *r)
{
	char name[DNS_NAME_TEXT_BYTES], type[DNS_TEXT_TYPE_BYTES];
	struct line *l;

	if (s->n_waiting == WAITING_MAX) {
		s->more++;
		return;
	}
	l = &s->waiting[s->n_waiting++];
	l->level = level;
	snprintf(l->text, sizeof(l->text), "plugin/errors: %u %s %s: %s", r->answer.bytes[3] & DNS_FLAGS_RCODE,
		 dns_name_text(&r->asked.name, name), dns_type_text(r->asked.type, type), r->failure);
}

static void on_wake(void *ctx)
{
	struct errors_state *s = ctx;

	timer_start(s->loop, &s->timer, WRITE_MS);
}

static void failed(struct errors_state *s, const struct request *r)
{
	enum log_level level = LOG_ERROR;
	bool wake;
	size_t i = 0;

	while (i < s->settings->n && !fits(&s->settings->at[i], r->failure))
		i++;
	pthread_mutex_lock(&s->lock);
	wake = !s->awake;
	s->awake = true;
	if (i < s->settings->n) {
		const struct pattern *p = &s->settings->at[i];
		level = p->level;
		if (s->count[i]++ > 0 || !p->show_first)
			goto done;
	}
	keep_line(s, level, r);
done:
	pthread_mutex_unlock(&s->lock);
	if (wake)
		loop_post(s->loop, on_wake, s);
}

static enum plugin_verdict answer(struct request *r, struct plugin_instance *i)
{
	if (r->failure[0] && r->answer.len >= DNS_HEADER_BYTES && !r->parent)
		failed(i->started, r);
	return PLUGIN_NEXT;
}

/* ---- main thread ---- */
static void tell_count(struct errors_state *s, size_t i)
{
	const struct pattern *p = &s->settings->at[i];
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count[i];
	s->count[i] = 0;
	pthread_mutex_unlock(&s->lock);
	s->until_ms[i] = 0;
	if (n > 1 || (n == 1 && !p->show_first))
		log_write(p->level, "plugin/errors: %llu errors like '%s' occurred in last %llu s", (unsigned long long)n, p->text,
			  (unsigned long long)(p->period_ms + 999) / 1000);
}

/* Whether a period goes on. */
static bool tell_counts(struct errors_state *s, bool all)
{
	uint64_t now = loop_now_ms(s->loop);
	bool goes_on = false;

	for (size_t i = 0; i < s->settings->n; i++) {
		pthread_mutex_lock(&s->lock);
		bool any = s->count[i] > 0;
		pthread_mutex_unlock(&s->lock);
		if (any && s->until_ms[i] == 0)
			s->until_ms[i] = now + s->settings->at[i].period_ms;
		if (s->until_ms[i] && (all || now >= s->until_ms[i]))
			tell_count(s, i);
		goes_on |= s->until_ms[i] > 0;
	}
	return goes_on;
}

static void tell_lines(struct errors_state *s)
{
	uint64_t now = loop_now_ms(s->loop);

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_waiting; i++)
		if (s->in_second < LINES_PER_S_MAX) {
			s->in_second++;
			log_write(s->waiting[i].level, "%s", s->waiting[i].text);
		} else {
			s->more++;
		}
	s->n_waiting = 0;
	if (now >= s->second_ms + 1000) {
		if (s->more)
			log_error("plugin/errors: %llu more errors in the last second", (unsigned long long)s->more);
		s->second_ms = now;
		s->in_second = 0;
		s->more = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

static void on_timer(struct timer *t)
{
	struct errors_state *s = t->ctx;

	tell_lines(s);
	bool goes_on = tell_counts(s, false);
	pthread_mutex_lock(&s->lock);
	s->awake = goes_on || s->n_waiting || s->in_second || s->more;
	goes_on = s->awake;
	pthread_mutex_unlock(&s->lock);
	if (goes_on)
		timer_start(s->loop, t, WRITE_MS);
}

static int start(struct plugin_instance *i, struct dns_shared *shared, struct err *e)
{
	struct errors_state *s = xcalloc(1, sizeof(*s));

	(void)e;
	s->settings = i->settings;
	s->loop = shared->main_loop;
	pthread_mutex_init(&s->lock, NULL);
	s->timer = (struct timer){ .fire = on_timer, .ctx = s };
	i->started = s;
	return 0;
}

static void stop(struct plugin_instance *i, struct dns_shared *shared)
{
	struct errors_state *s = i->started;

	(void)shared;
	timer_stop(&s->timer);
	tell_lines(s);
	tell_counts(s, true);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i;
	(void)zone;
	return false; /* what the zone answers at once does not fail */
}

static const struct plugin_property properties[] = {
	{ "consolidate", "DURATION REGEXP [error|warning|info|debug] [show_first]",
	  "errors whose text matches are counted, and told in one line when DURATION has passed; the first one at once with show_first" },
	{ "stacktrace", "", "accepted; there is no panic to show the stack of" },
	{ 0 },
};

const struct plugin plugin_errors = {
	.name = "errors",
	.args = "[stdout]",
	.doc = "Writes what failed (an upstream that does not answer, say) into the role's log, at most 20 lines a second.",
	.properties = properties,
	.once = true,
	.parse = parse,
	.free_settings = free_settings,
	.start = start,
	.stop = stop,
	.answer = answer,
	.touches = touches,
};
