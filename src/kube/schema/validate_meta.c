#include "kube/schema/validate_int.h"

#include <ctype.h>

#define ANNOTATIONS_BYTES_MAX (256u << 10) /* apimachinery's TotalAnnotationSizeLimitB */

void check_labels(struct field_errors *fe, const struct place *p, const json_t *labels)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v) {
		check_format(fe, p, FORMAT_QUALIFIED_NAME, key);
		check_format(fe, p, FORMAT_LABEL_VALUE, json_is_string(v) ? json_string_value(v) : "");
	}
}

/* Annotation keys are compared in lower case, but shown as given. */
void check_annotations(struct field_errors *fe, const struct place *p, const json_t *annotations)
{
	size_t bytes = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)annotations, key, v) {
		cleanup(freep) char *lower = xstrdup(key);
		struct format_messages m;

		for (char *c = lower; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		format_check(FORMAT_QUALIFIED_NAME, lower, &m);
		for (size_t i = 0; i < m.n; i++)
			bad_string(fe, p, key, "%s", m.at[i]);
		bytes += strlen(key) + json_string_length(v);
	}
	if (bytes > ANNOTATIONS_BYTES_MAX)
		too_long(fe, p, ANNOTATIONS_BYTES_MAX);
}

static void check_owner(struct field_errors *fe, const struct place *p, const json_t *owner)
{
	static const char *const members[] = { "kind", "name", "uid" };
	const char *api_version = text_of(owner, "apiVersion");

	if (!api_version[0])
		bad_string(fe, AT(p, "apiVersion"), api_version, "version must not be empty");
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (!text_of(owner, members[i])[0])
			bad_string(fe, AT(p, members[i]), "", "must not be empty");
	if (strcmp(api_version, "v1") == 0 && strcmp(text_of(owner, "kind"), "Event") == 0)
		bad_value(fe, p, owner, "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(struct field_errors *fe, const struct place *p, const json_t *owners)
{
	const json_t *first = NULL;
	json_t *owner;
	size_t i;

	json_array_foreach((json_t *)owners, i, owner) {
		check_owner(fe, p, owner);
		if (!jx_bool(owner, "controller", false))
			continue;
		if (first)
			bad_value(
				fe, p, owners,
				"Only one reference can have Controller set to true. Found \"true\" in references for "
				"%s/%s and %s/%s",
				text_of(first, "kind"), text_of(first, "name"), text_of(owner, "kind"),
				text_of(owner, "name"));
		else
			first = owner;
	}
}

static void check_finalizers(struct field_errors *fe, const struct place *p, const json_t *finalizers)
{
	static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };
	bool orphan = false, foreground = false;
	json_t *f;
	size_t i;

	json_array_foreach((json_t *)finalizers, i, f) {
		const char *name = json_is_string(f) ? json_string_value(f) : "";

		check_format(fe, p, FORMAT_QUALIFIED_NAME, name);
		orphan |= strcmp(name, "orphan") == 0;
		foreground |= strcmp(name, "foregroundDeletion") == 0;
	}
	if (orphan && foreground)
		bad_value(fe, p, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
	json_array_foreach((json_t *)finalizers, i, f) {
		const char *name = json_is_string(f) ? json_string_value(f) : "";

		if (!strchr(name, '/') && !one_of(name, standard))
			bad_string(fe, AT_INDEX(p, i), name,
				   "name is neither a standard finalizer name nor is it fully qualified");
	}
}

/* What may follow a generateName cannot be wrong, so a last dash is as good as a letter. */
static void check_generate_name(struct field_errors *fe, const struct place *p, enum format f,
				const char *base)
{
	cleanup(freep) char *probe = xstrdup(base);
	size_t n = strlen(probe);
	struct format_messages m;

	if (n > 1 && probe[n - 1] == '-' && f != FORMAT_PATH_SEGMENT)
		probe[n - 1] = 'a';
	format_check(f, probe, &m);
	for (size_t i = 0; i < m.n; i++)
		bad_string(fe, p, base, "%s", m.at[i]);
}

static void check_scope(struct field_errors *fe, const struct place *p, const char *ns, bool namespaced)
{
	if (!namespaced && ns[0])
		forbidden(fe, p, "not allowed on this type");
	else if (namespaced && !ns[0])
		missing(fe, p, "");
	else if (namespaced)
		check_format(fe, p, FORMAT_DNS1123_LABEL, ns);
}

void check_metadata(struct field_errors *fe, const struct place *p, const json_t *obj, bool namespaced,
		    enum format name)
{
	const json_t *m = json_object_get(obj, "metadata");
	const char *generate = text_of(m, "generateName");

	if (generate[0])
		check_generate_name(fe, AT(p, "generateName"), name, generate);
	if (text_of(m, "name")[0])
		check_format(fe, AT(p, "name"), name, text_of(m, "name"));
	else
		missing(fe, AT(p, "name"), "name or generateName is required");
	check_scope(fe, AT(p, "namespace"), text_of(m, "namespace"), namespaced);
	check_not_negative(fe, AT(p, "generation"), jx_int(m, "generation", 0));
	check_labels(fe, AT(p, "labels"), json_object_get(m, "labels"));
	check_annotations(fe, AT(p, "annotations"), json_object_get(m, "annotations"));
	check_owners(fe, AT(p, "ownerReferences"), json_object_get(m, "ownerReferences"));
	check_finalizers(fe, AT(p, "finalizers"), json_object_get(m, "finalizers"));
}

static bool array_has(const json_t *array, const json_t *v)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (json_equal(json_array_get(array, i), v))
			return true;
	return false;
}

/* `[]string{"a", "b"}`, as upstream prints the newcomers. */
static void check_no_new_finalizers(struct field_errors *fe, const struct place *p, const json_t *now,
				    const json_t *before)
{
	struct buf names;
	json_t *f;
	size_t i;

	buf_init(&names, 4096);
	json_array_foreach((json_t *)now, i, f)
		if (!array_has(before, f))
			buf_printf(&names, "%s\"%s\"", names.len ? ", " : "", json_string_value(f));
	if (names.len || names.overflow)
		forbidden(
			fe, p,
			"no new finalizers can be added if the object is being deleted, found new finalizers []string{%s}",
			names.ptr ? names.ptr : "");
	buf_done(&names);
}

void check_metadata_update(struct field_errors *fe, const struct place *p, const json_t *obj,
			   const json_t *old)
{
	static const char *const fixed[] = { "name",
					     "namespace",
					     "uid",
					     "creationTimestamp",
					     "deletionTimestamp",
					     "deletionGracePeriodSeconds" };
	const json_t *m = json_object_get(obj, "metadata"), *o = json_object_get(old, "metadata");

	if (json_object_get(o, "deletionTimestamp"))
		check_no_new_finalizers(fe, AT(p, "finalizers"), json_object_get(m, "finalizers"),
					json_object_get(o, "finalizers"));
	if (jx_int(m, "generation", 0) < jx_int(o, "generation", 0))
		bad_int(fe, AT(p, "generation"), jx_int(m, "generation", 0), "must not be decremented");
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		check_immutable(fe, AT(p, fixed[i]), json_object_get(m, fixed[i]),
				json_object_get(o, fixed[i]));
}

static void check_requirement(struct field_errors *fe, const struct place *p, const json_t *r)
{
	static const char *const with_values[] = { "In", "NotIn", NULL }, *const without[] = { "Exists",
											       "DoesNotExist",
											       NULL };
	const json_t *values = json_object_get(r, "values");
	const char *operator= text_of(r, "operator");
	json_t *v;
	size_t i;

	if (one_of(operator, with_values) && !json_array_size(values))
		missing(fe, AT(p, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
	else if (one_of(operator, without) && json_array_size(values))
		forbidden(fe, AT(p, "values"),
			  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	else if (!one_of(operator, with_values) && !one_of(operator, without))
		bad_string(fe, AT(p, "operator"), operator, "not a valid selector operator");
	check_format(fe, AT(p, "key"), FORMAT_QUALIFIED_NAME, text_of(r, "key"));
	json_array_foreach((json_t *)values, i, v)
		check_format(fe, AT_INDEX(AT(p, "values"), i), FORMAT_LABEL_VALUE,
			     json_is_string(v) ? json_string_value(v) : "");
}

void check_label_selector(struct field_errors *fe, const struct place *p, const json_t *selector)
{
	json_t *r;
	size_t i;

	check_labels(fe, AT(p, "matchLabels"), json_object_get(selector, "matchLabels"));
	json_array_foreach(json_object_get(selector, "matchExpressions"), i, r)
		check_requirement(fe, AT_INDEX(AT(p, "matchExpressions"), i), r);
}
