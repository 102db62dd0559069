#include "kube/client/list_stream.h"

#include "base/limits.h"

#include <string.h>

void list_stream_init(struct list_stream *s, const struct list_stream_ops *ops, void *ctx, const struct jx_unread *unread)
{
	*s = (struct list_stream){ .ops = ops, .ctx = ctx, .unread = unread };
	buf_init(&s->outside, LIST_HEAD_BYTES_MAX);
	buf_init(&s->item, LIST_ITEM_BYTES_MAX);
}

void list_stream_done(struct list_stream *s)
{
	buf_done(&s->outside);
	buf_done(&s->item);
}

/* ---- what is outside the items ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether what has come ends with the name "items" and its colon; the array may begin then. */
static bool items_named(struct str text)
{
	while (text.len && is_space(text.ptr[text.len - 1]))
		text.len--;
	if (!text.len || text.ptr[--text.len] != ':')
		return false;
	while (text.len && is_space(text.ptr[text.len - 1]))
		text.len--;
	if (!str_ends(text, STR("\"items\"")))
		return false;
	return text.len == 7 || text.ptr[text.len - 8] != '\\'; /* not the end of "x\"items" */
}

/* The list as if it had ended where its first item is. */
static int tell_head(struct list_stream *s, struct err *e)
{
	cleanup(freep) char *text = xasprintf(STR_FMT "]}", STR_ARG(buf_str(&s->outside)));
	cleanup(json_decrefp) json_t *head = jx_parse(str_of(text), LIST_HEAD_BYTES_MAX + 2, e);

	if (!head)
		return -1;
	s->told = s->ops->head(s->ctx, head);
	if (!s->told) {
		s->whole = true;
		s->outside.max = LIMIT_RESPONSE_BODY_BYTES;
		s->at = LIST_OUTSIDE;
	}
	return 0;
}

/* To the bracket of the items, or all. Returns what is left. */
static struct str take_outside(struct list_stream *s, struct str bytes)
{
	const char *p = bytes.ptr, *end = p + bytes.len;
	bool found = false;

	while (p < end && !found) {
		found = *p == '[' && s->outside_scan.depth == 1 && !s->outside_scan.in_string &&
			items_named(buf_str(&s->outside));
		buf_putc(&s->outside, *p);
		if (!found)
			jx_scan(&s->outside_scan, p, p + 1);
		p++;
	}
	if (found)
		s->at = LIST_FIRST;
	return (struct str){ p, (size_t)(end - p) };
}

static int put_outside(struct list_stream *s, struct str *bytes, struct err *e)
{
	if (s->whole) {
		buf_put_str(&s->outside, *bytes);
		bytes->len = 0;
	} else {
		*bytes = take_outside(s, *bytes);
	}
	if (s->outside.overflow)
		return err_set(e, ERR_TOO_LARGE, "what the list holds beside its items is larger than %zu bytes", s->outside.max);
	return s->at == LIST_FIRST && !s->told ? tell_head(s, e) : 0;
}

/* ---- items ---- */

static int give_item(struct list_stream *s, struct str text, struct err *e)
{
	cleanup(json_decrefp) json_t *item = jx_parse_read(text, LIST_ITEM_BYTES_MAX, s->unread, e);

	s->n_items++;
	if (!item)
		return err_wrap(e, "item %zu of the list", s->n_items);
	s->unwanted = !s->ops->item(s->ctx, item);
	return 0;
}

/* One byte of what stands between items. */
static int between_items(struct list_stream *s, char c, struct err *e)
{
	if (is_space(c))
		return 0;
	if (c == '{' && s->at != LIST_BEHIND) {
		s->at = LIST_ITEM;
		s->item_scan = (struct jx_scan){ 0 };
		buf_clear(&s->item);
	} else if (c == ',' && s->at == LIST_BEHIND) {
		s->at = LIST_NEXT;
	} else if (c == ']' && s->at != LIST_NEXT) {
		s->at = LIST_OUTSIDE;
		buf_putc(&s->outside, c);
	} else {
		return err_set(e, ERR_BAD_REQUEST, "behind item %zu of the list comes neither an object nor the list's end", s->n_items);
	}
	return 0;
}

static int put_item(struct list_stream *s, struct str *bytes, struct err *e)
{
	const char *from = bytes->ptr, *end = from + bytes->len, *stop = jx_scan(&s->item_scan, from, end);
	struct str part = { from, (size_t)((stop ? stop : end) - from) };

	*bytes = (struct str){ from + part.len, bytes->len - part.len };
	if (stop && !s->item.len) { /* it came in one piece */
		s->at = LIST_BEHIND;
		return give_item(s, part, e);
	}
	if (buf_put_str(&s->item, part) < 0)
		return err_set(e, ERR_TOO_LARGE, "item %zu of the list is larger than %u bytes", s->n_items + 1, LIST_ITEM_BYTES_MAX);
	if (!stop)
		return 0;
	s->at = LIST_BEHIND;
	return give_item(s, buf_str(&s->item), e);
}

static int put_some(struct list_stream *s, struct str *bytes, struct err *e)
{
	if (s->at == LIST_OUTSIDE)
		return put_outside(s, bytes, e);
	if (s->at == LIST_ITEM)
		return put_item(s, bytes, e);
	char c = bytes->ptr[0];
	if (between_items(s, c, e) < 0)
		return -1;
	if (s->at != LIST_ITEM) /* whose first byte it was */
		*bytes = (struct str){ bytes->ptr + 1, bytes->len - 1 };
	return 0;
}

int list_stream_put(struct list_stream *s, struct str bytes, struct err *e)
{
	s->bytes += bytes.len;
	if (s->bytes > LIMIT_RESPONSE_BODY_BYTES)
		return err_set(e, ERR_TOO_LARGE, "the list is larger than %u bytes", LIMIT_RESPONSE_BODY_BYTES);
	while (bytes.len && !s->unwanted)
		if (put_some(s, &bytes, e) < 0)
			return -1;
	return 0;
}

/* Items that were held back, or whose name came in other words ("\\u0069tems"). */
static int give_held(struct list_stream *s, json_t *list, struct err *e)
{
	json_t *items = json_object_get(list, "items"), *item;
	size_t i;

	if (!s->told)
		s->ops->head(s->ctx, list);
	json_array_foreach(items, i, item) {
		if (s->unwanted)
			break;
		if (!json_is_object(item))
			return err_set(e, ERR_BAD_REQUEST, "item %zu of the list is no object", i + 1);
		s->unwanted = !s->ops->item(s->ctx, item);
	}
	json_array_clear(items);
	return 0;
}

json_t *list_stream_end(struct list_stream *s, struct err *e)
{
	cleanup(json_decrefp) json_t *list = NULL;

	if (s->at != LIST_OUTSIDE) {
		err_set(e, ERR_BAD_REQUEST, "the list ends behind its item %zu", s->n_items);
		return NULL;
	}
	list = jx_parse(buf_str(&s->outside), s->outside.max, e);
	if (!list)
		return NULL;
	if (!json_is_object(list)) {
		err_set(e, ERR_BAD_REQUEST, "the list is no object");
		return NULL;
	}
	return give_held(s, list, e) < 0 ? NULL : TAKE_PTR(list);
}
