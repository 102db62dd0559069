/* `portico dns query`: how an answer came about, for people. */
#include "roles/dns/observe/commands.h"

#include "base/screen.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#define ANSWER_MS 120000 /* 65 names, each with its upstreams' patience */
#define PATH_BYTES_MAX (32u << 10)

static bool colour;

/* Names and notes come from the cluster and from elsewhere: a terminal must not obey them. */
static void put(const char *escape, const char *fmt, ...) printf_like(2, 3);
static void put(const char *escape, const char *fmt, ...)
{
	cleanup(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = xstrdup("");
	va_end(ap);
	for (char *tab = text; (tab = strchr(tab, '\t')); tab++) /* of records */
		*tab = ' ';
	screen_harmless(text);
	printf("%s%s%s\n", colour && escape ? escape : "", text, colour && escape ? "\033[0m" : "");
}

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"

static void print_list(const json_t *list, const char *label, char sep)
{
	struct buf b;
	json_t *v;
	size_t i;

	buf_init(&b, 64u << 10);
	json_array_foreach(list, i, v)
		buf_printf(&b, "%s%s", i ? (sep == ' ' ? " " : ", ") : "", json_string_value(v));
	if (b.len)
		put(NULL, "            %s %s", label, b.ptr);
	buf_done(&b);
}

static void print_from(const json_t *doc)
{
	const json_t *from = jx_at(doc, "from");

	if (!from)
		return;
	put(BOLD, "From        pod %s (%s), dnsPolicy %s", jx_str_or(from, "pod", ""), jx_str_or(from, "ip", "no address yet"),
	    jx_str_or(from, "dnsPolicy", ""));
	print_list(jx_at(from, "resolvConf.nameservers"), "nameserver", ' ');
	print_list(jx_at(from, "resolvConf.search"), "search", ' ');
	print_list(jx_at(from, "resolvConf.options"), "options", ' ');
}

static const char *outcome_colour(const json_t *n)
{
	const char *kind = jx_str_or(n, "kind", "");

	if (c_eq(kind, "NOERROR") && jx_len(n, "answer"))
		return GREEN;
	return c_eq(kind, "NXDOMAIN") || c_eq(kind, "NODATA") || c_eq(kind, "NOERROR") ? YELLOW : RED;
}

static void print_name(const json_t *n, size_t number)
{
	const char *kind = jx_str_or(n, "kind", ""), *source = jx_str_or(n, "source", "");
	const char *who = c_eq(source, "plug-in") ? jx_str(n, "plugin") : jx_str(n, "upstream");
	json_t *v;
	size_t i;

	put(BOLD, "%zu. %s", number, jx_str_or(n, "name", ""));
	if (jx_str(n, "server"))
		put(NULL, "   block     %s %s", jx_str_or(n, "server", ""), jx_str_or(n, "zone", ""));
	json_array_foreach(jx_at(n, "notes"), i, v)
		put(DIM, "   %s %s", i ? "         " : "steps    ", json_string_value(v));
	if (!source[0] || c_eq(source, "none"))
		put(outcome_colour(n), "   answer    %s", jx_str_or(n, "rcode", "none"));
	else
		put(outcome_colour(n), "   answer    %s%s from %s%s%s, %.2f ms", jx_str_or(n, "rcode", "none"),
		    c_eq(kind, "NODATA") ? " (no record of this type)" : "", source, who ? " " : "", who ? who : "",
		    (double)jx_int(n, "durationUs", 0) / 1000);
	json_array_foreach(jx_at(n, "answer"), i, v)
		put(NULL, "             %s", json_string_value(v));
}

static void print_result(const json_t *doc)
{
	const json_t *records = jx_at(doc, "result.answer"), *v;
	size_t i;

	if (json_array_size(records) == 0)
		put(YELLOW, "Result      no such record (%s)", jx_str_or(doc, "result.rcode", "none"));
	json_array_foreach(records, i, v)
		put(GREEN, "%-11s %s", i ? "" : "Result", json_string_value(v));
	json_array_foreach(jx_at(doc, "hints"), i, v)
		put(NULL, "%-11s %s", i ? "" : "Hint", json_string_value(v));
}

static void print(const json_t *doc)
{
	json_t *n;
	size_t i;

	colour = screen_colours(STDOUT_FILENO);
	put(BOLD, "Question    %s %s", jx_str_or(doc, "name", ""), jx_str_or(doc, "type", ""));
	print_from(doc);
	json_array_foreach(jx_at(doc, "names"), i, n)
		print_name(n, i + 1);
	print_result(doc);
}

static bool is_ip(const char *text)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

static void path_of(struct buf *path, const char *name, const char *type, const char *from)
{
	buf_puts(path, "/query");
	dns_command_parameter(path, "name", name);
	dns_command_parameter(path, "type", type);
	if (!from)
		return;
	cleanup(freep) char *pod = strchr(from, '/') ? xstrdup(from) : xasprintf("default/%s", from);
	dns_command_parameter(path, is_ip(from) ? "client" : "pod", is_ip(from) ? from : pod);
}

int dns_query_command(const struct config *c, struct args *a)
{
	const char *from = c->from; /* a setting of that name is there already: a role's folder of manifests */
	struct dns_command d;
	struct buf path;
	struct err e;

	if (dns_command_start(&d, c, a) < 0 || args_words(a, 2) < 0)
		return 2;
	if (a->argc < 2)
		return args_usage(a, "which name?");
	buf_init(&path, PATH_BYTES_MAX);
	path_of(&path, a->argv[1], a->argc > 2 ? a->argv[2] : NULL, from);
	cleanup(json_decrefp) json_t *doc = dns_command_ask(&d, path.ptr, ANSWER_MS, NULL, &e);
	buf_done(&path);
	if (!doc)
		return args_failed(&e);
	if (d.json) {
		cleanup(freep) char *text = json_dumps(doc, JSON_INDENT(2));
		puts(text);
	} else {
		print(doc);
	}
	return jx_len(doc, "result.answer") ? 0 : 1;
}
