#include "roles/cli/cli.h"

#include "roles/cli/command.h"
#include "roles/cli/roles.h"
#include "roles/node/cni.h"

#include <stdio.h>

static const struct command *const commands[] = {
	&command_up, &command_down, &command_restart, &command_status, &command_image, &command_explain, &command_top, &command_version,
	&command_completion,
};

static void print_help(void)
{
	printf("portico %s - Kubernetes from `kubectl apply` to an answer, in one program\n\nUsage: portico COMMAND [settings]\n\n"
	       "Commands:\n", PORTICO_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nRoles (started by `portico up`; with --kubeconfig they serve any cluster):\n");
	for (size_t i = 0; roles[i]; i++)
		printf("  %-12s %s\n", roles[i]->name, roles[i]->summary);
	printf("\nSettings (--name value, or --config FILE):\n");
	config_print_help();
}

static bool wants_help(struct args *a)
{
	return args_flag(a, "--help") || args_flag(a, "-h");
}

static int run_command_row(const struct command *cmd, struct config *c, int argc, char **argv)
{
	struct args a = { .usage = cmd->args, .argc = argc, .argv = argv };

	if (!wants_help(&a))
		return cmd->run(c, &a);
	printf("Usage: portico %s%s%s [settings]\n\n%s\n\n%s\n\nSettings:\n", cmd->name, cmd->args[0] ? " " : "", cmd->args, cmd->summary,
	       cmd->help);
	config_print_help();
	return 0;
}

static int run_role_command(const struct role *r, const struct role_command *cmd, struct config *c, int argc, char **argv)
{
	struct args a = { .role = r->name, .usage = cmd->args, .argc = argc, .argv = argv };

	if (!wants_help(&a))
		return cmd->run(c, &a);
	printf("Usage: portico %s %s%s%s [settings]\n\n%s\n\n%s\n", r->name, cmd->name, cmd->args[0] ? " " : "", cmd->args, cmd->summary,
	       cmd->help);
	return 0;
}

static void print_role_help(const struct role *r)
{
	printf("Usage: portico %s [settings]\n\n%s\n", r->name, r->summary);
	for (const struct role_command *cmd = r->commands; cmd && cmd->name; cmd++)
		printf("%s  portico %s %-12s %s\n", cmd == r->commands ? "\nCommands:\n" : "", r->name, cmd->name, cmd->summary);
	printf("\nSettings:\n");
	config_print_help();
}

static void drop_ignored(struct args *a, const struct role *r)
{
	for (const char *const *row = r->ignored_args; row && *row; row++) {
		size_t n = strcspn(*row, "=");
		cleanup(freep) char *flag = xasprintf("--%.*s", (int)n, *row);
		const char *value = NULL;
		bool there = !(*row)[n] && args_flag(a, flag);

		if ((args_value(a, flag, NULL, &value) == 0 && value) || there)
			fprintf(stderr, "portico %s: %s has no effect\n", r->name, flag);
	}
}

static int run_role(const struct role *r, struct config *c, int argc, char **argv)
{
	struct args a = { .usage = "", .argc = argc, .argv = argv };
	struct err e;

	for (const struct role_command *cmd = r->commands; argc > 1 && cmd && cmd->name; cmd++)
		if (strcmp(argv[1], cmd->name) == 0)
			return run_role_command(r, cmd, c, argc - 1, argv + 1);
	if (wants_help(&a)) {
		print_role_help(r);
		return 0;
	}
	drop_ignored(&a, r);
	if (args_words(&a, 0) < 0)
		return 2;
	return config_check(c, &e) < 0 ? args_failed(&e) : role_process(r, c);
}

/* --config FILE comes first, so that single settings override it wherever they stand. */
static int load_config_file(struct config *c, struct args *a, struct err *e)
{
	const char *path = NULL;

	if (args_value(a, "--config", NULL, &path) < 0)
		return 2;
	return path && config_load(c, path, e) < 0 ? args_failed(e) : 0;
}

static int dispatch(struct config *c, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[0], commands[i]->name) == 0)
			return run_command_row(commands[i], c, argc, argv);
	for (size_t i = 0; roles[i]; i++)
		if (strcmp(argv[0], roles[i]->name) == 0)
			return run_role(roles[i], c, argc, argv);
	fprintf(stderr, "portico: there is no command '%s'; `portico --help` lists them.\n", argv[0]);
	return 2;
}

int cli_main(int argc, char **argv)
{
	struct config c;
	struct err e;
	int rc;

	/* containerd calls us as a CNI plugin: by that name, and with CNI's variables. */
	if (getenv("CNI_COMMAND") || str_ends(str_of(argv[0]), STR("portico-cni")))
		return cni_main();
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return argc < 2 ? 2 : 0;
	}
	if (strcmp(argv[1], "--version") == 0)
		argv[1] = (char *)"version";
	config_defaults(&c);
	struct args a = { .usage = "", .argc = argc - 1, .argv = argv + 1 };
	rc = load_config_file(&c, &a, &e);
	if (rc == 0)
		rc = config_parse_args(&c, &a.argc, a.argv, &e) < 0 ? args_failed(&e) : dispatch(&c, a.argc, a.argv);
	config_done(&c);
	return rc;
}
