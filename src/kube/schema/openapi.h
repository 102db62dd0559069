/* openapi.h - OpenAPI v3 and v2 from the tables, as far as kubectl's apply, edit, diff and explain
 * read them. */
#pragma once

#include "kube/schema/schema.h"

/* {"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1?hash=…"},…}} */
int openapi_v3_index(struct buf *out) must_check;
/* The document of one group-version ("api/v1", "apis/apps/v1"). -1 with ERR_NOT_FOUND when there is
 * none. */
int openapi_v3_group(struct str group_version_path, struct buf *out, struct err *e) must_check;
/* OpenAPI v2 as application/com.github.proto-openapi.spec.v2@v1.0+protobuf, and as JSON. */
int openapi_v2_protobuf(struct buf *out) must_check;
int openapi_v2_json(struct buf *out) must_check;
