#include "roles/cli/command.h"

#include "roles/cli/roles.h"

#include <stdio.h>

/* "ingress) the second word is annotations or check, those behind it are files". */
static void role_commands(const struct role *r)
{
	printf("\t%s) if [ $COMP_CWORD -eq 2 ]; then COMPREPLY=($(compgen -W '", r->name);
	for (const struct role_command *cmd = r->commands; cmd->name; cmd++)
		printf("%s ", cmd->name);
	printf("--help --config");
	config_print_names();
	printf("' -- \"$cur\")); else COMPREPLY=($(compgen -f -- \"$cur\")); fi;;\n");
}

static int completion(struct config *c, struct args *a)
{
	(void)c;
	if (a->argc != 2 || strcmp(a->argv[1], "bash") != 0)
		return args_usage(a, "for which shell? There is bash");
	printf("_portico() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n\tcase ${COMP_WORDS[1]} in\n"
	       "\timage) [ $COMP_CWORD -eq 2 ] && COMPREPLY=($(compgen -W load -- \"$cur\")) || COMPREPLY=($(compgen -f -- \"$cur\"));;\n"
	       "\ttop) [ $COMP_CWORD -eq 2 ] && COMPREPLY=($(compgen -W ingress -- \"$cur\")) || "
	       "COMPREPLY=($(compgen -W '--once --output -n --ingress-admin-address' -- \"$cur\"));;\n"
	       "\texplain) COMPREPLY=($(compgen -W '-H -X --client --output --ingress-admin-address' -- \"$cur\"));;\n"
	       "\tcompletion) COMPREPLY=($(compgen -W bash -- \"$cur\"));;\n");
	for (size_t i = 0; roles[i]; i++)
		if (roles[i]->commands)
			role_commands(roles[i]);
	printf("\t*) if [ $COMP_CWORD -eq 1 ]; then COMPREPLY=($(compgen -W 'up down status image explain top version completion");
	for (size_t i = 0; roles[i]; i++)
		printf(" %s", roles[i]->name);
	printf("' -- \"$cur\")); else COMPREPLY=($(compgen -W '--help --config");
	config_print_names();
	printf("' -- \"$cur\")); fi;;\n\tesac\n}\ncomplete -F _portico portico\n");
	return 0;
}

const struct command command_completion = {
	"completion", "bash", "Print a completion script for the shell.",
	"Use it with: source <(portico completion bash)", completion,
};
