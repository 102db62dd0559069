#include "kube/schema/table_int.h"

#include <ctype.h>
#include <stdio.h>

#define CELL_BYTES_MAX (64u << 10)

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *node_status(const struct cell *c)
{
	const char *word = "Unknown";
	char text[64];
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(c->obj, "status.conditions"), i, v)
		if (c_eq(jx_str(v, "type"), "Ready"))
			word = c_eq(jx_str(v, "status"), "True") ? "Ready" : "NotReady";
	snprintf(text, sizeof(text), "%s%s", word,
		 jx_bool(c->obj, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
	return json_string(text);
}

json_t *node_roles(const struct cell *c)
{
	static const struct str prefix = { "node-role.kubernetes.io/",
					   sizeof("node-role.kubernetes.io/") - 1 };
	json_t *labels = jx_at(c->obj, "metadata.labels"), *v;
	const char **roles = xcalloc(json_object_size(labels) + 1, sizeof(*roles));
	const char *key;
	struct buf out;
	size_t n = 0;

	json_object_foreach(labels, key, v) {
		if (str_starts(str_of(key), prefix) && key[prefix.len])
			roles[n++] = key + prefix.len;
		else if (strcmp(key, "kubernetes.io/role") == 0 && json_string_length(v))
			roles[n++] = json_string_value(v);
	}
	qsort(roles, n, sizeof(*roles), by_text);
	buf_init(&out, CELL_BYTES_MAX);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(roles[i], roles[i - 1]) != 0)
			buf_printf(&out, "%s%s", out.len ? "," : "", roles[i]);
	free(roles);
	if (!n)
		buf_puts(&out, "<none>");
	return text_cell_of(&out);
}

json_t *node_address(const struct cell *c)
{
	json_t *a;
	size_t i;

	json_array_foreach(jx_at(c->obj, "status.addresses"), i, a)
		if (c_eq(jx_str(a, "type"), c->arg))
			return text_cell(jx_str(a, "address"));
	return json_string("<none>");
}

/* Two spellings: core's, and that of events.k8s.io. */
static const char *event_text(const json_t *event, const char *core, const char *newer)
{
	const char *s = jx_str_or(event, core, "");

	return s[0] ? s : jx_str_or(event, newer, "");
}

static const char *event_first_time(const json_t *event)
{
	const char *first = event_text(event, "firstTimestamp", "deprecatedFirstTimestamp");

	return first[0] ? first : jx_str(event, "eventTime");
}

json_t *event_first_seen(const struct cell *c)
{
	char age[AGE_TEXT_BYTES];

	return json_string(age_since(event_first_time(c->obj), c->now_ms, age));
}

json_t *event_last_seen(const struct cell *c)
{
	const char *last = event_text(c->obj, "lastTimestamp", "deprecatedLastTimestamp");
	char age[AGE_TEXT_BYTES];

	if (json_object_get(c->obj, "series"))
		last = jx_str(c->obj, "series.lastObservedTime");
	else if (!last[0])
		last = event_first_time(c->obj);
	return json_string(age_since(last, c->now_ms, age));
}

static const json_t *event_about(const json_t *event)
{
	const json_t *about = json_object_get(event, "involvedObject");

	return about ? about : json_object_get(event, "regarding");
}

json_t *event_object(const struct cell *c)
{
	const json_t *about = event_about(c->obj);
	const char *kind = jx_str_or(about, "kind", ""), *name = jx_str_or(about, "name", "");
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	for (const char *k = kind; *k; k++)
		buf_putc(&out, (char)tolower((unsigned char)*k));
	if (name[0])
		buf_printf(&out, "/%s", name);
	return text_cell_of(&out);
}

json_t *event_subobject(const struct cell *c)
{
	return text_cell(jx_str(event_about(c->obj), "fieldPath"));
}

json_t *event_source(const struct cell *c)
{
	const char *component = event_text(c->obj, "source.component", "reportingComponent");
	const char *host = event_text(c->obj, "source.host", "reportingInstance");
	struct buf out;

	if (!component[0])
		component = event_text(c->obj, "deprecatedSource.component", "reportingController");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s%s%s", component, host[0] ? ", " : "", host);
	return text_cell_of(&out);
}

json_t *event_message(const struct cell *c)
{
	const char *s = event_text(c->obj, "message", "note");
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	for (n = strlen(s); n && isspace((unsigned char)s[n - 1]); n--)
		;
	return json_stringn(s, n);
}

