#include "roles/ingress/check/command.h"

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
