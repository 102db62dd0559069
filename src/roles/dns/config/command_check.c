/* `portico dns check`: a Corefile as the server would read it. */
#include "roles/dns/config/command.h"

#include "base/file.h"
#include "roles/dns/config/config_int.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* ---- the report ---- */

static void add_text(void *ctx, const char *text)
{
	json_array_append_new(ctx, json_stringn_nocheck(text, strlen(text)));
}

static json_t *texts(const char *const *list)
{
	json_t *out = json_array();

	for (; list && *list; list++)
		json_array_append_new(out, json_string(*list));
	return out;
}

static bool takes_part(const struct plugin *p)
{
	return p->ask || p->answer || p->guard || p->leave;
}

/* How the cluster's names are answered, in a block that has them. */
static void set_way(json_t *out, const struct dns_block *b)
{
	const struct plugin_instance *obstacle;
	bool direct = dns_block_is_direct(b, &obstacle);

	if (direct || obstacle)
		jx_set_bool(out, "clusterNamesAtOnce", direct);
	if (obstacle) {
		jx_set_str(out, "becauseOf", obstacle->plugin->name);
		jx_set_int(out, "becauseOfLine", obstacle->at.line);
	}
}

static json_t *block_report(const struct dns_block *b)
{
	json_t *out = json_object(), *zones = json_array(), *chain = json_array(), *aside = json_array();
	char text[DNS_NAME_TEXT_BYTES];

	for (size_t i = 0; i < b->n_zones; i++)
		json_array_append_new(zones, json_string(dns_name_text(&b->zones[i], text)));
	for (size_t i = 0; i < b->n_plugins; i++)
		json_array_append_new(takes_part(b->plugins[i].plugin) ? chain : aside, json_string(b->plugins[i].plugin->name));
	jx_set_str(out, "server", b->server);
	jx_set_str(out, "file", b->at.file);
	jx_set_int(out, "line", b->at.line);
	jx_set(out, "zones", zones);
	jx_set(out, "plugins", chain);
	jx_set(out, "aside", aside);
	if (b->bind)
		jx_set(out, "bind", texts(b->bind));
	set_way(out, b);
	return out;
}

json_t *dns_check_report(struct str text, const char *name, const struct plugin_scope *scope)
{
	json_t *out = json_object(), *errors = json_array(), *warnings = json_array(), *blocks = json_array();
	struct dns_config *c = dns_config_check(text, name, scope, add_text, errors);

	jx_set_str(out, "name", name);
	jx_set_bool(out, "ok", c);
	jx_set(out, "errors", errors);
	jx_set(out, "warnings", warnings);
	jx_set(out, "blocks", blocks);
	if (c)
		dns_config_warnings(c, add_text, warnings);
	for (size_t i = 0; c && i < c->n_blocks; i++)
		json_array_append_new(blocks, block_report(&c->blocks[i]));
	dns_config_free(c);
	return out;
}

static json_t *unreadable(const char *name, const char *why)
{
	json_t *out = json_object(), *errors = json_array();

	add_text(errors, why);
	jx_set_str(out, "name", name);
	jx_set_bool(out, "ok", false);
	jx_set(out, "errors", errors);
	return out;
}

/* ---- for people ---- */

static void print_word(const char *word, const char *colour)
{
	const char *no_color = getenv("NO_COLOR");

	if (isatty(STDOUT_FILENO) && !(no_color && *no_color))
		printf("\033[%sm%s\033[0m", colour, word);
	else
		printf("%s", word);
}

static void print_list(const char *title, const json_t *list, const char *between)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		printf("%s%s", i ? between : title, json_string_value(one));
	if (json_array_size(list))
		putchar('\n');
}

static void print_block(const json_t *b)
{
	printf("\n  %s  ", jx_str_or(b, "server", ""));
	print_list("", jx_at(b, "zones"), " ");
	print_list("    ", jx_at(b, "plugins"), " > ");
	print_list("    aside: ", jx_at(b, "aside"), ", ");
	print_list("    bound to: ", jx_at(b, "bind"), ", ");
	if (jx_bool(b, "clusterNamesAtOnce", false))
		printf("    cluster names: answered at once, before all of these\n");
	else if (jx_str(b, "becauseOf"))
		printf("    cluster names: through all of these, because `%s` (line %d) may want to see them\n", jx_str(b, "becauseOf"),
		       (int)jx_int(b, "becauseOfLine", 0));
}

static void print_lines(const json_t *list, const char *word, const char *colour)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		print_word(word, colour);
		printf(" %s\n", json_string_value(one));
	}
}

static void print_report(const json_t *r)
{
	const json_t *b;
	size_t i;

	printf("%s: ", jx_str_or(r, "name", ""));
	if (!jx_bool(r, "ok", false)) {
		printf("%zu %s\n", jx_len(r, "errors"), jx_len(r, "errors") == 1 ? "error" : "errors");
		print_lines(jx_at(r, "errors"), "error", "31");
		return;
	}
	print_word("OK", "32");
	putchar('\n');
	print_lines(jx_at(r, "warnings"), "warning", "33");
	json_array_foreach(jx_at(r, "blocks"), i, b)
		print_block(b);
}

/* ---- the command ---- */

static json_t *check_file(const char *path, const struct plugin_scope *scope)
{
	bool standard = strcmp(path, "-") == 0;
	const char *name = standard ? "standard input" : path;
	struct buf text;
	struct err e;
	json_t *report;

	buf_init(&text, COREFILE_BYTES_MAX);
	if (file_read(standard ? "/dev/stdin" : path, &text, &e) < 0)
		report = unreadable(name, e.message);
	else
		report = dns_check_report(buf_str(&text), name, scope);
	buf_done(&text);
	return report;
}

static json_t *check_all(const struct config *c, const struct args *a, const struct plugin_scope *scope)
{
	json_t *all = json_array();

	for (int i = 1; i < a->argc; i++)
		json_array_append_new(all, check_file(a->argv[i], scope));
	if (a->argc == 1 && c->corefile && *c->corefile)
		json_array_append_new(all, check_file(c->corefile, scope));
	if (json_array_size(all) == 0) {
		cleanup(freep) char *text = dns_config_builtin(c->cluster_domain);
		json_array_append_new(all, dns_check_report(str_of(text), DNS_CONFIG_BUILTIN, scope));
	}
	return all;
}

int dns_check_command(const struct config *c, struct args *a)
{
	const char *own_ips[] = { c->dns_ip, NULL };
	const struct plugin_scope scope = {
		.cluster_domain = c->cluster_domain, .resolv_conf = "/etc/resolv.conf", .own_ips = own_ips, .upstream_port = DNS_PORT,
	};
	int status = 0;
	bool json;
	const json_t *r;
	size_t i;

	if (args_json(a, &json) < 0 || args_words(a, INT_MAX) < 0)
		return 2;
	json_t *all = check_all(c, a, &scope);
	json_array_foreach(all, i, r) {
		status |= !jx_bool(r, "ok", false);
		if (!json)
			print_report(r);
	}
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return status;
}
