#include "roles/ingress/tls/client_hello.h"

enum { RECORD_HANDSHAKE = 22, CLIENT_HELLO = 1, EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16, NAME_HOST = 0 };
#define RECORD_HEAD_BYTES 5
#define RECORD_BYTES_MAX 16384
#define MESSAGE_HEAD_BYTES 4

/* What is left to read; `bad` once something did not fit. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

static size_t take_number(struct reader *r, size_t bytes)
{
	const uint8_t *p = take(r, bytes);
	size_t n = 0;

	for (size_t i = 0; p && i < bytes; i++)
		n = n << 8 | p[i];
	return n;
}

/* A run of bytes behind its length. */
static struct reader take_vector(struct reader *r, size_t length_bytes, size_t min)
{
	size_t n = take_number(r, length_bytes);
	const uint8_t *p = take(r, n);

	if (n < min)
		r->bad = true;
	return (struct reader){ p, p ? n : 0, r->bad };
}

static bool read_name(struct reader ext, struct client_hello *ret)
{
	struct reader list = take_vector(&ext, 2, 1);
	size_t type = take_number(&list, 1);
	struct reader name = take_vector(&list, 2, 1);

	if (ext.bad || ext.left || list.bad || list.left || type != NAME_HOST || name.left > CLIENT_HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.left; i++)
		if (name.at[i] <= ' ' || name.at[i] >= 0x7f)
			return false;
	memcpy(ret->server_name, name.at, name.left);
	ret->server_name[name.left] = '\0';
	return true;
}

static bool read_alpn(struct reader ext, struct client_hello *ret)
{
	struct reader list = take_vector(&ext, 2, 2);

	if (ext.bad || ext.left)
		return false;
	while (list.left) {
		const uint8_t *from = list.at;
		struct reader name = take_vector(&list, 1, 1);

		if (list.bad)
			return false;
		if (ret->alpn_len + 1 + name.left > sizeof(ret->alpn))
			continue;
		memcpy(ret->alpn + ret->alpn_len, from, 1 + name.left);
		ret->alpn_len += 1 + name.left;
	}
	return true;
}

static bool read_extensions(struct reader all, struct client_hello *ret)
{
	bool named = false, alpn = false;

	while (all.left) {
		size_t type = take_number(&all, 2);
		struct reader ext = take_vector(&all, 2, 0);

		if (all.bad)
			return false;
		if (type == EXTENSION_SERVER_NAME && (named || !read_name(ext, ret)))
			return false;
		if (type == EXTENSION_ALPN && (alpn || !read_alpn(ext, ret)))
			return false;
		named |= type == EXTENSION_SERVER_NAME;
		alpn |= type == EXTENSION_ALPN;
	}
	return true;
}

static bool read_message(struct reader r, struct client_hello *ret)
{
	take(&r, 2 + 32); /* version, random */
	struct reader session = take_vector(&r, 1, 0);
	struct reader suites = take_vector(&r, 2, 2);
	take_vector(&r, 1, 1); /* compression */
	if (r.bad || session.left > 32 || suites.left % 2)
		return false;
	if (r.left == 0)
		return true; /* before TLS 1.2 there were no extensions */
	struct reader extensions = take_vector(&r, 2, 0);
	return !r.bad && r.left == 0 && read_extensions(extensions, ret);
}

/* The message may be cut into records as the client likes: they are put together in `out`. Returns 1, 0 or -1 as above. */
static int join(struct reader in, uint8_t *out, size_t *ret_len)
{
	size_t have = 0, want = MESSAGE_HEAD_BYTES;

	while (have < want) {
		if (in.left && in.at[0] != RECORD_HANDSHAKE)
			return -1;
		if (in.left > 1 && in.at[1] != 3)
			return -1;
		if (in.left < RECORD_HEAD_BYTES)
			return 0;
		size_t n = (size_t)in.at[3] << 8 | in.at[4];
		if (n == 0 || n > RECORD_BYTES_MAX)
			return -1;
		take(&in, RECORD_HEAD_BYTES);
		size_t here = MIN(n, in.left);
		if (have + here > MESSAGE_HEAD_BYTES + CLIENT_HELLO_BYTES_MAX)
			return -1;
		memcpy(out + have, take(&in, here), here);
		have += here;
		if (out[0] != CLIENT_HELLO && have)
			return -1;
		if (have >= MESSAGE_HEAD_BYTES)
			want = MESSAGE_HEAD_BYTES + ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]);
		if (want > MESSAGE_HEAD_BYTES + CLIENT_HELLO_BYTES_MAX)
			return -1;
		if (have >= MESSAGE_HEAD_BYTES && have - here + n > want)
			return -1; /* nothing may follow it in its record */
		if (here < n)
			return 0;
	}
	*ret_len = want;
	return 1;
}

int client_hello_parse(const void *bytes, size_t len, struct client_hello *ret)
{
	static _Thread_local uint8_t message[MESSAGE_HEAD_BYTES + CLIENT_HELLO_BYTES_MAX];
	size_t n = 0;
	int r = join((struct reader){ bytes, len, false }, message, &n);

	*ret = (struct client_hello){ 0 };
	if (r <= 0)
		return r;
	return read_message((struct reader){ message + MESSAGE_HEAD_BYTES, n - MESSAGE_HEAD_BYTES, false }, ret) ? 1 : -1;
}
