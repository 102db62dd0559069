#include "kube/schema/validate_int.h"

/* What may change in a pod that exists. k8s.io/kubernetes pkg/apis/core/validation, ValidatePodUpdate. */

#define DIFF_BYTES_MAX (16u << 10) /* a screen or two; the rest would be no help */
#define DIFF_CONTEXT 3

/* false when nothing further should be compared. */
static bool check_container_updates(struct field_errors *fe, const struct place *p, const json_t *now,
				    const json_t *before)
{
	json_t *c;
	size_t i;

	if (json_array_size(now) != json_array_size(before)) {
		forbidden(fe, p, "pod updates may not add or remove containers");
		return false;
	}
	json_array_foreach((json_t *)now, i, c) {
		const char *image = text_of(c, "image");

		if (!image[0])
			missing(fe, AT(AT_INDEX(p, i), "image"), "");
		else if (str_trim(str_of(image)).len != strlen(image))
			bad_string(fe, AT(AT_INDEX(p, i), "image"), image,
				   "must not have leading or trailing whitespace");
	}
	return true;
}

static bool check_deadline(struct field_errors *fe, const struct place *p, const json_t *now,
			   const json_t *before)
{
	int64_t n = json_integer_value(now);

	if (now && (n < 0 || n > INT32_MAX)) {
		check_range(fe, p, n, 0, INT32_MAX);
		return false;
	}
	if (now && before && json_integer_value(before) < n) {
		bad_int(fe, p, n, "must be less than or equal to previous value");
		return false;
	}
	if (!now && before)
		bad_value(fe, p, NULL, "must not update from a positive integer to nil value");
	return true;
}

static bool has_toleration(const json_t *list, const json_t *wanted)
{
	json_t *t;
	size_t i;

	json_array_foreach((json_t *)list, i, t) {
		cleanup(json_decrefp) json_t *a = json_copy(t), *b = json_copy((json_t *)wanted);

		json_object_del(a, "tolerationSeconds");
		json_object_del(b, "tolerationSeconds");
		if (same(a, b))
			return true;
	}
	return false;
}

static void check_tolerations_kept(struct field_errors *fe, const struct place *p, const json_t *now,
				   const json_t *before)
{
	json_t *t;
	size_t i;

	json_array_foreach((json_t *)before, i, t) {
		if (!has_toleration(now, t)) {
			forbidden(fe, p,
				  "existing toleration can not be modified except its tolerationSeconds");
			return;
		}
	}
}

static bool has_gate(const json_t *list, const char *name)
{
	json_t *gate;
	size_t i;

	json_array_foreach((json_t *)list, i, gate)
		if (strcmp(text_of(gate, "name"), name) == 0)
			return true;
	return false;
}

static void check_gates_removed(struct field_errors *fe, const struct place *p, const json_t *now,
				const json_t *before)
{
	json_t *gate;
	size_t i;

	json_array_foreach((json_t *)now, i, gate)
		if (!has_gate(before, text_of(gate, "name")))
			forbidden(fe, AT(AT_INDEX(p, i), "name"),
				  "only deletion is allowed, but found new scheduling gate '%s'",
				  text_of(gate, "name"));
}

static void keep_images(json_t *containers, const json_t *before)
{
	json_t *c;
	size_t i;

	json_array_foreach(containers, i, c)
		json_object_set_new(c, "image", json_string(text_of(json_array_get(before, i), "image")));
}

static void keep_member(json_t *spec, const json_t *before, const char *member)
{
	json_t *v = json_object_get(before, member);

	if (v)
		json_object_set(spec, member, v);
	else
		json_object_del(spec, member);
}

/* The new spec with everything that may change put back to what it was. */
static json_t *without_allowed_changes(const json_t *spec, const json_t *old)
{
	static const char *const free_members[] = { "activeDeadlineSeconds", "schedulingGates",
						    "tolerations" };
	json_t *munged = json_deep_copy(spec);

	keep_images(json_object_get(munged, "containers"), json_object_get(old, "containers"));
	keep_images(json_object_get(munged, "initContainers"), json_object_get(old, "initContainers"));
	for (size_t i = 0; i < ARRAY_LEN(free_members); i++)
		keep_member(munged, old, free_members[i]);
	if (jx_int(old, "terminationGracePeriodSeconds", 0) < 0 &&
	    jx_int(munged, "terminationGracePeriodSeconds", 0) == 1)
		keep_member(munged, old, "terminationGracePeriodSeconds");
	if (jx_len(old, "schedulingGates")) {
		keep_member(munged, old, "nodeSelector");
		keep_member(munged, old, "affinity");
	}
	return munged;
}

struct lines {
	struct str *at;
	size_t n;
};

static struct lines lines_of(const char *text)
{
	struct lines l = { 0 };

