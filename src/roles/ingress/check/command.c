#include "roles/ingress/check/command.h"

#include <stdio.h>

const struct role_command ingress_commands[] = {
	{ "annotations", "[NAME] [--output text|json|markdown]", "Lists every annotation and ConfigMap key, with what it does.",
	  "NAME, with or without prefix, tells all about one.\n"
	  "Those of ingress-nginx that have no effect are listed as well, and say so. docs/ingress-annotations.md is this list.",
	  annotations_command },
	{ "check", "FILE...|DIR...|--all [--kubeconfig FILE] [--configmap NS/NAME] [--output text|json]",
	  "Says what existing Ingress manifests will do here, before anyone migrates.",
	  "Reads manifests (YAML or JSON, several objects in a file), or with --all those of the cluster. For each Ingress it tells\n"
	  "what works, what is ignored, what differs from ingress-nginx, and what is wrong. Secrets and Services are checked when some\n"
	  "are among what was read. The global ConfigMap is ingress-nginx/ingress-nginx-controller, or that of --configmap.\n\n"
	  "Exit status: 0 all works, 1 something is ignored or differs, 2 something is wrong.",
	  check_command },
	{ 0 },
};

static void drop(int *argc, char **argv, int at, int n)
{
	memmove(&argv[at], &argv[at + n], (size_t)(*argc - at - n + 1) * sizeof(*argv));
	*argc -= n;
}

bool flag_option(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], name) == 0) {
			drop(argc, argv, i, 1);
			return true;
		}
	return false;
}

int value_option(const char *command, int *argc, char **argv, const char *name, const char **ret)
{
	size_t len = strlen(name);

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], name, len) != 0 || (argv[i][len] && argv[i][len] != '='))
			continue;
		if (argv[i][len]) {
			*ret = argv[i] + len + 1;
			drop(argc, argv, i, 1);
			return 0;
		}
		if (i + 1 == *argc) {
			fprintf(stderr, "portico ingress %s: %s needs a value\n", command, name);
			return -1;
		}
		*ret = argv[i + 1];
		drop(argc, argv, i, 2);
		return 0;
	}
	return 0;
}

int output_option(const char *command, int *argc, char **argv, size_t n_known, enum output *ret)
{
	static const char *const forms[] = { "text", "json", "markdown" };
	const char *value = "text";

	if (value_option(command, argc, argv, "--output", &value) < 0 || value_option(command, argc, argv, "-o", &value) < 0)
		return -1;
	for (size_t i = 0; i < n_known; i++)
		if (strcmp(value, forms[i]) == 0) {
			*ret = (enum output)i;
			return 0;
		}
	fprintf(stderr, "portico ingress %s: --output is text%s, not '%s'\n", command, n_known == 2 ? " or json" : ", json or markdown", value);
	return -1;
}
