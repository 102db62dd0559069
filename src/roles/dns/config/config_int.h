/* config_int.h - what the parts of config.h share. */
#pragma once

#include "roles/dns/config/config.h"
#include "roles/dns/config/corefile.h"
#include "roles/dns/config/zones.h"

/* As dns_config_parse; imports are relative to `dir`. */
struct dns_config *dns_config_parse_in(struct str text, const char *name, const char *dir, const struct plugin_scope *scope,
				       struct err *e) must_check;
char *dns_config_folder(const char *path); /* the part before the last slash, "." without one */

/* What is told of a directive that is none of ours. Returns -1. */
int dns_config_unknown(struct err *e, const struct corefile_line *at);

/* "tls://a.org:853": appends its zones to *zones. *ret_port is the transport's own without one. */
int block_key_parse(const char *key, const struct corefile_line *at, struct zone_names *zones, enum dns_transport *ret_transport,
		    uint16_t *ret_port, struct err *e) must_check;

/* Which block serves a name. */
struct block_index;
/* Names the block that has a zone that another has already. */
struct block_index *block_index_new(const struct dns_config *c, struct err *e) must_check;
void block_index_free(struct block_index *x);
const struct dns_block *block_index_find(const struct block_index *x, enum dns_transport t, uint16_t port, const struct dns_name *name);
