/* `portico ingress annotations`: the tables, for people and programs. */
#include "roles/ingress/check/command.h"

#include "codec/jx.h"
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/http/variable.h"

#include <stdio.h>

static const struct {
	const char *prefix, *title, *about;
	const struct field *rows;
} sections[] = {
	{ NGINX_PREFIX, "Annotations of ingress-nginx", "With the prefix `nginx.ingress.kubernetes.io/`.", nginx_annotations },
	{ OUR_PREFIX, "Annotations of portico", "With the prefix `portico.io/`: what ingress-nginx does not have.", our_annotations },
	{ "", "Keys of the ConfigMap",
	  "Of `ingress-nginx/ingress-nginx-controller`, or the one that `--configmap` names. They concern every Ingress.", configmap_fields },
};

static const char snippet_directives[] =
	"add_header NAME VALUE [always];\n"
	"more_set_headers [-s CODES] \"NAME: VALUE\" ...;     more_clear_headers NAME ...;\n"
	"more_set_input_headers \"NAME: VALUE\" ...;          more_clear_input_headers NAME ...;\n"
	"proxy_set_header NAME VALUE;                        proxy_hide_header NAME;\n"
	"set $NAME VALUE;\n"
	"return CODE [TEXT|URL];                             return URL;\n"
	"rewrite REGEX REPLACEMENT [last|break|redirect|permanent];\n"
	"break;\n"
	"allow ADDRESS|CIDR|all;                             deny ADDRESS|CIDR|all;\n"
	"if ($VARIABLE) { ... }                              if ($VARIABLE =|!=|~|~*|!~|!~* VALUE) { ... }\n";

static const char *support(const struct field *f)
{
	return f->type != FIELD_NONE ? "yes" : f->flags & FIELD_SILENT ? "not needed" : "no";
}

/* ---- JSON ---- */

static json_t *row_json(const char *prefix, const struct field *f)
{
	char expects[FIELD_EXPECTS_BYTES];
	cleanup(freep) char *name = xasprintf("%s%s", prefix, f->name);
	json_t *row = json_object();

	jx_set_str(row, "name", name);
	jx_set_str(row, "alias", f->alias);
	jx_set_str(row, "supported", support(f));
	jx_set_str(row, "value", f->type == FIELD_NONE ? NULL : field_expects(f, expects));
	jx_set_str(row, "default", f->fallback);
	jx_set_str(row, "concerns", f->scope);
	jx_set_str(row, "actsIn", f->acts);
	jx_set_str(row, "meaning", f->doc);
	jx_set_str(row, "differs", f->differs);
	jx_set_bool(row, "guards", f->flags & FIELD_GUARDS);
	return row;
}

static void print_json(void)
{
	static const char *const members[] = { "annotations", "annotations", "configMap" };
	json_t *doc = json_object();

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		json_t *list = json_object_get(doc, members[i]);
		if (!list) {
			list = json_array();
			json_object_set_new(doc, members[i], list);
		}
		for (const struct field *f = sections[i].rows; f->name; f++)
			json_array_append_new(list, row_json(sections[i].prefix, f));
	}
	json_dumpf(doc, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(doc);
}

/* ---- Markdown: docs/ingress-annotations.md ---- */

static void cell(const char *text)
{
	for (; text && *text; text++)
		printf(*text == '|' ? "\\|" : *text == '<' ? "&lt;" : *text == '*' ? "\\*" : "%c", *text);
}

static void row_markdown(const struct field *f)
{
	char expects[FIELD_EXPECTS_BYTES];

	printf("| `%s`", f->name);
	if (f->alias)
		printf("<br>`%s`", f->alias);
	printf(" | ");
	cell(f->type == FIELD_NONE ? (f->flags & FIELD_SILENT ? "(not needed)" : "(no effect)") : field_expects(f, expects));
	printf(" | %s%s%s | %s | ", f->fallback ? "`" : "", f->fallback && *f->fallback ? f->fallback : "", f->fallback ? "`" : "", f->scope);
	cell(f->doc);
	if (f->flags & FIELD_GUARDS)
		printf(" A bad value: %s.", f->home == HOME_GLOBALS ? "an empty list" : "503");
	if (f->differs) {
		printf(" Differs: ");
		cell(f->differs);
		putchar('.');
	}
	printf(" |\n");
}

static void print_variables(void)
{
	printf("\n## Variables\n\n| Name | Meaning |\n|---|---|\n| `$1` to `$9` | groups of the regular expression that matched last: the rule's path, or one of a snippet |\n");
	for (const struct variable_doc *d = variable_docs(); d->name; d++) {
		bool family = d->name[strlen(d->name) - 1] == '_';
		printf("| `$%s%s` | ", d->name, family ? "NAME" : "");
		cell(family ? strchr(d->meaning, ':') + 2 : d->meaning);
		printf(" |\n");
	}
}

