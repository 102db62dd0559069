/* protobuf_wire.h - protobuf's wire format: varints, tags, lengths.
 * protobuf.dev/programming-guides/encoding. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
struct wire_field {
	uint32_t tag;
	enum wire wire;
	uint64_t number;  /* WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
	struct str bytes; /* WIRE_BYTES; into the message */
};
/* Takes the next field off the front of *msg. 1: there was one; 0: the end; -1: malformed. */
int wire_next(struct str *msg, struct wire_field *ret_field, struct err *e) must_check;
/* One varint off the front. */
int wire_varint(struct str *msg, uint64_t *ret_number, struct err *e) must_check;

int wire_put_varint(struct buf *out, uint64_t n);
int wire_put_number(struct buf *out, uint32_t tag, uint64_t n);
int wire_put_bytes(struct buf *out, uint32_t tag, struct str bytes);
/* A message of unknown length: content goes between the two. */
size_t wire_open(struct buf *out, uint32_t tag);
int wire_close(struct buf *out, size_t opened);

/* The envelope of Kubernetes: "k8s\0" and a runtime.Unknown. */
#define PROTOBUF_PREFIX STR("k8s\0")
