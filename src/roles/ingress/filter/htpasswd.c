/* The format is Apache's (docs/2.4/misc/password_encryptions.html), the reading of lines nginx's (auth_basic_user_file). */
#include "roles/ingress/filter/htpasswd.h"

#include "base/map.h"
#include "roles/ingress/filter/htpasswd_int.h"

struct entry {
	char *name, *hash;
};

struct htpasswd {
	struct entry *at; /* only those whose hash can be verified */
	size_t n, cap, n_unusable;
	struct map by_name; /* to struct entry's hash */
};

static struct htpasswd *htpasswd_alloc(void)
{
	struct htpasswd *h = xcalloc(1, sizeof(*h));
	map_init(&h->by_name);
	return h;
}

void htpasswd_free(struct htpasswd *h)
{
	if (h == NULL)
		return;
	map_done(&h->by_name, NULL);
	for (size_t i = 0; i < h->n; i++) {
		free(h->at[i].name);
		free(h->at[i].hash);
	}
	free(h->at);
	free(h);
}

static void htpasswd_add(struct htpasswd *h, struct str name, struct str hash)
{
	if (map_get(&h->by_name, name) != NULL)
		return;
	if (password_scheme(hash) == NULL) {
		h->n_unusable++;
		return;
	}
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 8 : 2 * h->cap;
		h->at = xrealloc(h->at, h->cap * sizeof(*h->at));
	}
	struct entry *en = &h->at[h->n++];
	*en = (struct entry){ str_dup(name), str_dup(hash) };
	map_put(&h->by_name, name, en->hash);
}

static struct str line_next(struct str *rest)
{
	struct str line = str_cut(*rest, '\n', rest);
	if (str_ends(line, STR("\r")))
		line.len--;
	return line;
}

struct htpasswd *htpasswd_new(struct str file, struct err *e)
{
	if (file.len > HTPASSWD_BYTES_MAX) {
		err_set(e, ERR_TOO_LARGE, "a password file has %zu bytes; the most is %u", file.len, HTPASSWD_BYTES_MAX);
		return NULL;
	}
	struct htpasswd *h = htpasswd_alloc();
	while (file.ptr != NULL) {
		struct str hash, line = line_next(&file);
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		struct str name = str_cut(line, ':', &hash);
		if (hash.ptr == NULL)
			continue;
		struct str comment;
		hash = str_cut(hash, ':', &comment);
		htpasswd_add(h, name, hash);
	}
	return h;
}

struct htpasswd *htpasswd_new_map(const struct htpasswd_user *users, size_t n, struct err *e)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += users[i].name.len + users[i].hash.len;
	if (bytes > HTPASSWD_BYTES_MAX) {
		err_set(e, ERR_TOO_LARGE, "a password map has %zu bytes; the most is %u", bytes, HTPASSWD_BYTES_MAX);
		return NULL;
	}
	struct htpasswd *h = htpasswd_alloc();
	for (size_t i = 0; i < n; i++) {
		struct str rest = users[i].hash;
		htpasswd_add(h, users[i].name, line_next(&rest));
	}
	return h;
}

size_t htpasswd_count(const struct htpasswd *h)
{
	return h->n;
}

size_t htpasswd_unusable(const struct htpasswd *h)
{
	return h->n_unusable;
}

struct str htpasswd_find(const struct htpasswd *h, struct str user, bool *ret_known)
{
	const char *hash = map_get(&h->by_name, user);
	*ret_known = hash != NULL;
	if (hash == NULL && h->n > 0)
		hash = h->at[hash_keyed(user.ptr, user.len) % h->n].hash;
	return str_of(hash);
}
