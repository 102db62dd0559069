#include "kube/schema/protobuf_wire.h"

static int cut_short(struct err *e)
{
	return err_set(e, ERR_BAD_REQUEST, "unexpected EOF");
}

static struct str take(struct str *msg, size_t n)
{
	struct str s = { msg->ptr, n };

	*msg = (struct str){ msg->ptr + n, msg->len - n };
	return s;
}

int wire_varint(struct str *msg, uint64_t *ret_number, struct err *e)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (!msg->len)
			return cut_short(e);
		uint8_t byte = (uint8_t)*take(msg, 1).ptr;
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_number = n;
			return 0;
		}
	}
	return err_set(e, ERR_BAD_REQUEST, "proto: integer overflow");
}

static int take_fixed(struct str *msg, size_t bytes, uint64_t *ret_number, struct err *e)
{
	uint64_t n = 0;

	if (msg->len < bytes)
		return cut_short(e);
	struct str s = take(msg, bytes);
	for (size_t i = 0; i < bytes; i++)
		n |= (uint64_t)(uint8_t)s.ptr[i] << (8 * i);
	*ret_number = n;
	return 0;
}

int wire_next(struct str *msg, struct wire_field *ret_field, struct err *e)
{
	uint64_t key, len;

	if (!msg->len)
		return 0;
	if (wire_varint(msg, &key, e) < 0)
		return -1;
	ret_field->tag = (uint32_t)(key >> 3);
	ret_field->wire = (enum wire)(key & 7);
	if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
		return err_set(e, ERR_BAD_REQUEST, "proto: illegal tag %d (wire type %d)",
			       (int)ret_field->tag, (int)(key & 7));
	switch (key & 7) {
	case WIRE_VARINT:
		return wire_varint(msg, &ret_field->number, e) < 0 ? -1 : 1;
	case WIRE_FIXED64:
		return take_fixed(msg, 8, &ret_field->number, e) < 0 ? -1 : 1;
	case WIRE_FIXED32:
		return take_fixed(msg, 4, &ret_field->number, e) < 0 ? -1 : 1;
	case WIRE_BYTES:
		if (wire_varint(msg, &len, e) < 0)
			return -1;
		if (len > msg->len)
			return cut_short(e);
		ret_field->bytes = take(msg, (size_t)len);
		return 1;
	default:
		return err_set(e, ERR_BAD_REQUEST, "proto: illegal wireType %d", (int)(key & 7));
	}
}

int wire_put_varint(struct buf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_putc(out, (char)(n | 0x80));
	return buf_putc(out, (char)n);
}

int wire_put_number(struct buf *out, uint32_t tag, uint64_t n)
{
	wire_put_varint(out, tag << 3 | WIRE_VARINT);
	return wire_put_varint(out, n);
}

int wire_put_bytes(struct buf *out, uint32_t tag, struct str bytes)
{
	wire_put_varint(out, tag << 3 | WIRE_BYTES);
	wire_put_varint(out, bytes.len);
	return buf_put_str(out, bytes);
}

size_t wire_open(struct buf *out, uint32_t tag)
{
	wire_put_varint(out, tag << 3 | WIRE_BYTES);
	return out->len;
}

/* Most messages are shorter than 128 bytes, so moving the content for its length costs little. */
int wire_close(struct buf *out, size_t opened)
{
	size_t len = out->len - opened;
	char head[10];
	size_t n = 0;

	for (size_t v = len; n == 0 || v; v >>= 7)
		head[n++] = (char)(v >= 0x80 ? v | 0x80 : v);
	if (buf_put(out, head, n) < 0)
		return -1;
	memmove(out->ptr + opened + n, out->ptr + opened, len);
	memcpy(out->ptr + opened, head, n);
	return 0;
}
