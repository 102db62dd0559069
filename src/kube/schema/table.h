/* table.h - server-side printing: meta.k8s.io/v1 Table columns and rows per kind, as `kubectl get` shows
 * them. The columns and row rules are those of kubernetes pkg/printers/internalversion. */
#pragma once

#include "kube/schema/schema.h"

/* A JSON array of column definitions; new reference. Kinds without a printer get Name and Created At. */
json_t *table_columns(const struct resource *r);
/* The row's cells; now_ms is for ages. New reference. */
json_t *table_cells(const struct resource *r, const json_t *obj, int64_t now_ms);
/* "5m10s", "3d4h" as k8s.io/apimachinery duration.HumanDuration. */
#define AGE_TEXT_BYTES 24
const char *age_text(int64_t duration_ms, char out[AGE_TEXT_BYTES]);
