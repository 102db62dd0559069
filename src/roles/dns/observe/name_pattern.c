#include "roles/dns/observe/name_pattern.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Only the last star need be tried again: what an earlier one could take, it can take as well. */
static bool fits(struct str pattern, struct str name)
{
	size_t p = 0, n = 0, star = SIZE_MAX, from = 0;

	while (n < name.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			from = n;
		} else if (p < pattern.len && (pattern.ptr[p] == '?' || lower(pattern.ptr[p]) == lower(name.ptr[n]))) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			n = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

bool name_pattern_fits(const char *pattern, const char *name)
{
	struct str p = str_of(pattern), n = str_of(name);

	if (n.len && n.ptr[n.len - 1] == '.' && !str_ends(p, STR(".")))
		n.len--;
	return fits(p, n);
}
