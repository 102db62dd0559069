/* The report as text, and the command. */
#include "roles/ingress/check/check.h"

#include "base/screen.h"
#include "roles/ingress/check/command.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
	const char *word, *colour;
} looks[] = {
	{ "works", "32" }, { "note", "36" }, { "ignored", "33" }, { "differs", "33" }, { "wrong", "31" }, { "skipped", "2" },
};

static void put_word(const char *word, int width, bool colours)
{
	for (size_t i = 0; colours && i < ARRAY_LEN(looks); i++)
		if (strcmp(looks[i].word, word) == 0) {
			printf("\033[%sm%-*s\033[0m", looks[i].colour, width, word);
			return;
		}
	printf("%-*s", width, word);
}

static void print_findings(const json_t *findings, bool colours)
{
	json_t *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		printf("  ");
		put_word(jx_str_or(f, "kind", ""), 8, colours);
		printf(" %s\n", jx_str_or(f, "message", ""));
	}
}

static void print_ingress(const json_t *r, bool colours)
{
	put_word(jx_str_or(r, "verdict", ""), 8, colours);
	printf(" %s/%s  (%s)", jx_str_or(r, "namespace", ""), jx_str_or(r, "name", ""), jx_str_or(r, "from", ""));
	if (c_eq(jx_str(r, "verdict"), "skipped"))
		printf(": class %s belongs to another controller", jx_str_or(r, "class", "?"));
	putchar('\n');
	if (!c_eq(jx_str(r, "verdict"), "skipped"))
		print_findings(jx_at(r, "findings"), colours);
}

static void print_lines(const char *title, const json_t *list)
{
	json_t *line;
	size_t i;

	json_array_foreach(list, i, line)
		printf("%s%s: %s\n", i ? "  " : title, jx_str_or(line, "from", ""), jx_str_or(line, "message", ""));
}

static void print_summary(const json_t *summary)
{
	const char *between = "";
	const char *word;
	json_t *n;

	printf("\n");
	json_object_foreach((json_t *)(uintptr_t)summary, word, n)
		if (json_integer_value(n)) {
			printf("%s%" JSON_INTEGER_FORMAT " %s", between, json_integer_value(n), word);
			between = ", ";
		}
	printf("%s\n", *between ? "" : "no Ingress was found");
}

void check_print(const json_t *report, bool colours)
{
	json_t *r;
	size_t i;

	json_array_foreach(jx_at(report, "ingresses"), i, r)
		print_ingress(r, colours);
	if (jx_len(report, "configMap.findings")) {
		printf("ConfigMap %s\n", jx_str_or(report, "configMap.name", ""));
		print_findings(jx_at(report, "configMap.findings"), colours);
	}
	print_lines("Could not be read:\n  ", jx_at(report, "unreadable"));
	print_lines("Left out:\n  ", jx_at(report, "remarks"));
	json_array_foreach(jx_at(report, "everywhere"), i, r)
		printf("%s  nginx:   %s\n  portico: %s\n", i ? "" : "\nUnlike ingress-nginx, whatever the annotations:\n", jx_str_or(r, "nginx", ""),
		       jx_str_or(r, "portico", ""));
	json_array_foreach(jx_at(report, "notChecked"), i, r)
		printf("%sNo %s were read: references to them are not checked.\n", i ? "" : "\n", json_string_value(r));
	print_summary(jx_at(report, "summary"));
}

/* ---- the command ---- */

static const char *default_kubeconfig(const struct config *c, char **ret_own)
{
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");

	if (c->kubeconfig)
		return c->kubeconfig;
	if (env && *env)
		return env;
	*ret_own = xasprintf("%s/.kube/config", home ? home : "");
	return *ret_own;
}

static int load(struct check *check, const struct config *c, bool all, const struct args *a)
{
	cleanup(freep) char *own = NULL;
	struct err e;

	for (int i = 1; i < a->argc; i++)
		(void)!check_files(check, a->argv[i]);
	if (!all || check_cluster(check, default_kubeconfig(c, &own), &e) == 0)
		return 0;
	args_failed(&e);
	return -1;
}

int check_command(const struct config *c, struct args *a)
{
	static const int status[] = { [WORKS] = 0, [NOTED] = 0, [IGNORED] = 1, [DIFFERS] = 1, [WRONG] = 2 };
	bool json, all = args_flag(a, "--all");
	enum verdict worst;

	if (args_json(a, &json) < 0 || args_words(a, INT_MAX) < 0)
		return 2;
	if (!all && a->argc < 2)
		return args_usage(a, "which files?");
	struct check *check = check_new(c->configmap ? c->configmap : CHECK_CONFIGMAP);
	if (load(check, c, all, a) < 0) {
		check_free(check);
		return 2;
	}
	json_t *report = check_report(check, &worst);
	if (json) {
		json_dumpf(report, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		check_print(report, screen_colours(STDOUT_FILENO));
	}
	json_decref(report);
	check_free(check);
	return status[worst];
}
