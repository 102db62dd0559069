/* JSON patch, RFC 6902, with JSON pointers of RFC 6901. As evanphx/json-patch, negative indices
 * count from the end. Whatever fails while a patch is applied is one and the same sentence, as
 * kube-apiserver answers. */
#include "kube/schema/patch.h"

#include "base/limits.h"

#define COPY_BYTES_MAX                                                                             \
	LIMIT_REQUEST_BODY_BYTES /* what all "copy" operations of a patch may add: each can double \
				    the object */

struct patcher {
	json_t *doc;
	size_t copied;
	struct err *e;
};

static int refused(struct patcher *p)
{
	return err_set(p->e, ERR_INVALID,
		       "the server rejected our request due to an error in our request");
}

/* The last token of a pointer and what it is a token of; parent is NULL for the whole document. */
struct target {
	json_t *parent;
	char *token; /* unescaped, on the heap */
	unsigned depth;
};

static void target_done(struct target *t)
{
	free(t->token);
	t->token = NULL;
}

static char *unescape(struct str token)
{
	char *out = str_dup(token), *to = out;

	for (const char *p = out; *p; p++) {
		if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
			*to++ = *++p == '0' ? '~' : '/';
		else
			*to++ = *p;
	}
	*to = '\0';
	return out;
}

/* An index below `slots`; negative ones count from there. */
static int index_of(const char *token, size_t slots, size_t *ret_index)
{
	bool negative = token[0] == '-';
	uint64_t n;

	if (!str_to_u64(str_of(token + negative), INT32_MAX, &n) ||
	    (negative && (n == 0 || n > slots)))
		return -1;
	*ret_index = negative ? slots - n : n;
	return *ret_index < slots ? 0 : -1;
}

static json_t *child(const json_t *v, const char *token)
{
	size_t at;

	if (json_is_object(v))
		return json_object_get(v, token);
	if (!json_is_array(v) || index_of(token, json_array_size(v), &at) < 0)
		return NULL;
	return json_array_get(v, at);
}

static int find(struct patcher *p, const char *pointer, struct target *ret_target)
{
	struct target t = { 0 };
	json_t *at = p->doc;

	if (*pointer && *pointer != '/')
		return refused(p);
	for (struct str rest = str_of(*pointer ? pointer + 1 : NULL); *pointer && rest.ptr;
	     t.depth++) {
		struct str token = str_cut(rest, '/', &rest);

		if (t.token && !(at = child(at, t.token)))
			break;
		t.parent = at;
		free(t.token);
		t.token = unescape(token);
	}
	if (!at || (t.parent && !json_is_object(t.parent) && !json_is_array(t.parent))) {
		free(t.token);
		return refused(p);
	}
	*ret_target = t;
	return 0;
}

static json_t *get(struct patcher *p, const char *pointer)
{
	struct target t;

	if (find(p, pointer, &t) < 0)
		return NULL;
	json_t *v = t.parent ? child(t.parent, t.token) : p->doc;
	target_done(&t);
	return v;
}

static unsigned depth_of(const json_t *v)
{
	unsigned deepest = 0, d;
	const char *key;
	json_t *member;
	size_t i;

	json_object_foreach((json_t *)v, key, member) if ((d = depth_of(member) + 1) > deepest)
		deepest = d;
	json_array_foreach((json_t *)v, i, member) if ((d = depth_of(member) + 1) > deepest)
		deepest = d;
	return deepest;
}

static size_t bytes_of(const json_t *v)
{
	size_t bytes = 2 + json_string_length(v), i;
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)v, key, member) bytes += strlen(key) + 4 + bytes_of(member);
	json_array_foreach((json_t *)v, i, member) bytes += 1 + bytes_of(member);
	return bytes;
}

static int add_to_array(struct patcher *p, json_t *list, const char *token, json_t *v)
{
	size_t at;

	if (strcmp(token, "-") == 0)
		return json_array_append(list, v);
	if (index_of(token, json_array_size(list) + 1, &at) < 0)
		return refused(p);
	return json_array_insert(list, at, v);
}

/* `v` is borrowed. */
static int add(struct patcher *p, const char *pointer, json_t *v)
{
	struct target t;
	int r;

	if (find(p, pointer, &t) < 0)
		return -1;
	if (t.depth + depth_of(v) > LIMIT_JSON_DEPTH) {
		r = refused(p);
	} else if (!t.parent) {
		json_incref(v);
		json_decref(p->doc);
		p->doc = v;
		r = 0;
	} else if (json_is_array(t.parent)) {
		r = add_to_array(p, t.parent, t.token, v);
	} else {
		r = json_object_set(t.parent, t.token, v);
	}
	target_done(&t);
	return r;
}

