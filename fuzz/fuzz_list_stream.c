/* A list in pieces: the first byte says how long they are. Its items are those of the text as a whole. */
#include "kube/client/list_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_head(void *ctx, const json_t *list)
{
	(void)ctx;
	return jx_str(list, "kind");
}

static bool on_item(void *ctx, json_t *item)
{
	json_array_append(ctx, item);
	return true;
}

/* The items, or NULL: it was refused. */
static json_t *stream(struct str text, size_t piece)
{
	static const struct list_stream_ops ops = { .head = on_head, .item = on_item };
	json_t *items = json_array();
	struct list_stream l;
	struct err e;
	int rc = 0;

	list_stream_init(&l, &ops, items, NULL);
	for (size_t at = 0; at < text.len && rc == 0; at += piece)
		rc = list_stream_put(&l, (struct str){ text.ptr + at, MIN(piece, text.len - at) }, &e);
	json_t *list = rc == 0 ? list_stream_end(&l, &e) : NULL;
	list_stream_done(&l);
	if (!list) {
		json_decref(items);
		items = NULL;
	}
	json_decref(list);
	return items;
}

static bool all_objects(const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
		if (!json_is_object(item))
			return false;
	return true;
}

static void same(const json_t *a, const json_t *b)
{
	if (!a != !b || (a && !json_equal(a, b)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct str text = { (const char *)data + 1, size - 1 };
	struct err e;
	json_t *pieces = stream(text, 1 + data[0] % 40), *whole = stream(text, SIZE_MAX / 2);
	json_t *list = jx_parse(text, size, &e), *once = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	same(pieces, whole);
	if (whole && !list && !strstr(e.message, "nested deeper"))
		abort();
	/* Two members "items" are both given out. */
	if (once && list && json_is_object(list)) {
		json_t *items = json_object_get(list, "items"), *none = json_array();
		same(whole, !all_objects(items) ? NULL : json_is_array(items) ? items : none);
		json_decref(none);
	}
	json_decref(once);
	json_decref(list);
	json_decref(pieces);
	json_decref(whole);
	return 0;
}