json_t *event_count(const struct cell *c)
{
	int64_t n = jx_int(c->obj, "count", jx_int(c->obj, "deprecatedCount", 0));

	return json_integer(jx_int(c->obj, "series.count", n ? n : 1));
}

json_t *configmap_data(const struct cell *c)
{
	return json_integer((json_int_t)(jx_len(c->obj, "data") + jx_len(c->obj, "binaryData")));
}

json_t *volume_phase(const struct cell *c)
{
	return text_cell(jx_at(c->obj, "metadata.deletionTimestamp") ? "Terminating"
								     : jx_str(c->obj, "status.phase"));
}

json_t *volume_claim(const struct cell *c)
{
	const json_t *ref = jx_at(c->obj, "spec.claimRef");
	struct buf out;

	if (!ref)
		return json_string("");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s/%s", jx_str_or(ref, "namespace", ""), jx_str_or(ref, "name", ""));
	return text_cell_of(&out);
}

/* The annotation is older than the field, and still counts. */
json_t *volume_class(const struct cell *c)
{
	const char *annotated = jx_annotation(c->obj, "volume.beta.kubernetes.io/storage-class");

	return text_cell(annotated ? annotated : jx_str(c->obj, "spec.storageClassName"));
}

json_t *access_modes(const struct cell *c)
{
	static const struct {
		const char *mode, *word;
	} words[] = {
		{ "ReadWriteOnce", "RWO" },
		{ "ReadOnlyMany", "ROX" },
		{ "ReadWriteMany", "RWX" },
		{ "ReadWriteOncePod", "RWOP" },
	};
	struct buf out;
	json_t *mode;
	size_t i;

	buf_init(&out, CELL_BYTES_MAX);
	for (size_t w = 0; w < ARRAY_LEN(words); w++) {
		bool found = false;

		json_array_foreach(jx_at(c->obj, c->arg), i, mode)
			found |= c_eq(json_string_value(mode), words[w].mode);
		if (found)
			buf_printf(&out, "%s%s", out.len ? "," : "", words[w].word);
	}
	return text_cell_of(&out);
}

json_t *claim_access_modes(const struct cell *c)
{
	const struct cell bound = { c->obj, c->now_ms, "status.accessModes" };

	return jx_str_or(c->obj, "spec.volumeName", "")[0] ? access_modes(&bound) : json_string("");
}

json_t *claim_capacity(const struct cell *c)
{
	return text_cell(
		jx_str_or(c->obj, "spec.volumeName", "")[0] ? jx_str(c->obj, "status.capacity.storage") : "");
}

json_t *storageclass_name(const struct cell *c)
{
	const char *is_default = jx_annotation(c->obj, "storageclass.kubernetes.io/is-default-class");
	const char *is_default_beta =
		jx_annotation(c->obj, "storageclass.beta.kubernetes.io/is-default-class");
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s%s", jx_str_or(c->obj, "metadata.name", ""),
		   c_eq(is_default, "true") || c_eq(is_default_beta, "true") ? " (default)" : "");
	return text_cell_of(&out);
}

json_t *quota_list(const struct cell *c)
{
	const json_t *hard = jx_at(c->obj, "status.hard"), *used = jx_at(c->obj, "status.used");
	const char **names = xcalloc(json_object_size(hard) + 1, sizeof(*names));
	bool limits = strcmp(c->arg, "limits") == 0;
	const char *name;
	struct buf out;
	size_t n = 0;
	json_t *v;

	json_object_foreach((json_t *)hard, name, v)
		if (str_starts(str_of(name), STR("limits.")) == limits)
			names[n++] = name;
	qsort(names, n, sizeof(*names), by_text);
	buf_init(&out, CELL_BYTES_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *u = json_string_value(json_object_get(used, names[i]));
		const char *h = json_string_value(json_object_get(hard, names[i]));

		buf_printf(&out, "%s%s: %s/%s", i ? ", " : "", names[i], u ? u : "0", h ? h : "0");
	}
	free(names);
	return text_cell_of(&out);
}

json_t *component_status(const struct cell *c)
{
	const char *status = "Unknown";
	const json_t *healthy = NULL;
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(c->obj, "conditions"), i, v)
		if (!healthy && c_eq(jx_str(v, "type"), "Healthy"))
			healthy = v;
	if (healthy)
		status = c_eq(jx_str(healthy, "status"), "True") ? "Healthy" : "Unhealthy";
	return text_cell(strcmp(c->arg, "status") == 0 ? status : jx_str(healthy, c->arg));
}
