/* A pattern, a NUL, a name: without brackets and backslashes it fits as fnmatch(3) has it. */
#include "roles/dns/observe/name_pattern.h"

#include <fnmatch.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 64) /* fnmatch is slow */
		return 0;
	cleanup(freep) char *pattern = str_dup((struct str){ (const char *)data, size });
	size_t n = strlen(pattern);
	cleanup(freep) char *name = str_dup(n < size ? (struct str){ (const char *)data + n + 1, size - n - 1 } : STR(""));
	bool fits = name_pattern_fits(pattern, name);

	for (size_t i = 0; i < size; i++)
		if (data[i] == '[' || data[i] == '\\' || data[i] >= 0x80)
			return 0;
	n = strlen(name);
	if (n && name[n - 1] == '.' && !str_ends(str_of(pattern), STR(".")))
		name[n - 1] = '\0';
	if (fits != (fnmatch(pattern, name, FNM_CASEFOLD | FNM_NOESCAPE) == 0))
		abort();
	return 0;
}
