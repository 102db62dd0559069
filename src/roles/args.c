#include "roles/args.h"

#include <stdio.h>

int args_usage(const struct args *a, const char *fmt, ...)
{
	cleanup(freep) char *name = xasprintf("%s%s%s", a->role ? a->role : "", a->role ? " " : "", a->argv[0]);
	va_list ap;

	fprintf(stderr, "portico %s: ", name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nUsage: portico %s%s%s [settings]; `portico %s --help` tells more.\n", name, a->usage[0] ? " " : "", a->usage, name);
	return 2;
}

int args_failed(const struct err *e)
{
	fprintf(stderr, "portico: %s\n", e->message);
	return 1;
}

static void drop(struct args *a, int at, int n)
{
	memmove(&a->argv[at], &a->argv[at + n], (size_t)(a->argc - at - n + 1) * sizeof(*a->argv));
	a->argc -= n;
}

bool args_flag(struct args *a, const char *name)
{
	bool found = false;

	for (int i = a->argc - 1; i > 0; i--)
		if (strcmp(a->argv[i], name) == 0) {
			drop(a, i, 1);
			found = true;
		}
	return found;
}

int args_value(struct args *a, const char *name, const char *letter, const char **ret)
{
	size_t n = strlen(name);

	for (int i = 1; i < a->argc;) {
		const char *word = a->argv[i];
		if (strncmp(word, name, n) == 0 && word[n] == '=') {
			*ret = word + n + 1;
			drop(a, i, 1);
		} else if (strcmp(word, name) != 0 && (!letter || strcmp(word, letter) != 0)) {
			i++;
		} else if (i + 1 == a->argc) {
			args_usage(a, "%s needs a value", word);
			return -1;
		} else {
			*ret = a->argv[i + 1];
			drop(a, i, 2);
		}
	}
	return 0;
}

/* "text, json or markdown" */
static char *forms_text(const char *const *forms)
{
	char *text = xstrdup(forms[0]);

	for (size_t i = 1; forms[i]; i++) {
		cleanup(freep) char *before = text;
		text = xasprintf("%s%s%s", before, forms[i + 1] ? ", " : " or ", forms[i]);
	}
	return text;
}

int args_output(struct args *a, const char *const *forms)
{
	const char *value = forms[0];

	if (args_value(a, "--output", "-o", &value) < 0)
		return -1;
	for (int i = 0; forms[i]; i++)
		if (strcmp(value, forms[i]) == 0)
			return i;
	cleanup(freep) char *all = forms_text(forms);
	args_usage(a, "--output is %s, not '%s'", all, value);
	return -1;
}

int args_json(struct args *a, bool *ret_json)
{
	static const char *const forms[] = { "text", "json", NULL };
	int form = args_output(a, forms);

	*ret_json = form == 1;
	return form < 0 ? -1 : 0;
}

int args_seconds(struct args *a, unsigned most, unsigned *ret)
{
	const char *text = NULL;
	uint64_t n;

	if (args_value(a, "-n", NULL, &text) < 0)
		return -1;
	if (!text)
		return 0;
	if (!str_to_u64(str_of(text), most, &n) || n == 0) {
		args_usage(a, "-n takes seconds from 1 to %u, not '%s'", most, text);
		return -1;
	}
	*ret = (unsigned)n;
	return 0;
}

int args_words(const struct args *a, int most)
{
	for (int i = 1; i < a->argc; i++)
		if (i > most || (a->argv[i][0] == '-' && a->argv[i][1])) {
			args_usage(a, "unknown argument '%s'", a->argv[i]);
			return -1;
		}
	return 0;
}
