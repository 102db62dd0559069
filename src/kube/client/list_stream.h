/* list_stream.h - the items of a Kubernetes list, one by one while its text arrives.
 *
 * A page of 500 Pods is megabytes of text, and twenty times that as a tree: here one item at a time is a tree. Items are
 * given out before the rest has been seen, so that a list may turn out to be broken when half of it is in use already.
 */
#pragma once

#include "codec/jx.h"

#define LIST_ITEM_BYTES_MAX (4u << 20) /* an object may have LIMIT_OBJECT_BYTES; escapes make it longer */
#define LIST_HEAD_BYTES_MAX (1u << 20) /* kind and metadata, whose longest part is the continue token */

struct list_stream_ops {
	/* Before the first item: the list as far as it has come, with no items. False: what it says is not enough to go on
	 * (a kind that comes last). Then items are held back, all of them in memory, and it is asked again at the end. */
	bool (*head)(void *ctx, const json_t *list);
	/* Borrowed; may be changed. False: no more is wanted. */
	bool (*item)(void *ctx, json_t *item);
};

struct list_stream {
	const struct list_stream_ops *ops;
	void *ctx;
	const struct jx_unread *unread; /* of items; NULL: none */
	struct buf outside;		/* all but the items, which are "[]" there */
	struct buf item;		/* the beginning of one */
	struct jx_scan outside_scan, item_scan;
	size_t bytes, n_items; /* so far */
	enum { LIST_OUTSIDE, LIST_FIRST, LIST_NEXT, LIST_ITEM, LIST_BEHIND } at;
	bool told;     /* the head was, and was enough */
	bool whole;    /* it was not */
	bool unwanted; /* the caller has had enough */
};
/* `unread` is borrowed until list_stream_done. */
void list_stream_init(struct list_stream *s, const struct list_stream_ops *ops, void *ctx, const struct jx_unread *unread);
void list_stream_done(struct list_stream *s); /* takes a zeroed one, too */
/* The next bytes. After an error nothing more may be put. */
int list_stream_put(struct list_stream *s, struct str bytes, struct err *e) must_check;
/* The text is over: the list without its items, new. NULL: it was not complete, or is no JSON. */
json_t *list_stream_end(struct list_stream *s, struct err *e) must_check;
