/* env.h - a container's environment: ordered variables, and $(NAME) references in them. Pure.
 *
 * Expansion is Kubernetes' (third_party/forked/golang/expansion): "$$" is a dollar sign, a
 * reference to an unknown name stays as it is written.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"

/* The kernel's own limit for argv and environment is a quarter of the stack: 2 MiB. */
#define ENV_BYTES_MAX (2u << 20)

struct env_var {
	char *name, *value;
};
struct env {
	struct env_var *at;
	size_t n, cap;
	struct map by_name; /* → index + 1 */
};
void env_init(struct env *v);
void env_done(struct env *v);
void env_set(struct env *v, const char *name, const char *value); /* a known name keeps its place */
const char *env_get(const struct env *v, const char *name);
/* On the heap; NULL when the result exceeds ENV_BYTES_MAX. The first name found in `first`, then in
 * `second` (which may be NULL), wins. */
char *env_expand(const char *text, const struct env *first, const struct env *second);
bool env_name_valid(const char *name); /* as envFrom demands: printable ASCII without '=' */
