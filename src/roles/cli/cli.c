#include "roles/cli/cli.h"

#include "roles/cli/command.h"
#include "roles/cli/roles.h"
#include "roles/node/cni.h"

#include <stdio.h>
#include <unistd.h>

static const struct command *const commands[] = {
	&command_up, &command_down, &command_restart, &command_status, &command_image, &command_explain, &command_top, &command_version,
	&command_completion,
};

bool colours_wanted(int fd)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fd) && !(no_color && no_color[0]);
}

int fail(const struct err *e)
{
	fprintf(stderr, "portico: %s\n", e->message);
	return 1;
}

int usage_error(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "portico %s: ", cmd->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nUsage: portico %s%s%s [settings]; `portico %s --help` tells more.\n", cmd->name,
		cmd->args[0] ? " " : "", cmd->args, cmd->name);
	return 2;
}

static void drop_arg(int *argc, char **argv, int at)
{
	memmove(&argv[at], &argv[at + 1], (size_t)(*argc - at) * sizeof(*argv));
	--*argc;
}

bool take_flag(int *argc, char **argv, const char *flag)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], flag) == 0) {
			drop_arg(argc, argv, i);
			return true;
		}
	return false;
}

int take_output(const struct command *cmd, int *argc, char **argv, bool *ret_json)
{
	*ret_json = false;
	for (int i = 1; i < *argc; i++) {
		const char *value = NULL;
		if (strncmp(argv[i], "--output=", 9) == 0) {
			value = argv[i] + 9;
		} else if ((strcmp(argv[i], "--output") == 0 || strcmp(argv[i], "-o") == 0) && i + 1 < *argc) {
			value = argv[i + 1];
			drop_arg(argc, argv, i);
		}
		if (!value)
			continue;
		if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0) {
			usage_error(cmd, "--output is json or text, not '%s'", value);
			return -1;
		}
		*ret_json = strcmp(value, "json") == 0;
		drop_arg(argc, argv, i);
		return 0;
	}
	return 0;
}

int take_option(const struct command *cmd, int *argc, char **argv, const char *name, const char *letter, const char **ret_value)
{
	size_t n = strlen(name);

	for (int i = 1; i < *argc; i++) {
		bool alone = strcmp(argv[i], name) == 0 || strcmp(argv[i], letter) == 0;
		if (!alone && !(strncmp(argv[i], name, n) == 0 && argv[i][n] == '='))
			continue;
		if (alone && i + 1 == *argc) {
			usage_error(cmd, "%s needs a value", argv[i]);
			return -1;
		}
		*ret_value = alone ? argv[i + 1] : argv[i] + n + 1;
		if (alone)
			drop_arg(argc, argv, i);
		drop_arg(argc, argv, i--);
	}
	return 0;
}

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

static int run_command_row(const struct command *cmd, struct config *c, int argc, char **argv)
{
	if (take_flag(&argc, argv, "--help") || take_flag(&argc, argv, "-h")) {
		printf("Usage: portico %s%s%s [settings]\n\n%s\n\n%s\n\nSettings:\n", cmd->name, cmd->args[0] ? " " : "", cmd->args,
		       cmd->summary, cmd->help);
		config_print_help();
		return 0;
	}
	return cmd->run(c, argc, argv);
}

static int run_role_command(const struct role *r, const struct role_command *cmd, struct config *c, int argc, char **argv)
{
	if (!take_flag(&argc, argv, "--help") && !take_flag(&argc, argv, "-h"))
		return cmd->run(c, argc, argv);
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

static int run_role(const struct role *r, struct config *c, int argc, char **argv)
{
	struct err e;

	for (const struct role_command *cmd = r->commands; argc > 1 && cmd && cmd->name; cmd++)
		if (strcmp(argv[1], cmd->name) == 0)
			return run_role_command(r, cmd, c, argc - 1, argv + 1);
	if (take_flag(&argc, argv, "--help") || take_flag(&argc, argv, "-h")) {
		print_role_help(r);
		return 0;
	}
	if (argc > 1) {
		fprintf(stderr, "portico %s: unknown argument '%s'; `portico %s --help` tells more.\n", r->name, argv[1], r->name);
		return 2;
	}
	return config_check(c, &e) < 0 ? fail(&e) : role_process(r, c);
}

/* --config FILE comes first, so that single settings override it wherever they stand. */
static int load_config_file(struct config *c, int *argc, char **argv, struct err *e)
{
	for (int i = 1; i < *argc; i++) {
		const char *path = NULL;
		if (strncmp(argv[i], "--config=", 9) == 0) {
			path = argv[i] + 9;
		} else if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
			path = argv[i + 1];
			drop_arg(argc, argv, i);
		}
		if (!path)
			continue;
		drop_arg(argc, argv, i);
		return config_load(c, path, e);
	}
	return 0;
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
	argc--;
	argv++;
	int rc = load_config_file(&c, &argc, argv, &e) < 0 || config_parse_args(&c, &argc, argv, &e) < 0 ?
			 fail(&e) : dispatch(&c, argc, argv);
	config_done(&c);
	return rc;
}
