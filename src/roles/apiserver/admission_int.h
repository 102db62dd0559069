/* admission_int.h - between admission.c and the pods' part of it. */
#pragma once

#include "roles/apiserver/admission.h"

int admission_pod_create(const struct admission_view *v, const struct admission_request *q,
			 struct err *e) must_check;
int admission_pod_update(const struct admission_request *q) must_check;

/* By group and plural, version v1. The first is a new reference, or NULL. */
json_t *admission_get(const struct admission_view *v, const char *group, const char *plural, const char *ns,
		      const char *name);
void admission_each(const struct admission_view *v, const char *group, const char *plural,
		    bool (*fn)(void *arg, const json_t *obj), void *arg);
int admission_forbid(const struct admission_request *q, struct err *e, const char *fmt, ...)
	printf_like(3, 4);
