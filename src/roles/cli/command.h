/* command.h - what each command file offers to the table in cli.c. */
#pragma once

#include "base/version.h"
#include "roles/args.h"
#include "roles/config.h"

struct command {
	const char *name, *args, *summary, *help; /* args: "FILE|DIR" as shown in usage */
	/* Settings are parsed out already. Returns the exit status. */
	int (*run)(struct config *c, struct args *a);
};
extern const struct command command_up, command_down, command_restart, command_status, command_image, command_version, command_completion,
	command_explain, command_top;
