#include "kube/schema/table_int.h"

#include <ctype.h>
#include <stdio.h>

#define CELL_BYTES_MAX (64u << 10)
#define METRICS_SHOWN_MAX 2

json_t *hpa_reference(const struct cell *c)
{
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s/%s", jx_str_or(c->obj, "spec.scaleTargetRef.kind", ""),
		   jx_str_or(c->obj, "spec.scaleTargetRef.name", ""));
	return text_cell_of(&out);
}

/* Where each metric type keeps its target, and whether it has a name in front. */
static const struct {
	const char *type, *member;
	bool named, average_marked;
} metrics[] = {
	{ "External", "external", false, true },
	{ "Pods", "pods", false, false },
	{ "Object", "object", false, true },
	{ "Resource", "resource", true, false },
	{ "ContainerResource", "containerResource", true, false },
};

static void put_percent(struct buf *out, const json_t *v, const char *fallback)
{
	if (v)
		buf_printf(out, "%lld%%", (long long)json_integer_value(v));
	else
		buf_puts(out, fallback);
}

static void put_metric(struct buf *out, const json_t *spec, const json_t *status)
{
	const char *type = jx_str_or(spec, "type", "");
	size_t m = 0;

	while (m < ARRAY_LEN(metrics) && strcmp(metrics[m].type, type) != 0)
		m++;
	if (m == ARRAY_LEN(metrics)) {
		buf_puts(out, "<unknown type>");
		return;
	}
	const json_t *target = json_object_get(json_object_get(spec, metrics[m].member), "target");
	const json_t *current = json_object_get(json_object_get(status, metrics[m].member), "current");
	const char *average = jx_str(target, "averageValue");
	if (metrics[m].named)
		buf_printf(out, "%s: ", jx_str_or(json_object_get(spec, metrics[m].member), "name", ""));
	if (average) {
		buf_printf(out, "%s/%s%s", jx_str_or(current, "averageValue", "<unknown>"), average,
			   metrics[m].average_marked ? " (avg)" : "");
	} else if (metrics[m].named) {
		put_percent(out, json_object_get(current, "averageUtilization"), "<unknown>");
		buf_putc(out, '/');
		put_percent(out, json_object_get(target, "averageUtilization"), "<auto>");
	} else {
		buf_printf(out, "%s/%s", jx_str_or(current, "value", "<unknown>"),
			   jx_str_or(target, "value", "0"));
	}
}

/* autoscaling/v1 knows only the cpu percentage. */
static json_t *hpa_v1_target(const json_t *hpa)
{
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	buf_puts(&out, "cpu: ");
	put_percent(&out, jx_at(hpa, "status.currentCPUUtilizationPercentage"), "<unknown>");
	buf_putc(&out, '/');
	put_percent(&out, jx_at(hpa, "spec.targetCPUUtilizationPercentage"), "<auto>");
	return text_cell_of(&out);
}

json_t *hpa_targets(const struct cell *c)
{
	const json_t *specs = jx_at(c->obj, "spec.metrics"),
		     *statuses = jx_at(c->obj, "status.currentMetrics");
	size_t n = json_array_size(specs);
	struct buf out;

	if (jx_at(c->obj, "spec.targetCPUUtilizationPercentage"))
		return hpa_v1_target(c->obj);
	if (!n)
		return json_string("<none>");
	buf_init(&out, CELL_BYTES_MAX);
	for (size_t i = 0; i < MIN(n, (size_t)METRICS_SHOWN_MAX); i++) {
		if (i)
			buf_puts(&out, ", ");
		put_metric(&out, json_array_get(specs, i), json_array_get(statuses, i));
	}
	if (n > METRICS_SHOWN_MAX)
		buf_printf(&out, " + %zu more...", n - METRICS_SHOWN_MAX);
	return text_cell_of(&out);
}

