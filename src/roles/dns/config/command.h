/* command.h - `portico dns check` and `portico dns plugins`: what can be asked of a Corefile without a server. */
#pragma once

#include "base/buf.h"
#include "codec/jx.h"
#include "roles/dns/config/config.h"
#include "roles/role.h"

int dns_check_command(const struct config *c, struct args *a);
int dns_plugins_command(const struct config *c, struct args *a);

/* Rows of the role's table. */
#define DNS_CONFIG_COMMANDS \
	{ "check", "[FILE...|-] [--output text|json]", "Says whether Corefiles are right, and how their blocks answer.", \
	  "Reads each FILE (- is standard input) as the server would, imports included, and prints for each server block the plug-ins in\n" \
	  "the order they act, or all that is wrong with file and line. What is understood but has no effect is told as a warning.\n" \
	  "Without a FILE: that of --corefile, or what is built in. For the ConfigMap of a cluster:\n" \
	  "  kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}' | portico dns check -\n\n" \
	  "Exit status: 0 all are right, 1 one is wrong, 2 it could not be tried.", \
	  dns_check_command }, \
	{ "plugins", "[NAME] [--output text|json|markdown]", "Lists the plug-ins that a Corefile may name, with their properties.", \
	  "NAME tells all about one. docs/dns-corefile.md is this list.", dns_plugins_command }

/* { "name", "ok", "errors": [], "warnings": [], "blocks": [ { "server", "zones": [], "plugins": [], "aside": [], "bind": [],
 *   "clusterNamesAtOnce", "becauseOf" } ] } */
json_t *dns_check_report(struct str text, const char *name, const struct plugin_scope *scope);
/* docs/dns-corefile.md */
void dns_plugins_markdown(struct buf *out);
