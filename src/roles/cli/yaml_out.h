/* yaml_out.h - a JSON tree as block-style YAML, by libyaml's emitter. */
#pragma once

#include "codec/jx.h"

char *yaml_text(const json_t *root); /* on the heap */