json_t *binding_role(const struct cell *c)
{
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s/%s", jx_str_or(c->obj, "roleRef.kind", ""),
		   jx_str_or(c->obj, "roleRef.name", ""));
	return text_cell_of(&out);
}

json_t *binding_subjects(const struct cell *c)
{
	struct buf out;
	json_t *s;
	size_t i;

	buf_init(&out, CELL_BYTES_MAX);
	json_array_foreach(jx_at(c->obj, "subjects"), i, s) {
		const char *ns = jx_str_or(s, "namespace", "");

		if (!c_eq(jx_str(s, "kind"), c->arg))
			continue;
		buf_printf(&out, "%s%s%s%s", out.len ? ", " : "", ns, ns[0] ? "/" : "",
			   jx_str_or(s, "name", ""));
	}
	return text_cell_of(&out);
}

static bool has_condition(const json_t *obj, const char *type)
{
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(obj, "status.conditions"), i, v)
		if (c_eq(jx_str(v, "type"), type))
			return true;
	return false;
}

json_t *csr_condition(const struct cell *c)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s%s",
		 has_condition(c->obj, "Denied")     ? "Denied"
		 : has_condition(c->obj, "Approved") ? "Approved"
						     : "Pending",
		 has_condition(c->obj, "Failed") ? ",Failed" : "",
		 jx_str_or(c->obj, "status.certificate", "")[0] ? ",Issued" : "");
	return json_string(text);
}

json_t *csr_duration(const struct cell *c)
{
	const json_t *seconds = jx_at(c->obj, "spec.expirationSeconds");
	char age[AGE_TEXT_BYTES];

	return json_string(seconds ? age_text(json_integer_value(seconds) * 1000, age) : "<none>");
}

json_t *apiservice_service(const struct cell *c)
{
	const json_t *s = jx_at(c->obj, "spec.service");
	struct buf out;

	if (!s)
		return json_string("Local");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s/%s", jx_str_or(s, "namespace", ""), jx_str_or(s, "name", ""));
	return text_cell_of(&out);
}

json_t *apiservice_available(const struct cell *c)
{
	struct buf out;
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(c->obj, "status.conditions"), i, v) {
		if (!c_eq(jx_str(v, "type"), "Available"))
			continue;
		buf_init(&out, CELL_BYTES_MAX);
		buf_puts(&out, jx_str_or(v, "status", ""));
		if (!c_eq(jx_str(v, "status"), "True"))
			buf_printf(&out, " (%s)", jx_str_or(v, "reason", ""));
		return text_cell_of(&out);
	}
	return json_string("Unknown");
}

json_t *revision_controller(const struct cell *c)
{
	struct buf out;
	json_t *owner;
	size_t i;

	json_array_foreach(jx_at(c->obj, "metadata.ownerReferences"), i, owner) {
		struct str version,
			group = str_cut(str_of(jx_str_or(owner, "apiVersion", "")), '/', &version);

		if (!jx_bool(owner, "controller", false))
			continue;
		buf_init(&out, CELL_BYTES_MAX);
		for (const char *k = jx_str_or(owner, "kind", ""); *k; k++)
			buf_putc(&out, (char)tolower((unsigned char)*k));
		if (version.ptr)
			buf_printf(&out, "." STR_FMT, STR_ARG(group));
		buf_printf(&out, "/%s", jx_str_or(owner, "name", ""));
		return text_cell_of(&out);
	}
	return json_string("<none>");
}

json_t *flowschema_missing(const struct cell *c)
{
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(c->obj, "status.conditions"), i, v)
		if (c_eq(jx_str(v, "type"), "Dangling"))
			return text_cell(jx_str(v, "status"));
	return json_string("?");
}

json_t *policy_param(const struct cell *c)
{
	const json_t *p = jx_at(c->obj, "spec.paramKind");
	struct buf out;

	if (!p)
		return json_string("<unset>");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s/%s", jx_str_or(p, "apiVersion", ""), jx_str_or(p, "kind", ""));
	return text_cell_of(&out);
}
