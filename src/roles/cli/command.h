/* command.h - what each command file offers to the table in cli.c. */
#pragma once

#include "base/version.h"
#include "roles/config.h"

struct command {
	const char *name, *args, *summary, *help; /* args: "FILE|DIR" as shown in usage */
	/* argv[0] is the command's name; settings are parsed out already. Returns the exit status. */
	int (*run)(struct config *c, int argc, char **argv);
};
extern const struct command command_up, command_down, command_restart, command_status, command_image, command_version, command_completion,
	command_explain, command_top;

int usage_error(const struct command *cmd, const char *fmt, ...) printf_like(2, 3); /* returns 2 */
int fail(const struct err *e); /* prints "portico: …"; returns 1 */
bool colours_wanted(int fd);   /* a terminal, and NO_COLOR is not set (no-color.org) */
/* Takes "--output json|text" out of argv; -1 after a usage message. */
int take_output(const struct command *cmd, int *argc, char **argv, bool *ret_json);
/* Takes "--name VALUE", "--name=VALUE" and "-l VALUE" out of argv; *ret_value stays when there is none. -1 after a usage
 * message. */
int take_option(const struct command *cmd, int *argc, char **argv, const char *name, const char *letter, const char **ret_value);
bool take_flag(int *argc, char **argv, const char *flag);
