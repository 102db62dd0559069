/* Node selectors, affinity, taints and host ports. */
#include "roles/controllers/scheduler/schedule.h"

#include <stdlib.h>
#include <string.h>

/* ---- taints ---- */

bool taint_tolerated(const json_t *taint, const json_t *tolerations)
{
	const json_t *t;
	size_t i;

	json_array_foreach(tolerations, i, t)
		if (toleration_covers(t, taint))
			return true;
	return false;
}

/* ---- node affinity ---- */

static bool value_listed(const json_t *values, const char *value)
{
	const json_t *v;
	size_t i;

	json_array_foreach(values, i, v)
		if (c_eq(json_string_value(v), value))
			return true;
	return false;
}

static bool number_compares(const char *have, const json_t *values, bool greater)
{
	const char *limit = json_string_value(json_array_get(values, 0));
	char *end_a, *end_b;

	if (!have || !limit)
		return false;
	long long a = strtoll(have, &end_a, 10), b = strtoll(limit, &end_b, 10);
	return !*end_a && !*end_b && (greater ? a > b : a < b);
}

static bool requirement_holds(const json_t *r, const char *have)
{
	const char *op = jx_str_or(r, "operator", "");
	const json_t *values = json_object_get(r, "values");

	if (strcmp(op, "In") == 0)
		return have && value_listed(values, have);
	if (strcmp(op, "NotIn") == 0)
		return !have || !value_listed(values, have);
	if (strcmp(op, "Exists") == 0)
		return have;
	if (strcmp(op, "DoesNotExist") == 0)
		return !have;
	if (strcmp(op, "Gt") == 0 || strcmp(op, "Lt") == 0)
		return number_compares(have, values, op[0] == 'G');
	return false;
}

bool node_term_matches(const json_t *node, const json_t *term)
{
	const json_t *expressions = json_object_get(term, "matchExpressions");
	const json_t *fields = json_object_get(term, "matchFields"), *r;
	size_t i;

	if (!json_array_size(expressions) && !json_array_size(fields))
		return false; /* an empty term matches nothing */
	json_array_foreach(expressions, i, r)
		if (!requirement_holds(r, jx_label(node, jx_str_or(r, "key", ""))))
			return false;
	json_array_foreach(fields, i, r)
		if (!c_eq(jx_str(r, "key"), "metadata.name") ||
		    !requirement_holds(r, jx_name(node)))
			return false;
	return true;
}

bool node_matches(const json_t *node, const json_t *pod)
{
	const json_t *terms =
		jx_at(pod, "spec.affinity.nodeAffinity."
			   "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
	const json_t *term;
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach(jx_at(pod, "spec.nodeSelector"), name, value)
		if (!c_eq(jx_label(node, name), json_string_value(value)))
			return false;
	json_array_foreach(terms, i, term)
		if (node_term_matches(node, term))
			return true;
	return !terms;
}

/* ---- host ports ---- */

static bool same_port(const json_t *a, const json_t *b)
{
	const char *ip_a = jx_str_or(a, "hostIP", ""), *ip_b = jx_str_or(b, "hostIP", "");
	bool any_a = !ip_a[0] || strcmp(ip_a, "0.0.0.0") == 0,
	     any_b = !ip_b[0] || strcmp(ip_b, "0.0.0.0") == 0;

	return jx_int(a, "hostPort", 0) == jx_int(b, "hostPort", 0) &&
	       strcmp(jx_str_or(a, "protocol", "TCP"), jx_str_or(b, "protocol", "TCP")) == 0 &&
	       (any_a || any_b || strcmp(ip_a, ip_b) == 0);
}

static bool port_taken(const json_t *port, const json_t *pod)
{
	const json_t *c, *p;
	size_t i, k;

	json_array_foreach(jx_at(pod, "spec.containers"), i, c)
		json_array_foreach(json_object_get(c, "ports"), k, p)
			if (jx_int(p, "hostPort", 0) && same_port(port, p))
				return true;
	return false;
}

bool host_ports_free(const json_t *pod, struct objects others)
{
	const json_t *c, *p;
	size_t i, k;

	json_array_foreach(jx_at(pod, "spec.containers"), i, c)
		json_array_foreach(json_object_get(c, "ports"), k, p)
			for (size_t o = 0; o < others.n && jx_int(p, "hostPort", 0); o++)
				if (!pod_is_terminal(others.at[o]) && port_taken(p, others.at[o]))
					return false;
	return true;
}
