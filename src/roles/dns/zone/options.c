#include "roles/dns/zone/zone_int.h"

static bool names_equal(const struct dns_name *a, size_t n_a, const struct dns_name *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (a[i].len != b[i].len || memcmp(a[i].wire, b[i].wire, a[i].len) != 0)
			return false;
	return true;
}

static bool lists_equal(const char *const *a, const char *const *b)
{
	if (!a || !b)
		return a == b;
	while (*a && c_eq(*a, *b)) {
		a++;
		b++;
	}
	return !*a && !*b;
}

bool zone_options_equal(const struct zone_options *a, const struct zone_options *b)
{
	return names_equal(&a->domain, 1, &b->domain, 1) && names_equal(a->reverse, a->n_reverse, b->reverse, b->n_reverse) &&
	       names_equal(a->fallthrough, a->n_fallthrough, b->fallthrough, b->n_fallthrough) && a->ttl == b->ttl &&
	       a->pods == b->pods && a->endpoint_pod_names == b->endpoint_pod_names &&
	       a->ignore_empty_service == b->ignore_empty_service && a->no_endpoints == b->no_endpoints &&
	       lists_equal(a->namespaces, b->namespaces) && c_eq(a->labels, b->labels) &&
	       c_eq(a->namespace_labels, b->namespace_labels);
}

static struct selector *selector_of_text(const char *text)
{
	struct err e;

	return text ? selector_parse(str_of(text), &e) : NULL;
}

void options_copy(struct zone *z, const struct zone_options *o)
{
	size_t n = 0;

	z->options = *o;
	while (o->namespaces && o->namespaces[n])
		n++;
	z->namespaces = o->namespaces ? xcalloc(n + 1, sizeof(*z->namespaces)) : NULL;
	for (size_t i = 0; i < n; i++)
		z->namespaces[i] = xstrdup(o->namespaces[i]);
	z->options.namespaces = (const char *const *)z->namespaces;
	z->options.labels = z->labels_text = xstrdup(o->labels);
	z->options.namespace_labels = z->namespace_labels_text = xstrdup(o->namespace_labels);
	z->labels = selector_of_text(o->labels);
	z->namespace_labels = selector_of_text(o->namespace_labels);
}

void options_done(struct zone *z)
{
	for (size_t i = 0; z->namespaces && z->namespaces[i]; i++)
		free(z->namespaces[i]);
	free(z->namespaces);
	free(z->labels_text);
	free(z->namespace_labels_text);
	selector_free(z->labels);
	selector_free(z->namespace_labels);
}

bool options_namespace(const struct zone *z, const char *ns)
{
	if (!z->namespaces)
		return true;
	for (char *const *n = z->namespaces; *n; n++)
		if (c_eq(*n, ns))
			return true;
	return false;
}

bool options_labels(const struct selector *s, const json_t *obj)
{
	return !s || selector_matches(s, jx_at(obj, "metadata.labels"));
}
