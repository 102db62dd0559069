/* `portico dns plugins`: the table of plug-ins, for people and programs. */
#include "roles/dns/config/command.h"

#include <stdio.h>

/* ---- Markdown: docs/dns-corefile.md ---- */

/* In a table's cell a bar separates. */
static void put_cell(struct buf *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '|')
			buf_putc(out, '\\');
		buf_putc(out, *text);
	}
}

static void put_sentence(struct buf *out, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!len)
		return;
	buf_putc(out, *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text);
	put_cell(out, text + 1);
	if (text[len - 1] != '.')
		buf_putc(out, '.');
}

static void put_plugin(struct buf *out, const struct plugin *p)
{
	buf_printf(out, "\n### %s\n\n`%s%s%s`\n\n", p->name, p->name, p->args && *p->args ? " " : "", p->args ? p->args : "");
	put_sentence(out, p->doc);
	buf_puts(out, "\n");
	if (p->properties && p->properties->name)
		buf_puts(out, "\n| In braces | Meaning |\n|---|---|\n");
	for (const struct plugin_property *q = p->properties; q && q->name; q++) {
		buf_puts(out, "| `");
		put_cell(out, q->name);
		buf_puts(out, q->args && *q->args ? " " : "");
		put_cell(out, q->args);
		buf_puts(out, "` | ");
		put_sentence(out, q->doc);
		buf_puts(out, " |\n");
	}
}

static const char before[] =
	"# The Corefile\n"
	"\n"
	"This page is what `portico dns plugins --output markdown` prints: the tables that a Corefile is read by.\n"
	"\n"
	"portico reads CoreDNS' Corefiles as they are. `portico dns check FILE` says how one is read, or what is wrong with it and where.\n"
	"\n"
	"## Syntax\n"
	"\n"
	"```\n"
	"# a comment\n"
	"(common) {                          a snippet: its lines stand wherever it is imported\n"
	"    errors\n"
	"    cache 30\n"
	"}\n"
	"a.org, b.org:1053 10.0.0.0/8 {      a server block, for these zones; a network stands for its reverse zones\n"
	"    import common\n"
	"    import custom/*.override        files, relative to this one; a pattern may match none\n"
	"    forward . {$UPSTREAM:9.9.9.9} { a variable of the environment, or what is behind the colon\n"
	"        max_concurrent 1000         a property of the plug-in\n"
	"    }\n"
	"}\n"
	"tls://.:853 {\n"
	"    tls cert.pem key.pem\n"
	"    forward . \"tls://9.9.9.9\"       a quoted word; \\\" is a quote in it\n"
	"}\n"
	"c.org { forward . 1.1.1.1 }         a block of one line\n"
	"```\n"
	"\n"
	"- A question is answered by the block with the longest zone that it is in, among those of the port and the transport (`dns://`, which is also without\n"
	"  one, or `tls://`) it came by. No block: REFUSED. Two blocks may not have the same zone and port, also if they `bind` different addresses.\n"
	"- Within a block questions pass the plug-ins in the order of the list below, whatever their order in the file; answers pass back in reverse.\n"
	"- `import NAME WORDS…` replaces `{args[0]}`, `{args[1]}` … in what is imported. What is imported may import: 50 deep, 10,000 times in all.\n"
	"- Durations are Go's: `5s`, `1h30m`, `300ms`; a bare number is seconds.\n"
	"- Limits: 1 MiB for a file, 256 blocks, 4,096 zones, 32 plug-ins in a block, 4,096 words in a line, 200,000 words in all.\n"
	"- What is accepted without effect says so below, and `portico dns check` warns of it. Any other plug-in, or property, is an error with its line.\n"
	"\n"
	"## Plug-ins\n";

void dns_plugins_markdown(struct buf *out)
{
	buf_puts(out, before);
	for (size_t i = 0; dns_plugins[i]; i++)
		put_plugin(out, dns_plugins[i]);
}

/* ---- JSON ---- */

static json_t *plugins_json(void)
{
	json_t *all = json_array();

	for (size_t i = 0; dns_plugins[i]; i++) {
		const struct plugin *p = dns_plugins[i];
		json_t *one = json_object(), *properties = json_array();
		jx_set_str(one, "name", p->name);
		jx_set_str(one, "arguments", p->args);
		jx_set_str(one, "meaning", p->doc);
		for (const struct plugin_property *q = p->properties; q && q->name; q++) {
			json_t *row = json_object();
			jx_set_str(row, "name", q->name);
			jx_set_str(row, "arguments", q->args);
			jx_set_str(row, "meaning", q->doc);
			json_array_append_new(properties, row);
		}
		jx_set(one, "properties", properties);
		json_array_append_new(all, one);
	}
	return all;
}

/* ---- text ---- */

#define WIDTH 110

/* Broken at spaces, each line behind `indent` blanks. */
static void print_wrapped(const char *text, int indent)
{
	int column = 0;

	while (text && *text) {
		size_t len = strcspn(text, " ");
		if (!column || column + 1 + (int)len > WIDTH) {
			printf("%s%*s", column ? "\n" : "", indent, "");
			column = indent;
		} else {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)len, text);
		column += (int)len;
		text += len + strspn(text + len, " ");
	}
	putchar('\n');
}

static void print_plugin(const struct plugin *p, bool all)
{
	printf("%s%s%s\n", p->name, p->args && *p->args ? " " : "", p->args ? p->args : "");
	print_wrapped(p->doc, 4);
	for (const struct plugin_property *q = p->properties; all && q && q->name; q++) {
		printf("\n  %s%s%s\n", q->name, q->args && *q->args ? " " : "", q->args ? q->args : "");
		print_wrapped(q->doc, 6);
	}
}

static int print_text(const char *name)
{
	const struct plugin *one = name ? plugin_find(name) : NULL;

	if (one)
		print_plugin(one, true);
	else if (name)
		fprintf(stderr, "portico dns plugins: there is no plug-in '%s'; `portico dns plugins` lists them.\n", name);
	for (size_t i = 0; !name && dns_plugins[i]; i++)
		print_plugin(dns_plugins[i], false);
	return name && !one ? 1 : 0;
}

static int print_json(void)
{
	json_t *all = plugins_json();

	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	return 0;
}

#define PAGE_BYTES_MAX (1u << 20)

static int print_markdown(void)
{
	struct buf page;

	buf_init(&page, PAGE_BYTES_MAX);
	dns_plugins_markdown(&page);
	fwrite(page.ptr, 1, page.len, stdout);
	buf_done(&page);
	return 0;
}

int dns_plugins_command(const struct config *c, struct args *a)
{
	static const char *const forms[] = { "text", "json", "markdown", NULL };
	int form = args_output(a, forms);

	(void)c;
	if (form < 0 || args_words(a, form == 0 ? 1 : 0) < 0)
		return 2;
	return form == 1 ? print_json() : form == 2 ? print_markdown() : print_text(a->argc == 2 ? a->argv[1] : NULL);
}
