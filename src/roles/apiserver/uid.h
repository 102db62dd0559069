/* uid.h - random names: UUIDs (RFC 9562, version 4) and generateName's suffixes. */
#pragma once

#include "base/base.h"

#define UID_TEXT_BYTES 37
const char *uid_make(char out[UID_TEXT_BYTES]);
#define SUFFIX_TEXT_BYTES 6
/* Five characters without vowels and look-alikes, as k8s.io/apimachinery pkg/util/rand. */
const char *name_suffix_make(char out[SUFFIX_TEXT_BYTES]);
