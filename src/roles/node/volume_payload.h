/* volume_payload.h - the files of configMap, secret, downwardAPI and projected volumes. Pure.
 *
 * Kubernetes: pkg/volume/{configmap,secret,downwardapi,projected}.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

struct payload_file {
	char *path; /* relative, without ".." */
	char *data;
	size_t len;
	mode_t mode;
};
struct payload {
	struct payload_file *at;
	size_t n;
};
void payload_done(struct payload *p);
void payload_add(struct payload *p, const char *path, const char *data, size_t len, mode_t mode);
bool payload_equal(const struct payload *a, const struct payload *b);

/* What the builder asks its caller for. */
struct payload_sources {
	const json_t *pod;
	void *ctx;
	/* resource: "configmaps" or "secrets". *ret_known false: not yet answered. */
	const json_t *(*object)(void *ctx, const char *resource, const char *name, bool *ret_known);
	/* The token for a serviceAccountToken source; NULL while there is none. */
	const char *(*token)(void *ctx, const json_t *source);
	/* Of a container in this pod: the answer to resourceFieldRef; on the heap, NULL when
	 * unknown. */
	char *(*resource_field)(void *ctx, const json_t *ref);
};
/* ERR_UNAVAILABLE: something is not known yet, ask again later. ERR_NOT_FOUND: an object or key
 * that is not optional does not exist. */
int payload_build(const json_t *volume, const struct payload_sources *s,
		  struct payload *ret_payload, struct err *e) must_check;

bool path_is_inside(const char *relative); /* relative, and without ".." */
