/* jx.h - jansson trees by path, and JSON text with limits. RFC 8259.
 *
 * Kubernetes objects are jansson trees everywhere, so fields that we do not know survive.
 * Paths are dotted member names ("spec.template.metadata"); a member that itself contains
 * a dot is reached with json_object_get. All getters take NULL and wrong types: they give
 * the fallback.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

/* Refuses what is larger than max_bytes, deeper than LIMIT_JSON_DEPTH, not UTF-8, or has bytes behind the value.
 * Of duplicate members the last wins (as Go decodes); strict callers find them with jx_duplicate. */
json_t *jx_parse(struct str text, size_t max_bytes, struct err *e) must_check;
/* A member that the caller never reads: `name` in an object that is (or whose array is) the member `of`; "" is the whole.
 * It may be left out, and of its objects and arrays but the brackets looked at. A table of them ends with one that has no
 * name. */
struct jx_unread {
	struct str of, name;
};
json_t *jx_parse_read(struct str text, size_t max_bytes, const struct jx_unread *unread, struct err *e) must_check;
/* Finds the end of an object, array or string while its text arrives: zeroed, then given the text from its first byte on, piece by
 * piece. Returns the first byte behind it, or NULL while it goes on. Brackets are counted, not matched: what is between
 * them may be anything. */
struct jx_scan {
	unsigned depth;
	bool in_string, escaped;
};
const char *jx_scan(struct jx_scan *s, const char *p, const char *end);
int jx_dump(const json_t *v, struct buf *out) must_check; /* compact, member order kept */
char *jx_dump_text(const json_t *v);			  /* compact, on the heap */

json_t *jx_at(const json_t *obj, const char *path); /* borrowed, NULL if absent */
const char *jx_str(const json_t *obj, const char *path); /* NULL if absent or no string */
const char *jx_str_or(const json_t *obj, const char *path, const char *fallback);
int64_t jx_int(const json_t *obj, const char *path, int64_t fallback);
bool jx_bool(const json_t *obj, const char *path, bool fallback);
size_t jx_len(const json_t *obj, const char *path); /* of an array or object; 0 otherwise */

/* Makes the objects on the way; steals `v`. */
void jx_set(json_t *obj, const char *path, json_t *v);
void jx_set_str(json_t *obj, const char *path, const char *s); /* NULL removes */
void jx_set_int(json_t *obj, const char *path, int64_t n);
void jx_set_bool(json_t *obj, const char *path, bool b);
void jx_del(json_t *obj, const char *path);
/* Removes all members but the named ones; `names` ends with NULL. */
void jx_keep(json_t *obj, const char *const *names);

/* Locals: `cleanup(json_decrefp) json_t *v` (jansson has json_decrefp). */

/* metadata shorthands */
const char *jx_name(const json_t *obj);
const char *jx_namespace(const json_t *obj); /* NULL for cluster-scoped */
const char *jx_uid(const json_t *obj);
const char *jx_label(const json_t *obj, const char *key);
const char *jx_annotation(const json_t *obj, const char *key);

/* RFC 3339 as metav1.Time writes it ("2026-01-02T03:04:05Z") and as MicroTime (six digits). */
#define TIME_TEXT_BYTES 32
const char *time_text(int64_t unix_ms, char out[TIME_TEXT_BYTES]);
const char *time_text_micro(int64_t unix_us, char out[TIME_TEXT_BYTES]);
int time_parse(const char *text, int64_t *ret_unix_ms) must_check; /* -1 when malformed */
