/* strategy_int.h - hooks of the kinds whose rows in strategy.c need more than flags. */
#pragma once

#include "roles/apiserver/strategy.h"

void pod_create(json_t *obj);
void pod_update_status(json_t *obj, const json_t *old);
void service_update(json_t *obj, const json_t *old);
bool json_same(const json_t *a, const json_t *b); /* absent and empty are the same */
