#include "roles/dns/commands.h"

#include "roles/dns/config/command.h"
#include "roles/dns/observe/commands.h"

const struct role_command dns_commands[] = { DNS_CONFIG_COMMANDS, DNS_OBSERVE_COMMANDS, { 0 } };