	for (struct str rest = str_of(text); rest.ptr;) {
		l.at = xrealloc(l.at, (l.n + 1) * sizeof(*l.at));
		l.at[l.n++] = str_cut(rest, '\n', &rest);
	}
	return l;
}

static void put_lines(struct buf *out, char sign, const struct lines *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		buf_printf(out, "%c" STR_FMT "\n", sign, STR_ARG(l->at[i]));
}

/* One hunk from the first difference to the last: enough to see which field it is. */
static void put_diff(struct buf *out, const char *before, const char *after)
{
	struct lines a = lines_of(before), b = lines_of(after);
	size_t head = 0, tail = 0;

	while (head < a.n && head < b.n && str_eq(a.at[head], b.at[head]))
		head++;
	while (tail < a.n - head && tail < b.n - head && str_eq(a.at[a.n - 1 - tail], b.at[b.n - 1 - tail]))
		tail++;
	size_t from = head > DIFF_CONTEXT ? head - DIFF_CONTEXT : 0, behind = MIN(tail, (size_t)DIFF_CONTEXT);
	buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", from + 1, a.n - tail + behind - from, from + 1,
		   b.n - tail + behind - from);
	put_lines(out, ' ', &a, from, head);
	put_lines(out, '-', &a, head, a.n - tail);
	put_lines(out, '+', &b, head, b.n - tail);
	put_lines(out, ' ', &a, a.n - tail, a.n - tail + behind);
	free(a.at);
	free(b.at);
}

#define DIFF_FLAGS (JSON_INDENT(1) | JSON_SORT_KEYS)

static void check_rest(struct field_errors *fe, const struct place *p, const json_t *spec, const json_t *old)
{
	cleanup(json_decrefp) json_t *munged = without_allowed_changes(spec, old);
	struct buf diff;

	if (same(munged, old))
		return;
	cleanup(freep) char *before = json_dumps(old, DIFF_FLAGS);
	cleanup(freep) char *after = json_dumps(munged, DIFF_FLAGS);
	buf_init(&diff, DIFF_BYTES_MAX);
	put_diff(&diff, before ? before : "", after ? after : "");
	forbidden(
		fe, p,
		"pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
		"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
		"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n%s",
		diff.ptr ? diff.ptr : "");
	buf_done(&diff);
}

void validate_pod_spec_update(struct field_errors *fe, const struct place *p, const json_t *spec,
			      const json_t *old)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!check_container_updates(fe, AT(p, lists[i]), json_object_get(spec, lists[i]),
					     json_object_get(old, lists[i])))
			return;
	if (!check_deadline(fe, AT(p, "activeDeadlineSeconds"),
			    json_object_get(spec, "activeDeadlineSeconds"),
			    json_object_get(old, "activeDeadlineSeconds")))
		return;
	check_tolerations_kept(fe, AT(p, "tolerations"), json_object_get(spec, "tolerations"),
			       json_object_get(old, "tolerations"));
	check_gates_removed(fe, AT(p, "schedulingGates"), json_object_get(spec, "schedulingGates"),
			    json_object_get(old, "schedulingGates"));
	check_rest(fe, p, spec, old);
}

static const json_t *named(const json_t *list, const char *name)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c)
		if (strcmp(text_of(c, "name"), name) == 0)
			return c;
	return NULL;
}

/* Ephemeral containers are only ever added. */
void validate_pod_part(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *list = jx_at(obj, "spec.ephemeralContainers");
	const struct place *p = AT(NULL, "spec"), *at = AT(p, "ephemeralContainers");
	json_t *c;
	size_t i;

	validate_pod_spec(fe, p, json_object_get(obj, "spec"));
	json_array_foreach(jx_at(old, "spec.ephemeralContainers"), i, c) {
		const json_t *now = named(list, text_of(c, "name"));

		if (!now)
			forbidden(fe, at, "existing ephemeral containers \"%s\" may not be removed\n",
				  text_of(c, "name"));
		else if (!same(now, c))
			forbidden(fe, at, "existing ephemeral containers \"%s\" may not be changed\n",
				  text_of(c, "name"));
	}
}

void validate_pod_status(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const struct place *p = AT(AT(NULL, "status"), "conditions");
	const char *node = text_of(json_object_get(obj, "spec"), "nodeName");
	json_t *c;
	size_t i;

	if (strcmp(node, text_of(json_object_get(old, "spec"), "nodeName")) != 0)
		forbidden(fe, AT(AT(NULL, "spec"), "nodeName"), "may not be changed directly");
	json_array_foreach(jx_at(obj, "status.conditions"), i, c)
		if (!is_qualified_name(text_of(c, "type")))
			bad_string(fe, AT(AT_INDEX(p, i), "type"), text_of(c, "type"),
				   "Invalid pod condition type");
}
