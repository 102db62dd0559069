/* log - a line for each question, as CoreDNS' plug-in of that name writes it. */
#include "roles/dns/observe/log_rule.h"
#include "roles/dns/observe/log_sink.h"
#include "roles/dns/plugin/plugin.h"

extern const struct plugin plugin_log;

static int parse_classes(const struct directive *d, unsigned *ret, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bits;
	} classes[] = { { "success", EVENT_SUCCESS }, { "denial", EVENT_DENIAL }, { "error", EVENT_ERROR }, { "all", EVENT_ALL } };

	*ret = 0;
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *l = &d->body[i];
		if (l->n < 2)
			return directive_error(e, l, "log", "class which? success, denial, error or all");
		for (size_t w = 1; w < l->n; w++) {
			unsigned bits = 0;
			for (size_t c = 0; c < ARRAY_LEN(classes); c++)
				bits |= c_eq(classes[c].name, l->words[w]) ? classes[c].bits : 0;
			if (!bits)
				return directive_error(e, l, "log", "class is success, denial, error or all, not '%s'", l->words[w]);
			*ret |= bits;
		}
	}
	if (d->n_body == 0)
		*ret = EVENT_ALL;
	return 0;
}

static int add_rule(const struct directive *d, struct log_rules *r, const char *name, unsigned classes, struct err *e)
{
	struct log_rule *rule = &r->at[r->n];

	if (r->n == LOG_RULES_MAX)
		return directive_error(e, &d->head, "log", "more than %d names in one block", LOG_RULES_MAX);
	*rule = (struct log_rule){ .classes = classes, .format = r->formats[r->n_formats - 1] };
	if (c_eq(name, "."))
		rule->zone = (struct dns_name){ .len = 1 };
	else if (!dns_name_from_text(str_of(name), &rule->zone))
		return directive_error(e, &d->head, "log", "'%s' is no domain name; a format has a placeholder such as {name} in it", name);
	r->n++;
	return 0;
}

static int parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct log_rules *r = *settings ? *settings : xcalloc(1, sizeof(*r));
	size_t n = d->head.n;
	const char *format = LOG_COMMON;
	struct err why;
	unsigned classes;

	(void)scope;
	*settings = r;
	if (parse_classes(d, &classes, e) < 0)
		return -1;
	/* As with CoreDNS, a format is only looked for behind a name. */
	if (n > 2 && strchr(d->head.words[n - 1], '{'))
		format = d->head.words[--n];
	if (r->n_formats == LOG_RULES_MAX)
		return directive_error(e, &d->head, "log", "more than %d directives in one block", LOG_RULES_MAX);
	r->formats[r->n_formats] = log_format_new(format, &why);
	if (!r->formats[r->n_formats++])
		return directive_error(e, &d->head, "log", "%s", why.message);
	if (n == 1)
		return add_rule(d, r, ".", classes, e);
	for (size_t i = 1; i < n; i++)
		if (add_rule(d, r, d->head.words[i], classes, e) < 0)
			return -1;
	return 0;
}

static void free_settings(void *settings)
{
	struct log_rules *r = settings;

	for (size_t i = 0; r && i < r->n_formats; i++)
		log_format_free(r->formats[i]);
	free(r);
}

static int start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	if (log_sink_use(s, e) < 0)
		return -1;
	i->started = i;
	return 0;
}

static void stop(struct plugin_instance *i, struct dns_shared *s)
{
	(void)i;
	log_sink_leave(s);
}

/* It sees what was answered where answers are counted, whichever way they went. */
static bool touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i;
	(void)zone;
	return false;
}

static const struct plugin_property properties[] = {
	{ "class", "CLASS...", "only answers of these classes: success, denial (NXDOMAIN, or no data of the type), error, all [all]" },
	{ 0 },
};

const struct plugin plugin_log = {
	.name = "log",
	.args = "[NAME...] [FORMAT]",
	.doc = "Writes a line for each question about these names (all) to standard output, in CoreDNS' common format or in FORMAT: "
	       "{remote} {port} {type} {class} {name} {proto} {size} {rcode} {rsize} {duration} {>id} {>opcode} {>do} {>bufsize} "
	       "{>rflags} {/log/class} {/log/type}, {common}, {combined}; {local} and other metadata are \"-\". "
	       "The first directive whose name fits decides. Lines are dropped, and counted, rather than to make askers wait. "
	       "The kernel answers nothing while it is there.",
	.properties = properties,
	.more = true,
	.parse = parse,
	.free_settings = free_settings,
	.start = start,
	.stop = stop,
	.touches = touches,
};
