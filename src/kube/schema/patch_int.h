/* patch_int.h - values in error texts, as Go's fmt prints them. */
#pragma once

#include "codec/jx.h"

/* %v: "map[a:1 b:[x y]]"; cut when long; on the heap. */
char *go_value_text(const json_t *v);
/* %T of a decoded JSON value: "map[string]interface {}". */
const char *go_value_type(const json_t *v);
