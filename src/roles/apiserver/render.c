#include "roles/apiserver/render.h"

#include "kube/schema/table.h"
#include "roles/apiserver/convert.h"

static bool is_table(enum form f)
{
	return f == FORM_TABLE || f == FORM_TABLE_V1BETA1;
}

static const char *table_version(enum form f)
{
	return f == FORM_TABLE_V1BETA1 ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1";
}

/* The object in the asked version: the stored one itself, or a new one. The caller unrefs it. */
static struct object *view_of(const struct resource *r, const struct object *o, struct err *e)
{
	if (!r->storage)
		return object_ref((struct object *)o);
	cleanup(json_decrefp) json_t *tree = object_tree(o, e);
	if (!tree)
		return NULL;
	cleanup(json_decrefp) json_t *view = object_convert(r->storage, r, tree);
	return object_new(r, view, e);
}

static void put_partial(const struct object *o, struct buf *out)
{
	buf_puts(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/"
		      "v1\",\"metadata\":");
	buf_put_str(out, object_metadata(o));
	buf_putc(out, '}');
}

static int put_row(const struct render *rd, const struct object *o, struct buf *out, struct err *e)
{
	cleanup(json_decrefp) json_t *tree = object_tree(o, e);

	if (!tree)
		return -1;
	cleanup(json_decrefp) json_t *cells = table_cells(rd->res, tree, rd->now_ms);
	buf_puts(out, "{\"cells\":");
	(void)!jx_dump(cells, out);
	buf_puts(out, ",\"object\":");
	if (c_eq(rd->include_object, "None"))
		buf_puts(out, "null");
	else if (c_eq(rd->include_object, "Object"))
		buf_put(out, o->json, o->json_len);
	else
		put_partial(o, out);
	return buf_putc(out, '}');
}

static void put_columns(struct render *rd, struct buf *out)
{
	cleanup(json_decrefp) json_t *columns = rd->columns_sent ? NULL : table_columns(rd->res);

	buf_puts(out, "\"columnDefinitions\":");
	if (columns)
		(void)!jx_dump(columns, out);
	else
		buf_puts(out, "null");
	rd->columns_sent = true;
}

static int put_item(const struct render *rd, const struct object *o, struct buf *out, struct err *e)
{
	struct object *view = view_of(rd->res, o, e);
	int r = 0;

	if (!view)
		return -1;
	if (is_table(rd->form)) {
		r = put_row(rd, view, out, e);
	} else if (rd->form == FORM_PARTIAL || rd->form == FORM_PARTIAL_LIST) {
		put_partial(view, out);
	} else {
		buf_putc(out, '{');
		buf_put_str(out, object_bare(view));
	}
	object_unref(view);
	return r;
}

static int finish(struct buf *out, int r, struct err *e)
{
	if (r == 0 && out->overflow)
		return err_set(
			e, ERR_TOO_LARGE,
			"the answer is larger than this server sends: ask for pages with `limit`");
	return r;
}

static void put_table_head(struct render *rd, struct buf *out)
{
	buf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"%s\",\"metadata\":",
		   table_version(rd->form));
}

int render_object(struct render *rd, const struct object *o, struct buf *out, struct err *e)
{
	struct object *view = view_of(rd->res, o, e);
	int r = 0;

	if (!view)
		return -1;
	if (is_table(rd->form)) {
		put_table_head(rd, out);
		buf_printf(out, "{\"resourceVersion\":\"%llu\"},", (unsigned long long)o->rv);
		put_columns(rd, out);
		buf_puts(out, ",\"rows\":[");
		r = put_row(rd, view, out, e);
		buf_puts(out, "]}");
	} else if (rd->form == FORM_PARTIAL || rd->form == FORM_PARTIAL_LIST) {
		put_partial(view, out);
	} else {
		buf_put(out, view->json, view->json_len);
	}
	object_unref(view);
	return finish(out, r, e);
}

static void put_list_head(struct render *rd, struct buf *out)
{
	if (is_table(rd->form))
		put_table_head(rd, out);
	else if (rd->form == FORM_PARTIAL || rd->form == FORM_PARTIAL_LIST)
		buf_puts(out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s."
			      "io/v1\",\"metadata\":");
	else
		buf_printf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"%s%s%s\",\"metadata\":",
			   rd->res->kind, rd->res->group, rd->res->group[0] ? "/" : "",
			   rd->res->version);
}

int render_list(struct render *rd, const struct render_list *l, struct buf *out, struct err *e)
{
	int r = 0;

	put_list_head(rd, out);
	buf_printf(out, "{\"resourceVersion\":\"%llu\"", (unsigned long long)l->rv);
	if (l->continue_token)
		buf_printf(out, ",\"continue\":\"%s\"", l->continue_token);
	if (l->continue_token && l->remaining)
		buf_printf(out, ",\"remainingItemCount\":%llu", (unsigned long long)l->remaining);
	buf_puts(out, "},");
	if (is_table(rd->form)) {
		put_columns(rd, out);
		buf_putc(out, ',');
	}
	buf_puts(out, is_table(rd->form) ? "\"rows\":[" : "\"items\":[");
	for (size_t i = 0; r == 0 && i < l->n; i++) {
		if (i)
			buf_putc(out, ',');
		r = put_item(rd, l->at[i], out, e);
	}
	buf_puts(out, "]}");
	return finish(out, r, e);
}
