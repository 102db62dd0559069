/* env.h - a container's environment: ordered variables, where each came from, and $(NAME) references in them. Pure.
 *
 * Expansion is Kubernetes' (third_party/forked/golang/expansion): "$$" is a dollar sign, a reference to an unknown name
 * stays as it is written.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"

#include <jansson.h>

/* The kernel's own limit for argv and environment is a quarter of the stack: 2 MiB. */
#define ENV_BYTES_MAX (2u << 20)

enum env_kind { ENV_VALUE, ENV_CONFIG_MAP, ENV_SECRET, ENV_FIELD, ENV_RESOURCE, ENV_SERVICE };
struct env_origin {
	enum env_kind kind;
	const json_t *object; /* the Service, ConfigMap or Secret; else NULL */
	/* Service: the entry of spec.ports, NULL for what has no port. Otherwise the entry of the container's env or
	 * envFrom that names it; NULL: a value given to env_set. */
	const json_t *part;
};
struct env_var {
	char *name, *value;
	struct env_origin origin; /* holds references */
	struct env_origin hides;  /* what the name stood for before; object and part NULL: nothing */
};
struct env {
	struct env_var *at;
	size_t n, cap;
	struct map by_name; /* → index + 1 */
};
void env_init(struct env *v);
void env_done(struct env *v);
void env_put(struct env *v, const char *name, const char *value, struct env_origin from); /* a known name keeps its place */
void env_set(struct env *v, const char *name, const char *value); /* the same, from nowhere */
const struct env_var *env_find(const struct env *v, const char *name); /* NULL: not set */
const char *env_get(const struct env *v, const char *name);
/* What a name that is set would have stood for otherwise. */
void env_hide(struct env *v, const char *name, struct env_origin what);
/* On the heap; NULL when the result exceeds ENV_BYTES_MAX. The first name found in `first`, then in `second` (which may
 * be NULL), wins. */
char *env_expand(const char *text, const struct env *first, const struct env *second);
bool env_refers(const char *text, const char *name); /* env_expand(text) would look `name` up */
bool env_name_valid(const char *name); /* as envFrom demands: printable ASCII without '=' */
