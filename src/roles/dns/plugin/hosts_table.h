/* hosts_table.h - the names and addresses of a hosts file, hosts(5). No I/O; never changes once it was made.
 */
#pragma once

#include "roles/dns/plugin/zone_set.h"

#define HOSTS_BYTES_MAX (64u << 20) /* of a file: block lists have a million names, some 30 MiB */

struct hosts_table;
/* Only names in `zones` are kept; `reverse`: addresses have names as well. `zones` is borrowed until the table was read. */
struct hosts_table *hosts_table_new(const struct zone_set *zones, bool reverse);
void hosts_table_free(void *table); /* NULL is nothing */
/* Adds the lines of `text`; what is no address or no name is left out. */
void hosts_table_read(struct hosts_table *t, struct str text);

struct hosts_addresses {
	unsigned n4, n6;
	uint8_t *ip4, *ip6; /* n4 of 4 bytes, n6 of 16 */
};
struct hosts_names {
	size_t len;
	uint8_t *wire; /* names, each in wire form, one after the other */
};
const struct hosts_addresses *hosts_table_name(const struct hosts_table *t, const struct dns_name *name); /* lower case */
const struct hosts_names *hosts_table_ip(const struct hosts_table *t, const uint8_t ip[16]); /* IPv4 as ::ffff:0:0/96 */
size_t hosts_table_count(const struct hosts_table *t); /* names and addresses, as coredns_hosts_entries counts */
bool hosts_table_has_name(const struct hosts_table *t, const struct dns_name *zone); /* of this zone */
bool hosts_table_has_ip(const struct hosts_table *t, const struct dns_name *zone); /* of this reverse zone; not every machine's, as 127.0.0.1 */
