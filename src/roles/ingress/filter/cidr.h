/* cidr.h - lists of address ranges: whitelist-source-range, block-cidrs, proxy-real-ip-cidr.
 */
#pragma once

#include "base/err.h"
#include "roles/ingress/config/settings.h"

#define CIDR_LIST_MAX 65536 /* a list of all prefixes of a large country */

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. Bits behind the prefix are cleared. */
int cidr_parse(struct str text, struct cidr *ret, struct err *e) must_check;
/* A list with commas; empty elements are skipped. Appends; the result is sorted and without overlaps, as cidr_list_has
 * needs it. On failure the list is as it was. */
int cidr_list_parse(struct str text, struct cidr_list *l, struct err *e) must_check;
/* For lists put together by other means: sorts, drops what is contained in another. */
void cidr_list_sort(struct cidr_list *l);
void cidr_list_done(struct cidr_list *l);
