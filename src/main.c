/* The table of commands and roles, and nothing else. */
#include "roles/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
