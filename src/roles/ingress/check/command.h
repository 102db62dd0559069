/* command.h - `portico ingress COMMAND`: what can be asked without a running proxy. */
#pragma once

#include "roles/role.h"

extern const struct role_command ingress_commands[]; /* name NULL ends */

int annotations_command(const struct config *c, int argc, char **argv);
int check_command(const struct config *c, int argc, char **argv);

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_MARKDOWN };
/* Takes "--output FORM" (or -o) out of argv; -1 after a message when it is none of the first `n_known` forms. */
int output_option(const char *command, int *argc, char **argv, size_t n_known, enum output *ret) must_check;
/* Takes "--name VALUE" or "--name=VALUE" out of argv; *ret stays when it is not there. -1 after a message. */
int value_option(const char *command, int *argc, char **argv, const char *name, const char **ret) must_check;
bool flag_option(int *argc, char **argv, const char *name);
