/* validate.h - what a field's row cannot say: names, formats, rules between fields, immutability.
 *
 * Texts and order are kube-apiserver's. Runs after decoding and defaulting.
 */
#pragma once

#include "kube/schema/schema.h"

/* old is NULL on create. Includes metadata (name by kind, labels, annotations, finalizers). */
void object_validate(const struct resource *r, const json_t *obj, const json_t *old, struct field_errors *fe);
/* The same for an update through "status". */
void object_validate_status(const struct resource *r, const json_t *obj, const json_t *old,
			    struct field_errors *fe);

/* The same for an update through a subresource (NULL: the object itself): "status", and of pods
 * "ephemeralcontainers" and "resize", which may change what an update of the pod may not. */
void object_validate_update(const struct resource *r, const json_t *obj, const json_t *old,
			    const char *subresource, struct field_errors *fe);
/* From now on names of Services, new ones and an Ingress's backends, may begin with a digit: KEP-5311, a
 * feature gate of Kubernetes that is off by default. Once, before the first object. */
void validate_relax_service_names(void);
/* The part that must hold before addresses can be allocated: clusterIP, clusterIPs, ipFamilies and
 * ipFamilyPolicy. */
void service_addresses_validate(const json_t *service, struct field_errors *fe);

bool is_dns1123_label(const char *s);
bool is_dns1123_subdomain(const char *s);
bool is_dns1035_label(const char *s);
bool is_qualified_name(const char *s); /* label and annotation keys */
bool is_label_value(const char *s);
