/* selector.h - label and field selectors. k8s.io/apimachinery pkg/labels, pkg/fields. */
#pragma once

#include "codec/jx.h"

struct selector;
/* "a=b,c!=d,e in (x,y),!f,g": the query-parameter form. Empty selects everything. */
struct selector *selector_parse(struct str text, struct err *e) must_check;
/* metav1.LabelSelector; NULL or an empty one selects everything here (callers decide about nil). */
struct selector *selector_of_label_selector(const json_t *ls, struct err *e) must_check;
/* A plain map, as a Service's spec.selector. */
struct selector *selector_of_map(const json_t *map);
/* labels: an object or NULL */
bool selector_matches(const struct selector *s, const json_t *labels);
void selector_free(struct selector *s);
char *selector_text(const struct selector *s); /* canonical: sorted by key, on the heap */

/* Field selectors: only =, ==, !=, joined by commas. */
struct field_requirement {
	struct str path, value; /* into the parsed text's copy */
	bool not_equal;
};
struct field_selector {
	char *text_;
	struct field_requirement *at;
	size_t n;
};
int field_selector_parse(struct str text, struct field_selector *ret_selector,
			 struct err *e) must_check;
void field_selector_done(struct field_selector *s);
