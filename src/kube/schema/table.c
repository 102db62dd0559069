#include "kube/schema/table_int.h"

#include <stdio.h>

static const struct {
	const char *name, *text;
} descriptions[] = {
	{ "Name", "The name of the object, unique among its kind (in its namespace)." },
	{ "Age", "The time since the object was created." },
	{ "Created At", "The time at which the object was created." },
	{ "Ready", "How many parts are ready, of all that there should be." },
	{ "Status", "The state of the object, in a word." },
	{ "Restarts", "How often the containers were restarted, and when last." },
	{ "Type", "The type of the object." },
	{ "Cluster-IP", "The address of the Service inside the cluster." },
	{ "External-IP", "The addresses at which it is reached from outside." },
	{ "Port(s)", "Ports of the Service, with node ports and protocols." },
	{ "Selector", "The labels that select its pods." },
};

static const char *describe(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(descriptions); i++)
		if (strcmp(descriptions[i].name, name) == 0)
			return descriptions[i].text;
	return name;
}

static const struct column plain_columns[] = {
	{ "Name", "string", cell_text, "metadata.name", false },
	{ "Created At", "date", cell_text, "metadata.creationTimestamp", false },
};
static const struct printer plain = { NULL, NULL, plain_columns, ARRAY_LEN(plain_columns) };

static const struct printer *printer_of(const struct resource *r)
{
	for (size_t i = 0; i < n_printers; i++)
		if (strcmp(printers[i].kind, r->kind) == 0 && strcmp(printers[i].group, r->group) == 0)
			return &printers[i];
	return &plain;
}

json_t *table_columns(const struct resource *r)
{
	const struct printer *p = printer_of(r);
	json_t *out = json_array();

	for (size_t i = 0; i < p->n_columns; i++) {
		const struct column *c = &p->columns[i];

		json_array_append_new(
			out, json_pack("{s:s,s:s,s:s,s:s,s:i}", "name", c->name, "type", c->type, "format",
				       strcmp(c->name, "Name") == 0 ? "name" : "", "description",
				       describe(c->name), "priority", c->wide ? 1 : 0));
	}
	return out;
}

json_t *table_cells(const struct resource *r, const json_t *obj, int64_t now_ms)
{
	const struct printer *p = printer_of(r);
	json_t *out = json_array();

	for (size_t i = 0; i < p->n_columns; i++) {
		const struct cell c = { .obj = obj, .now_ms = now_ms, .arg = p->columns[i].arg };

		json_array_append_new(out, p->columns[i].cell(&c));
	}
	return out;
}

/* Two units at the most, and the coarser the longer: k8s.io/apimachinery pkg/util/duration. */
const char *age_text(int64_t duration_ms, char out[AGE_TEXT_BYTES])
{
	static const struct {
		int64_t below, unit, sub; /* seconds; sub 0: no second part */
		char unit_name, sub_name;
	} steps[] = {
		{ 120, 1, 0, 's', 0 },
		{ 10 * 60, 60, 1, 'm', 's' },
		{ 3 * 3600, 60, 0, 'm', 0 },
		{ 8 * 3600, 3600, 60, 'h', 'm' },
		{ 48 * 3600, 3600, 0, 'h', 0 },
		{ 8 * 86400, 86400, 3600, 'd', 'h' },
		{ 2LL * 365 * 86400, 86400, 0, 'd', 0 },
		{ 8LL * 365 * 86400, 365 * 86400, 86400, 'y', 'd' },
		{ INT64_MAX, 365 * 86400, 0, 'y', 0 },
	};
	int64_t s = duration_ms / 1000;
	size_t i = 0;

	if (s < -1) {
		snprintf(out, AGE_TEXT_BYTES, "<invalid>");
		return out;
	}
	s = MAX(s, 0);
	while (s >= steps[i].below)
		i++;
	int64_t whole = s / steps[i].unit;
	int rest = steps[i].sub ? (int)(s % steps[i].unit / steps[i].sub) % 1000 : 0;
	if (rest)
		snprintf(out, AGE_TEXT_BYTES, "%lld%c%d%c", (long long)whole, steps[i].unit_name, rest,
			 steps[i].sub_name);
	else
		snprintf(out, AGE_TEXT_BYTES, "%lld%c", (long long)whole, steps[i].unit_name);
	return out;
}
