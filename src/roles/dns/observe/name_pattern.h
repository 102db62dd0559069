/* name_pattern.h - names as they are looked for: "*.example.com".
 */
#pragma once

#include "base/base.h"

#define NAME_PATTERN_BYTES_MAX 255 /* as long as a name; a comparison takes at most so many steps for each of the name's bytes */

/* `*` stands for any bytes, also none and dots, `?` for one; everything else for itself, ASCII letters in either case. Both
 * are compared with or without the name's last dot, as the pattern has it. fnmatch(3) is not it: brackets that do not end
 * make it look through the pattern again and again, a third of a second for one name. */
bool name_pattern_fits(const char *pattern, const char *name) must_check;
