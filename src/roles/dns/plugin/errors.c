/* errors - what failed, in the log; much of the same kind as one line. */
#include "codec/dns_text.h"
#include "roles/dns/plugin/errors.h"
#include "roles/dns/serve/request.h"

#include <pthread.h>
#include <stdio.h>

#define MATCH_STEPS_MAX 10000	/* of one pattern on one line */
#define WRITE_MS 100
#define LINES_PER_S_MAX 20	/* what patterns do not gather: an outage would fill the disk */
#define WAITING_MAX 64		/* lines between two turns of the main thread */
#define LINE_BYTES 1400

extern const struct plugin plugin_errors;

struct line {
	enum log_level level;
	char text[LINE_BYTES];
};
/* Workers write under the lock: failures are rare, and what is many is only counted. */
struct errors_state {
	const struct errors_settings *settings;
	struct loop *loop;
	struct timer timer;
	pthread_mutex_t lock;
	bool awake;			/* the main thread looks every WRITE_MS */
	bool called, ended;		/* on_wake is on its way; it frees what has ended meanwhile */
	uint64_t *count;		/* of each pattern since its period began */
	uint64_t *until_ms;		/* when that ends; main thread; 0: none is running */
	uint64_t more;			/* lines that were not kept */
	size_t n_waiting;
	uint64_t second_ms;
	unsigned in_second;
	struct line waiting[WAITING_MAX];
};

/* ---- worker ---- */
static bool fits(const struct errors_pattern *p, const char *text)
{
	pcre2_match_data *m = pcre2_match_data_create(1, NULL);
	pcre2_match_context *c = pcre2_match_context_create(NULL);

	pcre2_set_match_limit(c, MATCH_STEPS_MAX);
	int n = pcre2_match(p->re, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, m, c);
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

static void state_free(struct errors_state *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->count);
	free(s->until_ms);
	free(s);
}

static void on_wake(void *ctx)
{
	struct errors_state *s = ctx;

	pthread_mutex_lock(&s->lock);
	s->called = false;
	pthread_mutex_unlock(&s->lock);
	if (s->ended)
		state_free(s);
	else
		timer_start(s->loop, &s->timer, WRITE_MS);
}

static void failed(struct errors_state *s, const struct request *r)
{
	enum log_level level = LOG_ERROR;
	bool wake;
	size_t i = 0;

	while (i < s->settings->n && !fits(&s->settings->patterns[i], r->failure))
		i++;
	pthread_mutex_lock(&s->lock);
	wake = !s->awake;
	s->awake = true;
	s->called |= wake;
	if (i < s->settings->n) {
		const struct errors_pattern *p = &s->settings->patterns[i];
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
	const struct errors_pattern *p = &s->settings->patterns[i];
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
			s->until_ms[i] = now + s->settings->patterns[i].period_ms;
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
	s->count = xcalloc(s->settings->n + 1, sizeof(*s->count));
	s->until_ms = xcalloc(s->settings->n + 1, sizeof(*s->until_ms));
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
	s->ended = true;
	if (!s->called)
		state_free(s);
}

static bool touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i;
	(void)zone;
	return false; /* what the zone answers at once does not fail */
}

const struct plugin plugin_errors = {
	.name = "errors",
	.args = "[stdout]",
	.doc = "Writes what failed (an upstream that does not answer, say) into the role's log, at most 20 lines a second.",
	.properties = errors_properties,
	.once = true,
	.parse = errors_parse,
	.free_settings = errors_free,
	.start = start,
	.stop = stop,
	.answer = answer,
	.touches = touches,
};