static void print_markdown(void)
{
	printf("# Annotations and settings of the ingress proxy\n\n"
	       "This page is what `portico ingress annotations --output markdown` prints: the tables that the proxy reads annotations by.\n\n"
	       "A value that cannot be used is told by an event on the Ingress (`AnnotationParsingFailed`), by `portico ingress check` and in\n"
	       "the metrics; the default stays, and nothing else of the Ingress suffers. Where a bad value would let somebody in (\"A bad value:\n"
	       "503\"), every request of the Ingress is answered with 503 instead. What has no effect is accepted with one warning.\n"
	       "Texts in which variables are replaced know nginx's, see [Variables](#variables).\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		printf("\n## %s\n\n%s\n\n| Name | Value | Default | Concerns | Meaning |\n|---|---|---|---|---|\n", sections[i].title, sections[i].about);
		for (const struct field *f = sections[i].rows; f->name; f++)
			row_markdown(f);
	}
	print_variables();
	printf("\n## Snippets\n\n"
	       "With `allow-snippet-annotations: \"true\"`, `configuration-snippet` and `server-snippet` may have these directives of nginx. They are\n"
	       "parsed into a program; anything else is an error that names its line, and a snippet with an error has no effect (503, if it would\n"
	       "have refused something).\n\n```\n%s```\n", snippet_directives);
}

/* ---- text ---- */

static void print_text(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		printf("%s%s%s%s%s\n", i ? "\n" : "", sections[i].title, sections[i].prefix[0] ? " (" : "", sections[i].prefix,
		       sections[i].prefix[0] ? ")" : "");
		for (const struct field *f = sections[i].rows; f->name; f++)
			printf("  %-42s %s%s\n", f->name, f->type == FIELD_NONE && !(f->flags & FIELD_SILENT) ? "(no effect) " : "", f->doc);
	}
}

static void print_one(const char *prefix, const struct field *f)
{
	char expects[FIELD_EXPECTS_BYTES];

	printf("%s%s\n\n%s\n\n", prefix, f->name, f->doc);
	if (f->alias)
		printf("Also       %s%s\n", prefix, f->alias);
	if (f->type != FIELD_NONE)
		printf("Value      %s\nDefault    %s\n", field_expects(f, expects), f->fallback ? f->fallback : "none");
	printf("Supported  %s\nConcerns   %s\nRead by    %s\n", support(f), f->scope, f->acts);
	if (f->flags & FIELD_GUARDS)
		printf("Bad value  %s\n", f->home == HOME_GLOBALS ? "an empty list" : "every request is answered with 503");
	if (f->differs)
		printf("Differs    %s\n", f->differs);
}

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_MARKDOWN };

static int find_and_print(const char *name, enum output output)
{
	bool found = false;
	const char *near = NULL;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		struct str plain = str_of(name);
		size_t len = strlen(sections[i].prefix);
		if (strchr(name, '/') && (len == 0 || strncmp(name, sections[i].prefix, len) != 0))
			continue;
		if (strchr(name, '/'))
			plain = str_of(name + len);
		const struct field *f = field_find(sections[i].rows, plain);
		near = near ? near : field_nearest(sections[i].rows, plain);
		if (!f)
			continue;
		if (output == OUTPUT_JSON) {
			json_t *row = row_json(sections[i].prefix, f);
			json_dumpf(row, stdout, JSON_INDENT(2));
			putchar('\n');
			json_decref(row);
		} else if (output == OUTPUT_MARKDOWN) {
			row_markdown(f);
		} else {
			printf("%s", found ? "\n" : "");
			print_one(sections[i].prefix[0] ? sections[i].prefix : "ConfigMap: ", f);
		}
		found = true;
	}
	if (!found)
		fprintf(stderr, "portico ingress annotations: there is no annotation or setting '%s'%s%s%s\n", name,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return found ? 0 : 1;
}

int annotations_command(const struct config *c, struct args *a)
{
	static const char *const forms[] = { [OUTPUT_TEXT] = "text", [OUTPUT_JSON] = "json", [OUTPUT_MARKDOWN] = "markdown", NULL };
	static void (*const print[])(void) = { [OUTPUT_TEXT] = print_text, [OUTPUT_JSON] = print_json, [OUTPUT_MARKDOWN] = print_markdown };
	int output = args_output(a, forms);

	(void)c;
	if (output < 0 || args_words(a, 1) < 0)
		return 2;
	if (a->argc == 2)
		return find_and_print(a->argv[1], (enum output)output);
	print[output]();
	return 0;
}
