/* object.h - one state of one API object, as bytes that can be sent.
 *
 * An object never changes once made: GET sends its JSON, LIST sends the part behind kind and
 * apiVersion, a watch event wraps it. What selectors ask for is taken out once, when it is made,
 * so that no tree is kept and none is parsed for reading. Belongs to the loop's thread; other
 * threads may read `json` while the loop holds a reference for them.
 */
#pragma once

#include "kube/object/selector.h"
#include "kube/schema/schema.h"

struct object {
	unsigned refs;
	uint32_t json_len;
	uint64_t rv;		    /* metadata.resourceVersion */
	uint32_t bare_at;	    /* json + bare_at: `"metadata":{…},…}` */
	uint32_t meta_at, meta_len; /* the value of "metadata" */
	const char *ns;		    /* "" for cluster-scoped */
	const char *name, *uid;
	bool deleting; /* has a deletionTimestamp */
	uint32_t n_labels;
	const char *labels; /* n_labels times "key\0value\0" */
	const char *fields; /* one "value\0" per row of field_index_of(resource) */
	char json[]; /* kind and apiVersion come first; json[json_len] is '\n', so that it can be
			sent as a body */
};

/* `tree` has metadata.resourceVersion already. NULL when it is larger than LIMIT_OBJECT_BYTES. */
struct object *object_new(const struct resource *r, const json_t *tree, struct err *e) must_check;
struct object *object_ref(struct object *o);
void object_unref(struct object *o); /* NULL is nothing */
/* The bytes a cache should count it with. */
size_t object_bytes(const struct object *o);
json_t *object_tree(const struct object *o, struct err *e) must_check; /* a new tree */
/* The same object with another resourceVersion: what a watcher sees as the last state of what left
 * it. */
struct object *object_with_rv(const struct resource *r, const struct object *o, uint64_t rv,
			      struct err *e) must_check;
/* "{kind, apiVersion and" the rest of the bytes, without the first two members and without the
 * brace. */
struct str object_bare(const struct object *o);
struct str object_metadata(const struct object *o);

bool object_matches_labels(const struct object *o, const struct selector *s);
bool object_matches_fields(const struct resource *r, const struct object *o,
			   const struct field_selector *s);
/* 400 `field label not supported: …` for what this kind does not index. */
int field_selector_check(const struct resource *r, const struct field_selector *s,
			 struct err *e) must_check;
