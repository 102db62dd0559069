/* Requests, answered from what the files hold. Statuses and Events are kept in memory; nothing else is written. */
#include "kube/client/files_int.h"
#include "kube/schema/patch.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- paths ---- */

void kube_target_done(struct kube_target *t)
{
	free(t->group);
	free(t->version);
	free(t->ns);
	free(t->plural);
	free(t->name);
	free(t->sub);
	free(t->query);
	*t = (struct kube_target){ 0 };
}

static char *segment(struct str *rest)
{
	struct str s = rest->ptr ? str_cut(*rest, '/', rest) : STR_NONE;

	return s.len ? str_dup(s) : NULL;
}

/* "/api/v1/…" and "/apis/GROUP/VERSION/…", then "namespaces/NS/PLURAL/NAME/SUB" or "PLURAL/NAME/SUB". */
int kube_target_parse(const char *path, struct kube_target *ret, struct err *e)
{
	struct str query, rest = str_cut(str_of(path), '?', &query);
	struct kube_target t = { 0 };

	if (str_starts(rest, STR("/apis/"))) {
		rest = (struct str){ rest.ptr + 6, rest.len - 6 };
		t.group = segment(&rest);
	} else if (str_starts(rest, STR("/api/"))) {
		rest = (struct str){ rest.ptr + 5, rest.len - 5 };
		t.group = xstrdup("");
	}
	t.version = segment(&rest);
	t.plural = segment(&rest);
	t.name = segment(&rest);
	t.sub = segment(&rest);
	if (c_eq(t.plural, "namespaces") && t.name && t.sub && !c_eq(t.sub, "status") && !c_eq(t.sub, "finalize")) {
		free(t.plural);
		t.ns = t.name;
		t.plural = t.sub;
		t.name = segment(&rest);
		t.sub = segment(&rest);
	}
	t.query = query.ptr ? str_dup(query) : NULL;
	if (t.group && t.version && t.plural && !rest.ptr) {
		*ret = t;
		return 0;
	}
	kube_target_done(&t);
	return err_set(e, ERR_NOT_FOUND, "the server could not find the requested resource");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of a query parameter, decoded, on the heap; NULL: there is none. */
static char *query_value(const char *query, const char *name)
{
	struct str rest = str_of(query);

	while (rest.ptr) {
		struct str value, pair = str_cut(rest, '&', &rest), key = str_cut(pair, '=', &value);
		if (!str_eq_c(key, name))
			continue;
		char *out = xmalloc(value.len + 1);
		size_t n = 0;
		for (size_t i = 0; i < value.len; i++) {
			int high = value.ptr[i] == '%' && i + 2 < value.len ? hex_digit(value.ptr[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(value.ptr[i + 2]) : -1;
			out[n++] = low >= 0 ? (char)(high << 4 | low) : value.ptr[i] == '+' ? ' ' : value.ptr[i];
			i += low >= 0 ? 2 : 0;
		}
		out[n] = '\0';
		return out;
	}
	return NULL;
}

/* ---- reading ---- */

struct listing {
	json_t *items;
	const char *ns;
	struct selector *labels;
	struct field_selector fields;
};

static void put_item(void *ctx, const struct known *k, json_t *obj)
{
	struct listing *l = ctx;

	(void)k;
	if (files_selects(l->ns, l->labels, &l->fields, obj))
		json_array_append(l->items, obj);
}

static int parse_selectors(const char *query, struct listing *l, struct err *e)
{
	cleanup(freep) char *labels = query_value(query, "labelSelector"), *fields = query_value(query, "fieldSelector");

	if (labels && !(l->labels = selector_parse(str_of(labels), e)))
		return -1;
	return fields ? field_selector_parse(str_of(fields), &l->fields, e) : 0;
}

static int answer_list(struct kube_files *f, const struct kube_target *t, const struct resource *res, json_t **ret_obj,
		       struct err *e)
{
	const struct resource *storage = res->storage ? res->storage : res;
	struct listing l = { .ns = t->ns };
	cleanup(freep) char *api_version = resource_api_version(res), *kind = xasprintf("%sList", res->kind);
	cleanup(freep) char *watch = query_value(t->query, "watch"), *version = xasprintf("%" PRIu64, f->version);
	int rc = 0;

	if (watch && !c_eq(watch, "false") && !c_eq(watch, "0"))
		return err_set(e, ERR_METHOD_NOT_ALLOWED, "a folder of manifests is watched by informers only");
	rc = parse_selectors(t->query, &l, e);
	if (rc == 0) {
		l.items = json_array();
		files_each(f, storage, put_item, &l);
		*ret_obj = json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", kind, "apiVersion", api_version, "metadata",
				     "resourceVersion", version, "items", l.items);
	}
	selector_free(l.labels);
	field_selector_done(&l.fields);
	return rc;
}

static int not_found(const struct kube_target *t, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "%s%s%s \"%s\" not found", t->plural, t->group[0] ? "." : "", t->group, t->name);
}

static int answer_get(struct kube_files *f, const struct kube_target *t, const struct resource *res, json_t **ret_obj,
		      struct err *e)
{
	cleanup(freep) char *key = files_key(res->storage ? res->storage : res, t->ns, t->name);

	*ret_obj = files_object(f, key);
	return *ret_obj ? 0 : not_found(t, e);
}

/* ---- writing ---- */

static json_t *patched(const struct resource *res, const json_t *obj, const char *type, const json_t *patch, struct err *e)
{
	if (c_eq(type, KUBE_MERGE_PATCH))
		return patch_merge(obj, patch, e);
	if (c_eq(type, KUBE_JSON_PATCH))
		return patch_json(obj, patch, e);
	if (c_eq(type, KUBE_STRATEGIC_PATCH))
		return patch_strategic(res->type, obj, patch, e);
	err_set(e, ERR_UNSUPPORTED_MEDIA, "patches are merge, strategic merge or JSON patches");
	return NULL;
}

/* The object as the request leaves it, new. */
static json_t *after_write(struct kube_files *f, const char *method, const struct kube_target *t, const struct resource *res,
			   const char *key, const char *content_type, const json_t *body, struct err *e)
{
	if (strcmp(method, "PUT") == 0)
		return json_deep_copy(body);
	cleanup(json_decrefp) json_t *now = files_object(f, key);
	if (!now) {
		not_found(t, e);
		return NULL;
	}
	return patched(res, now, content_type, body, e);
}

static int write_status(struct kube_files *f, const char *method, const struct kube_target *t, const struct resource *res,
			const char *content_type, const json_t *body, json_t **ret_obj, struct err *e)
{
	cleanup(freep) char *key = files_key(res->storage ? res->storage : res, t->ns, t->name);
	struct known *k = map_get_c(&f->objects, key);

	if (!k || !k->source)
		return not_found(t, e);
	cleanup(json_decrefp) json_t *written = after_write(f, method, t, res, key, content_type, body, e);
	cleanup(json_decrefp) json_t *obj = written ? files_object(f, key) : NULL;
	if (!written)
		return -1;
	if (!obj)
		return not_found(t, e);
	/* Of a write to the status nothing else counts. */
	json_t *status = json_object_get(written, "status");
	if (status)
		json_object_set(obj, "status", status);
	else
		json_object_del(obj, "status");
	files_put_status(f, k, obj);
	cleanup(freep) char *text = status ? jx_dump_text(status) : xstrdup("{}");
	files_note(f, KUBE_FILES_STATUS, "%s %s%s%s: %s", res->kind, t->ns ? t->ns : "", t->ns ? "/" : "", t->name, text);
	*ret_obj = TAKE_PTR(obj);
	return 0;
}

static void note_event(struct kube_files *f, const json_t *ev)
{
	const char *ns = jx_str(ev, "involvedObject.namespace");

	files_note(f, KUBE_FILES_EVENT, "%s %s %s %s%s%s: %s", jx_str_or(ev, "type", "Normal"), jx_str_or(ev, "reason", ""),
		   jx_str_or(ev, "involvedObject.kind", ""), ns ? ns : "", ns ? "/" : "",
		   jx_str_or(ev, "involvedObject.name", ""), jx_str_or(ev, "message", ""));
}

static int write_event(struct kube_files *f, const char *method, const struct kube_target *t, const struct resource *res,
		       const char *content_type, const json_t *body, json_t **ret_obj, struct err *e)
{
	bool create = strcmp(method, "POST") == 0;
	cleanup(freep) char *key = create ? NULL : files_key(res, t->ns, t->name);
	json_t *ev = create ? json_deep_copy(body) : after_write(f, method, t, res, key, content_type, body, e);

	if (!ev)
		return create ? err_set(e, ERR_BAD_REQUEST, "an Event has a body") : -1;
	if (!jx_name(ev) || !jx_namespace(ev)) {
		json_decref(ev);
		return err_set(e, ERR_INVALID, "an Event has a name and a namespace");
	}
	if (create)
		note_event(f, ev);
	files_put_event(f, res, ev);
	*ret_obj = json_deep_copy(ev);
	return 0;
}

static int write_refused(const struct kube_files *f, struct err *e)
{
	return err_set(e, ERR_METHOD_NOT_ALLOWED, "objects come from the files in %s: only statuses and Events are taken", f->dir);
}

static int answer(struct kube_files *f, const char *method, const struct kube_target *t, const char *content_type,
		  const json_t *body, json_t **ret_obj, struct err *e)
{
	const struct resource *res = resource_find(str_of(t->group), str_of(t->version), str_of(t->plural));
	bool patch = strcmp(method, "PATCH") == 0, put = strcmp(method, "PUT") == 0, post = strcmp(method, "POST") == 0;

	if (!res)
		return err_set(e, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (strcmp(method, "GET") == 0)
		return t->name ? answer_get(f, t, res, ret_obj, e) : answer_list(f, t, res, ret_obj, e);
	if (c_eq(t->sub, "status") && (patch || put))
		return write_status(f, method, t, res, content_type, body, ret_obj, e);
	if (c_eq(res->kind, "Event") && !t->sub && ((post && !t->name) || ((patch || put) && t->name)))
		return write_event(f, method, t, res, content_type, body, ret_obj, e);
	return write_refused(f, e);
}

int files_answer(struct kube_files *f, const char *method, const char *path, const char *content_type, const json_t *body,
		 json_t **ret_obj, struct err *e)
{
	struct kube_target t;

	*ret_obj = NULL;
	if (kube_target_parse(path, &t, e) < 0)
		return err_http(e->reason);
	int rc = answer(f, method, &t, content_type, body, ret_obj, e);
	kube_target_done(&t);
	if (rc < 0)
		return err_http(e->reason);
	return strcmp(method, "POST") == 0 ? 201 : 200;
}
