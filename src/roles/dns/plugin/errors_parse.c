/* errors: its directive. */
#include "roles/dns/plugin/errors.h"

#define PATTERNS_MAX 64		   /* each is tried on every error */
#define REGEXP_BYTES_MAX 10000	   /* CoreDNS' */
#define PERIOD_MAX_MS (24 * 3600000ULL)

const struct plugin_property errors_properties[] = {
	{ "consolidate", "DURATION REGEXP [warning|error|info|debug] [show_first]",
	  "errors that match are counted, and told as one line DURATION after the first of them; show_first tells that one at once" },
	{ "stacktrace", "", "accepted; without effect: nothing is recovered from that would leave a stack" },
	{ NULL },
};

static bool level_of(const char *word, enum log_level *ret)
{
	static const struct {
		const char *word;
		enum log_level level;
	} levels[] = { { "warning", LOG_WARN }, { "error", LOG_ERROR }, { "info", LOG_INFO }, { "debug", LOG_DEBUG } };

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(word, levels[i].word) == 0) {
			*ret = levels[i].level;
			return true;
		}
	return false;
}

/* [LEVEL] [show_first] */
static int read_options(struct errors_pattern *p, const struct corefile_line *l, struct err *e)
{
	size_t i = 3;

	p->level = LOG_ERROR;
	if (i < l->n && level_of(l->words[i], &p->level))
		i++;
	if (i < l->n && strcmp(l->words[i], "show_first") == 0) {
		p->show_first = true;
		i++;
	}
	if (i < l->n)
		return directive_error(e, l, "errors", "'%s' behind the pattern: expected [warning|error|info|debug] [show_first]", l->words[i]);
	return 0;
}

static int read_pattern(struct errors_pattern *p, const struct corefile_line *l, struct err *e)
{
	PCRE2_UCHAR why[128];
	PCRE2_SIZE at;
	int code;

	if (l->n < 3)
		return directive_error(e, l, "errors", "consolidate needs a duration and a pattern: consolidate 5m \"i/o timeout$\" warning");
	if (!directive_duration_ms(l->words[1], PERIOD_MAX_MS, &p->period_ms) || p->period_ms == 0)
		return directive_error(e, l, "errors", "'%s' is no duration up to 24h, such as 5m", l->words[1]);
	p->text = l->words[2];
	if (strlen(p->text) > REGEXP_BYTES_MAX)
		return directive_error(e, l, "errors", "a pattern of more than %u bytes", REGEXP_BYTES_MAX);
	p->re = pcre2_compile((PCRE2_SPTR)p->text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
	if (p->re)
		return read_options(p, l, e);
	pcre2_get_error_message(code, why, sizeof(why));
	return directive_error(e, l, "errors", "pattern '%.200s', at byte %zu: %s", p->text, (size_t)at, (const char *)why);
}

int errors_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct errors_settings *s = *settings = xcalloc(1, sizeof(*s));

	(void)scope;
	if (d->head.n > 2 || (d->head.n == 2 && strcmp(d->head.words[1], "stdout") != 0))
		return directive_error(e, &d->head, "errors", "'%s': errors go to the role's log; only stdout may be written here", d->head.words[1]);
	s->patterns = xcalloc(d->n_body + 1, sizeof(*s->patterns));
	for (size_t i = 0; i < d->n_body; i++) {
		if (strcmp(d->body[i].words[0], "stacktrace") == 0)
			continue;
		if (s->n == PATTERNS_MAX)
			return directive_error(e, &d->body[i], "errors", "more than %u patterns", PATTERNS_MAX);
		if (read_pattern(&s->patterns[s->n++], &d->body[i], e) < 0)
			return -1;
	}
	return 0;
}

void errors_free(void *settings)
{
	struct errors_settings *s = settings;

	for (size_t i = 0; i < s->n; i++)
		pcre2_code_free(s->patterns[i].re);
	free(s->patterns);
	free(s);
}
