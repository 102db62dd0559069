#include "roles/ingress/filter/htdigest.h"

#include "base/map.h"

struct htdigest {
	struct map users;  /* "0user:realm" → HA1; the digit is the algorithm */
	struct map realms; /* "0realm" → itself */
	size_t n_unusable, bytes;
};

struct htdigest *htdigest_new(void)
{
	struct htdigest *h = xcalloc(1, sizeof(*h));

	map_init(&h->users);
	map_init(&h->realms);
	return h;
}

void htdigest_free(struct htdigest *h)
{
	if (!h)
		return;
	map_done(&h->users, free);
	map_done(&h->realms, NULL);
	free(h);
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("0123456789abcdefABCDEF", s.ptr[i]) || !s.ptr[i])
			return false;
	return true;
}

static char *lower_case(struct str s)
{
	char *text = str_dup(s);

	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	return text;
}

static char *user_key(struct str user, struct str realm, enum digest_algorithm a)
{
	return xasprintf("%d" STR_FMT ":" STR_FMT, a, STR_ARG(user), STR_ARG(realm));
}

static void add(struct htdigest *h, struct str user, struct str realm, struct str hash)
{
	if (!user.len || (hash.len != 32 && hash.len != 64) || !is_hex(hash)) {
		h->n_unusable++;
		return;
	}
	enum digest_algorithm a = hash.len == 32 ? DIGEST_MD5 : DIGEST_SHA_256;
	cleanup(freep) char *key = user_key(user, realm, a), *of_realm = xasprintf("%d" STR_FMT, a, STR_ARG(realm));
	if (map_get_c(&h->users, key))
		return;
	map_put_c(&h->users, key, lower_case(hash));
	map_put_c(&h->realms, of_realm, h);
}

/* "realm:HA1": a realm may hold colons, a hash none. */
static bool realm_and_hash(struct str text, struct str *ret_realm, struct str *ret_hash)
{
	size_t at = text.len;

	while (at && text.ptr[at - 1] != ':')
		at--;
	if (!at)
		return false;
	*ret_realm = (struct str){ text.ptr, at - 1 };
	*ret_hash = (struct str){ text.ptr + at, text.len - at };
	return true;
}

static int count_bytes(struct htdigest *h, size_t n, struct err *e)
{
	h->bytes += n;
	if (h->bytes <= HTDIGEST_BYTES_MAX)
		return 0;
	return err_set(e, ERR_TOO_LARGE, "users have %zu bytes; the most is %u", h->bytes, HTDIGEST_BYTES_MAX);
}

int htdigest_add_file(struct htdigest *h, struct str file, struct err *e)
{
	if (count_bytes(h, file.len, e) < 0)
		return -1;
	while (file.ptr) {
		struct str rest, realm, hash, line = str_cut(file, '\n', &file);
		if (str_ends(line, STR("\r")))
			line.len--;
		if (!line.len || line.ptr[0] == '#')
			continue;
		struct str user = str_cut(line, ':', &rest);
		if (rest.ptr && realm_and_hash(rest, &realm, &hash))
			add(h, user, realm, hash);
		else
			h->n_unusable++;
	}
	return 0;
}

int htdigest_add_user(struct htdigest *h, struct str user, struct str value, struct err *e)
{
	struct str rest, realm, hash, line = str_trim(str_cut(value, '\n', &rest));

	if (count_bytes(h, user.len + value.len, e) < 0)
		return -1;
	if (str_starts(line, user) && line.len > user.len && line.ptr[user.len] == ':' && memchr(line.ptr + user.len + 1, ':', line.len - user.len - 1))
		line = (struct str){ line.ptr + user.len + 1, line.len - user.len - 1 };
	if (realm_and_hash(line, &realm, &hash))
		add(h, user, realm, hash);
	else
		h->n_unusable++;
	return 0;
}

size_t htdigest_count(const struct htdigest *h)
{
	return h->users.count;
}

size_t htdigest_unusable(const struct htdigest *h)
{
	return h->n_unusable;
}

bool htdigest_knows(const struct htdigest *h, const char *realm, enum digest_algorithm a)
{
	cleanup(freep) char *key = xasprintf("%d%s", a, realm);

	return map_get_c(&h->realms, key);
}

const char *htdigest_find(const struct htdigest *h, struct str user, const char *realm, enum digest_algorithm a)
{
	cleanup(freep) char *key = user_key(user, str_of(realm), a);

	return map_get_c(&h->users, key);
}
