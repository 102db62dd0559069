/* record.h - an Ingress as the model keeps it: one block of some 200 bytes, most of it the object's own texts.
 *
 * Locations point into it, so it lives until the last of them is gone.
 */
#pragma once

#include "roles/ingress/route/model.h"

struct settings_use;

struct ingress {
	struct settings_use *use; /* NULL until it is adopted */
	uint64_t status;	  /* model_status_hash */
	unsigned refs_;		  /* atomic: locations are freed by workers */
	unsigned n_paths, n_tls;  /* of all rules; entries of spec.tls */
	uint32_t created_s;	  /* since 1970; 0: unknown */
	uint32_t text_bytes;
	uint16_t ns_bytes, name_bytes, uid_bytes; /* with their NUL */
	bool ours, linked;
	bool troubled;		  /* model.troubles knows it */
	char key[];		  /* "ns/name", then ns, uid, and the text that the iterators below read */
};
static inline const char *ingress_name(const struct ingress *i)
{
	return i->key + i->ns_bytes;
}
static inline const char *ingress_ns(const struct ingress *i)
{
	return i->key + i->ns_bytes + i->name_bytes;
}
static inline const char *ingress_uid(const struct ingress *i)
{
	return ingress_ns(i) + i->ns_bytes;
}
static inline const char *ingress_text(const struct ingress *i)
{
	return ingress_uid(i) + i->uid_bytes;
}
struct model_ingress ingress_describe(const struct ingress *i);

/* A record with one reference, or NULL with why (`e`): then the object is not usable at all. */
struct ingress *ingress_new(const json_t *obj, struct err *e) must_check;
void ingress_unref(struct ingress *i);
struct ingress *ingress_ref(struct ingress *i);
/* Nothing that routing depends on is different. */
bool ingress_same(const struct ingress *a, const struct ingress *b);
/* Oldest first; of the same second, by name, backwards. */
int ingress_age_cmp(const struct ingress *a, const struct ingress *b);

struct ingress_backend {
	const char *service, *port; /* port: a name, or a number as text. service "": none; NULL: a resource */
};
struct ingress_path {
	const char *host, *path; /* host as in the object; path NULL: a rule without any */
	enum path_type type;
	struct ingress_backend backend;
};
struct ingress_tls {
	const char *secret; /* "": none */
	unsigned n_hosts;   /* the names follow: ingress_next_host */
};

/* Reads the text front to back, in the order of these functions. */
struct ingress_iter {
	const char *at;
	unsigned left_paths, left_tls;
	const char *host_;
	unsigned left_in_rule_;
};
void ingress_begin(const struct ingress *i, struct ingress_iter *it);
const char *ingress_class_annotation(const struct ingress *i); /* NULL: none */
const char *ingress_class_name(const struct ingress *i);       /* NULL: none */
struct ingress_backend ingress_default_backend(const struct ingress *i);
bool ingress_next_path(struct ingress_iter *it, struct ingress_path *ret);
/* After all paths. Read n_hosts names after each. */
bool ingress_next_tls(struct ingress_iter *it, struct ingress_tls *ret);
const char *ingress_next_host(struct ingress_iter *it);
/* Annotations, as "key\0value\0…", sorted: the key of shared settings; without those that settings never read. */
struct str ingress_annotations(const struct ingress *i);
