/* impersonate.h - acting as somebody else: `kubectl --as`. k8s.io/apiserver
 * pkg/endpoints/filters/impersonation.go */
#pragma once

#include "net/http.h"
#include "roles/apiserver/authz_rbac.h"

/* Replaces *user when the headers ask for it and the user may; 403 or 400 otherwise. Extra
 * attributes are refused. */
int impersonate(struct rbac *rbac, struct http_headers headers, struct arena *a, struct user *user,
		struct err *e) must_check;
