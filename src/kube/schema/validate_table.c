#include "kube/schema/validate_int.h"

/* For kinds without rules of their own: what is required and what is enumerated, read from the tables. */

static void check_value(struct field_errors *fe, const struct place *p, const struct schema_field *f,
			const json_t *v)
{
	if (f->kind == SK_OBJECT && json_is_object(v))
		validate_by_table(fe, p, f->sub, v);
	else if (f->options && json_is_string(v) && json_string_length(v) &&
		 !one_of(json_string_value(v), f->options))
		unsupported(fe, p, json_string_value(v), f->options);
}

static void check_field(struct field_errors *fe, const struct place *p, const struct schema_field *f,
			const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (f->required && f->kind == SK_STRING && f->shape == SS_ONE && is_zero(v))
		missing(fe, p, "");
	else if (f->shape == SS_ONE && v)
		check_value(fe, p, f, v);
	else if (f->shape == SS_LIST)
		json_array_foreach((json_t *)v, i, item)
			check_value(fe, AT_INDEX(p, i), f, item);
	else if (f->shape == SS_MAP)
		json_object_foreach((json_t *)v, key, item)
			check_value(fe, AT_KEY(p, key), f, item);
}

void validate_by_table(struct field_errors *fe, const struct place *p, const struct schema_type *t,
		       const json_t *obj)
{
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct schema_field *f = &t->fields[i];

		if (p || (strcmp(f->name, "metadata") != 0 && strcmp(f->name, "status") != 0))
			check_field(fe, AT(p, f->name), f, json_object_get(obj, f->name));
	}
}
