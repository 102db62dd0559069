/* annotations.h - every annotation: ingress-nginx's and our own. */
#pragma once

#include "roles/ingress/config/field.h"
#include "roles/ingress/config/settings.h"

#define NGINX_PREFIX "nginx.ingress.kubernetes.io/"
#define OUR_PREFIX "portico.io/"
#define CLASS_ANNOTATION "kubernetes.io/ingress.class"
#define SNIPPETS_OFF "%s annotation cannot be used. Snippet directives are disabled by the Ingress administrator" /* ingress-nginx's words */

/* Reasons that settings_source.problem is told. */
#define REASON_PARSING "AnnotationParsingFailed" /* ingress-nginx's */
#define REASON_IGNORED "AnnotationIgnored"
#define REASON_UNSUPPORTED "AnnotationNotSupported"
#define REASON_UNKNOWN "AnnotationUnknown"
#define REASON_DENIED "LocationDenied"
#define REASON_NO_SECRET "MissingSecret"
#define REASON_NO_CONFIGMAP "MissingConfigMap"
#define REASON_PATH_TYPE "PathType"
#define REASON_SETTING "ConfigMapParsingFailed"
#define REASON_NO_SETTING "ConfigMapKeyIgnored"

extern const struct field nginx_annotations[]; /* name NULL ends */
extern const struct field our_annotations[];
extern const struct field configmap_fields[]; /* globals.c */

/* The table and name of an annotation's key; NULL: it has neither prefix. */
const struct field *annotation_table(struct str key, struct str *ret_name);
/* Calls `fn` for each annotation whose value in `s` is not the one in `defaults`, with its value as text. For `explain`. */
void settings_each_set(const struct settings *s, const struct settings *defaults,
		       void (*fn)(void *ctx, const char *annotation, const char *value, const struct field *f), void *ctx);
