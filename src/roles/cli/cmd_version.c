#include "roles/cli/command.h"

#include <stdio.h>

#define KUBERNETES_VERSION "v1.33.0" /* what the API server says at /version */

static int version(struct config *c, struct args *a)
{
	bool json;

	(void)c;
	if (args_json(a, &json) < 0 || args_words(a, 0) < 0)
		return 2;
	if (json)
		printf("{\"version\":\"%s\",\"kubernetesVersion\":\"%s\"}\n", PORTICO_VERSION, KUBERNETES_VERSION);
	else
		printf("portico %s (Kubernetes API %s)\n", PORTICO_VERSION, KUBERNETES_VERSION);
	return 0;
}

const struct command command_version = {
	"version", "[--output text|json]", "Show the version.", "The version of this program, and of the Kubernetes API it serves.",
	version,
};
