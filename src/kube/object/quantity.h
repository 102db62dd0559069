/* quantity.h - resource.Quantity: "100m", "1Gi", "1e3". k8s.io/apimachinery pkg/api/resource. */
#pragma once

#include "base/base.h"

/* In thousandths, rounded up. -1 when malformed; saturates. */
int quantity_milli(struct str text, int64_t *ret_milli) must_check;
int quantity_value(struct str text, int64_t *ret_value) must_check; /* whole units, rounded up */
/* The canonical form ("1000m" → "1", "1024Mi" → "1Gi"); on the heap, NULL when malformed. */
char *quantity_canonical(struct str text);
/* Why it is malformed, in upstream's words; NULL when it is not. */
const char *quantity_problem(struct str text);
