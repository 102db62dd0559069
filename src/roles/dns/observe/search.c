#include "roles/dns/observe/search.h"

#include <stdio.h>

static unsigned ndots_of(const struct pod_dns *d)
{
	uint64_t n = 1;

	for (size_t i = 0; i < d->options.n; i++)
		if (strncmp(d->options.at[i], "ndots:", 6) == 0 && !str_to_u64(str_of(d->options.at[i] + 6), UINT32_MAX, &n))
			n = 1;
	return (unsigned)MIN(n, (uint64_t)SEARCH_NDOTS_MAX);
}

static void add(struct search_plan *p, const char *name, const char *domain)
{
	size_t n = strlen(domain);

	if (p->n == SEARCH_NAMES_MAX)
		return;
	while (n && domain[n - 1] == '.')
		n--;
	p->names[p->n++] = n ? xasprintf("%s.%.*s.", name, (int)n, domain) : xasprintf("%s.", name);
}

void search_plan_make(struct search_plan *p, const char *name, const struct pod_dns *d)
{
	size_t len = strlen(name);
	bool whole = len && name[len - 1] == '.';
	cleanup(freep) char *bare = xstrndup(name, whole ? len - 1 : len);

	*p = (struct search_plan){ .ndots = ndots_of(d) };
	for (const char *c = bare; *c; c++)
		p->dots += *c == '.';
	if (whole || p->dots >= p->ndots)
		add(p, bare, "");
	for (size_t i = 0; !whole && i < d->searches.n && p->n < SEARCH_NAMES_MAX - 1; i++)
		add(p, bare, d->searches.at[i]);
	if (!whole && p->dots < p->ndots) {
		p->as_is = p->n;
		add(p, bare, "");
	}
}

void search_plan_done(struct search_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->names[i]);
	p->n = 0;
}

char *search_hint(const struct search_plan *p, size_t found)
{
	const char *name = p->names[p->as_is];

	if (found < p->n && found > 0 && found == p->as_is)
		return xasprintf("%zu names were tried because of ndots:%u (the name has %u dot%s); write '%s', with the dot at its end, to save %zu",
				 found + 1, p->ndots, p->dots, p->dots == 1 ? "" : "s", name, found);
	if (found < p->n && found > 0)
		return xasprintf("%zu names were tried; write '%s', with the dot at its end, to save %zu", found + 1, p->names[found],
				 found);
	if (found == p->n && p->n > 1)
		return xasprintf("all %zu names were tried, and none has such a record", p->n);
	return NULL;
}