static int remove_at(struct patcher *p, const char *pointer)
{
	struct target t;
	size_t at;
	int r = -1;

	if (find(p, pointer, &t) < 0)
		return -1;
	if (json_is_object(t.parent))
		r = json_object_del(t.parent, t.token);
	else if (t.parent && index_of(t.token, json_array_size(t.parent), &at) == 0)
		r = json_array_remove(t.parent, at);
	target_done(&t);
	return r < 0 ? refused(p) : 0;
}

static int replace(struct patcher *p, const char *pointer, json_t *v)
{
	struct target t;
	size_t at;
	int r = -1;

	if (!*pointer)
		return add(p, pointer, v);
	if (find(p, pointer, &t) < 0)
		return -1;
	if (!child(t.parent, t.token) || t.depth + depth_of(v) > LIMIT_JSON_DEPTH)
		r = -1;
	else if (json_is_object(t.parent))
		r = json_object_set(t.parent, t.token, v);
	else if (index_of(t.token, json_array_size(t.parent), &at) == 0)
		r = json_array_set(t.parent, at, v);
	target_done(&t);
	return r < 0 ? refused(p) : 0;
}

static int copy(struct patcher *p, const char *from, const char *to, bool move)
{
	json_t *v = get(p, from);
	int r;

	if (!v)
		return refused(p);
	if (!move) {
		p->copied += bytes_of(v);
		if (p->copied > COPY_BYTES_MAX)
			return refused(p);
		v = json_deep_copy(v);
	} else {
		/* Into itself: the target would go away with the source. */
		size_t len = strlen(from);
		if (strncmp(from, to, len) == 0 && to[len] == '/')
			return refused(p);
		json_incref(v);
	}
	r = move && *from ? remove_at(p, from) : 0;
	if (r == 0)
		r = add(p, to, v);
	json_decref(v);
	return r;
}

static int test(struct patcher *p, const char *path, const json_t *want)
{
	struct err ignored = { 0 };
	struct patcher probe = { .doc = p->doc, .e = &ignored };
	json_t *v = get(&probe, path);
	bool same = v ? json_equal(v, (json_t *)want) : json_is_null(want);

	return same ? 0 : refused(p);
}

static int apply(struct patcher *p, const json_t *op)
{
	const char *name = jx_str_or(op, "op", ""), *path = jx_str(op, "path"),
		   *from = jx_str(op, "from");
	json_t *value = json_object_get(op, "value");
	bool moves = strcmp(name, "move") == 0 || strcmp(name, "copy") == 0;
	int r;

	if (!path || (moves && !from))
		return refused(p);
	if (moves)
		return copy(p, from, path, name[0] == 'm');
	if (strcmp(name, "remove") == 0)
		return remove_at(p, path);
	json_t *v = value ? json_deep_copy(value) : json_null();
	if (strcmp(name, "add") == 0)
		r = add(p, path, v);
	else if (strcmp(name, "replace") == 0)
		r = replace(p, path, v);
	else if (strcmp(name, "test") == 0)
		r = test(p, path, v);
	else
		r = refused(p);
	json_decref(v);
	return r;
}

static void not_decoded(const json_t *v, const char *type, struct err *e)
{
	err_set(e, ERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type jsonpatch.%s",
		json_is_object(v)   ? "object"
		: json_is_array(v)  ? "array"
		: json_is_string(v) ? "string"
		: json_is_number(v) ? "number"
				    : "bool",
		type);
}

json_t *patch_json(const json_t *obj, const json_t *ops, struct err *e)
{
	struct patcher p = { .e = e };
	size_t i;
	json_t *op;

	if (!json_is_array(ops)) {
		not_decoded(ops, "Patch", e);
		return NULL;
	}
	json_array_foreach((json_t *)ops, i, op) if (!json_is_object(op) && !json_is_null(op))
	{
		not_decoded(op, "Operation", e);
		return NULL;
	}
	if (json_array_size(ops) > LIMIT_PATCH_OPERATIONS) {
		err_set(e, ERR_TOO_LARGE,
			"The allowed maximum operations in a JSON patch is %d, got %zu",
			LIMIT_PATCH_OPERATIONS, json_array_size(ops));
		return NULL;
	}
	p.doc = json_deep_copy(obj);
	json_array_foreach((json_t *)ops, i, op) if (apply(&p, op) < 0)
	{
		json_decref(p.doc);
		return NULL;
	}
	return p.doc;
}
