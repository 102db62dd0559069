/* block.h - block-user-agents and block-referers: texts refused everywhere, compiled once. */
#pragma once

#include "roles/ingress/config/settings.h"

struct exchange;

/* Elements are those of nginx's `map`: a whole text (ignoring case), "~regex", or "~*regex" (ignoring case), perhaps in
 * quotes. Broken ones are left out: *ret_bad counts them, `e` tells of the last. NULL: nothing is left. */
struct block_rules *block_rules_new(const struct str_list *user_agents, const struct str_list *referers, size_t *ret_bad,
				    struct err *e);
void block_rules_free(struct block_rules *r); /* NULL is nothing */
bool block_rules_match(const struct block_rules *r, struct str user_agent, struct str referer);

/* By these and block-cidrs, whether x has a location or not: 403. */
bool block_refuses(const struct exchange *x);
