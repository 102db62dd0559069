/* filters.h - every filter, in no order of importance; filters.c says in which order they run. */
#pragma once

#include "roles/ingress/http/filter.h"

