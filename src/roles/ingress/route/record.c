#include "roles/ingress/route/record.h"

#include "base/fnv.h"

#include <stdio.h>

#define TEXT_BYTES_MAX (4u << 20) /* an object has at most 1.5 MiB, and a few bytes more for each path */

/* The text: class annotation, class, default backend; each rule: host, number of paths (4 bytes), for each path its type,
 * path, service, port; each TLS entry: secret, number of hosts, hosts; annotations. Strings end with NUL; a byte before
 * optional ones says whether they are there. */

/* ---- writing ---- */

static void put_text(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

static void put_optional(struct buf *b, const char *s)
{
	buf_putc(b, s ? 1 : 0);
	put_text(b, s ? s : "");
}

static void put_number(struct buf *b, uint32_t n)
{
	buf_put(b, &n, sizeof(n));
}

static void put_backend(struct buf *b, const json_t *backend)
{
	const char *service = jx_str(backend, "service.name");
	const json_t *port = jx_at(backend, "service.port");
	char number[16];

	buf_putc(b, service ? 1 : backend && json_object_get(backend, "resource") ? 2 : 0);
	put_text(b, service ? service : "");
	snprintf(number, sizeof(number), "%d", (int)jx_int(port, "number", 0));
	put_text(b, jx_str_or(port, "name", number));
}

static enum path_type type_of(const char *text)
{
	return c_eq(text, "Exact") ? PATH_EXACT : c_eq(text, "Prefix") ? PATH_PREFIX : PATH_IMPLEMENTATION;
}

static void put_rule(struct buf *b, const json_t *rule, unsigned *n_paths)
{
	const json_t *paths = jx_at(rule, "http.paths");
	json_t *path;
	size_t i;

	put_text(b, jx_str_or(rule, "host", ""));
	put_number(b, (uint32_t)json_array_size(paths));
	json_array_foreach(paths, i, path) {
		const char *text = jx_str_or(path, "path", "/");

		buf_putc(b, (char)type_of(jx_str(path, "pathType")));
		put_text(b, text[0] ? text : "/");
		put_backend(b, json_object_get(path, "backend"));
	}
	*n_paths += json_array_size(paths) ? (unsigned)json_array_size(paths) : 1;
}

static void put_tls(struct buf *b, const json_t *tls)
{
	const json_t *hosts = json_object_get(tls, "hosts");
	json_t *host;
	size_t i;

	put_text(b, jx_str_or(tls, "secretName", ""));
	put_number(b, (uint32_t)json_array_size(hosts));
	json_array_foreach(hosts, i, host)
		put_text(b, json_is_string(host) ? json_string_value(host) : "");
}

/* kubectl's copy of the whole object, and others that no setting is read from. */
static bool annotation_counts(const char *key)
{
	return (strstr(key, "ingress") || strstr(key, "portico")) && strcmp(key, "kubernetes.io/ingress.class") != 0;
}

static int by_key(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

static void put_annotations(struct buf *b, json_t *all)
{
	const char **keys = xcalloc(json_object_size(all) + 1, sizeof(*keys)), *key;
	size_t n = 0;
	json_t *v;

	json_object_foreach(all, key, v)
		if (json_is_string(v) && annotation_counts(key))
			keys[n++] = key;
	if (n > 1)
		qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; i < n; i++) {
		put_text(b, keys[i]);
		put_text(b, json_string_value(json_object_get(all, keys[i])));
	}
	free(keys);
}

static void put_all(struct buf *b, const json_t *obj, unsigned *n_paths, unsigned *n_tls)
{
	json_t *entry;
	size_t i;

	put_optional(b, jx_annotation(obj, "kubernetes.io/ingress.class"));
	put_optional(b, jx_str(obj, "spec.ingressClassName"));
	put_backend(b, jx_at(obj, "spec.defaultBackend"));
	json_array_foreach(jx_at(obj, "spec.rules"), i, entry)
		put_rule(b, entry, n_paths);
	json_array_foreach(jx_at(obj, "spec.tls"), i, entry)
		put_tls(b, entry);
	*n_tls = (unsigned)i;
	put_annotations(b, jx_at(obj, "metadata.annotations"));
}

/* The record and all its texts in one block. Names have at most 253 bytes in the API; files may have anything. */
static struct ingress *assemble(const json_t *obj, struct str text, struct err *e)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj), *uid = jx_uid(obj) ? jx_uid(obj) : "";
	size_t ln = strlen(ns) + 1, lm = strlen(name) + 1, lu = strlen(uid) + 1;
	int64_t created_ms;

	if (ln > UINT16_MAX || lm > UINT16_MAX || lu > UINT16_MAX) {
		err_set(e, ERR_INVALID, "the name of an Ingress is too long");
		return NULL;
	}
	struct ingress *i = xcalloc(1, sizeof(*i) + 2 * ln + lm + lu + text.len);
	i->refs_ = 1;
	i->ns_bytes = (uint16_t)ln;
	i->name_bytes = (uint16_t)lm;
	i->uid_bytes = (uint16_t)lu;
	sprintf(i->key, "%s/%s", ns, name);
	char *p = memcpy(i->key + ln + lm, ns, ln);
	p = memcpy(p + ln, uid, lu);
	memcpy(p + lu, text.ptr, text.len);
	i->text_bytes = (uint32_t)text.len;
	i->status = model_status_hash(jx_at(obj, "status.loadBalancer.ingress"));
	if (time_parse(jx_str_or(obj, "metadata.creationTimestamp", ""), &created_ms) == 0)
		i->created_s = (uint32_t)(created_ms / 1000);
	return i;
}

struct model_ingress ingress_describe(const struct ingress *i)
{
	return (struct model_ingress){ ingress_ns(i), ingress_name(i), ingress_uid(i), i->ours, i->status };
}

struct ingress *ingress_new(const json_t *obj, struct err *e)
{
	unsigned n_paths = 0, n_tls = 0;
	struct ingress *i = NULL;
	struct buf b;

	if (!jx_namespace(obj) || !jx_name(obj)) {
		err_set(e, ERR_INVALID, "an Ingress without name or namespace");
		return NULL;
	}
	buf_init(&b, TEXT_BYTES_MAX);
	put_all(&b, obj, &n_paths, &n_tls);
	if (b.overflow) {
		err_set(e, ERR_TOO_LARGE, "the Ingress is larger than %u bytes", TEXT_BYTES_MAX);
	} else {
		i = assemble(obj, buf_str(&b), e);
	}
	if (i) {
		i->n_paths = n_paths;
		i->n_tls = n_tls;
	}
	buf_done(&b);
	return i;
}

struct ingress *ingress_ref(struct ingress *i)
{
	__atomic_add_fetch(&i->refs_, 1, __ATOMIC_RELAXED);
	return i;
}

void ingress_unref(struct ingress *i)
{
	if (i && __atomic_sub_fetch(&i->refs_, 1, __ATOMIC_ACQ_REL) == 0)
		free(i);
}

bool ingress_same(const struct ingress *a, const struct ingress *b)
{
	return a->text_bytes == b->text_bytes && memcmp(ingress_text(a), ingress_text(b), a->text_bytes) == 0 &&
	       a->created_s == b->created_s && strcmp(ingress_uid(a), ingress_uid(b)) == 0;
}

int ingress_age_cmp(const struct ingress *a, const struct ingress *b)
{
	if (a->created_s != b->created_s)
		return a->created_s < b->created_s ? -1 : 1;
	return strcmp(b->key, a->key); /* what one kubectl apply made: as ingress-nginx, the last by name first */
}

/* ---- reading ---- */

static const char *take_text(const char **at)
{
	const char *s = *at;

	*at = s + strlen(s) + 1;
	return s;
}

static uint32_t take_number(const char **at)
{
	uint32_t n;

	memcpy(&n, *at, sizeof(n));
	*at += sizeof(n);
	return n;
}

static struct ingress_backend take_backend(const char **at)
{
	char kind = *(*at)++;
	struct ingress_backend b = { .service = take_text(at) };

	b.port = take_text(at);
	if (kind == 2)
		b.service = NULL;
	return b;
}

const char *ingress_class_annotation(const struct ingress *i)
{
	const char *text = ingress_text(i);

	return text[0] ? text + 1 : NULL;
}

const char *ingress_class_name(const struct ingress *i)
{
	const char *at = ingress_text(i) + 1;

	take_text(&at);
	return at[0] ? at + 1 : NULL;
}

static const char *behind_classes(const struct ingress *i)
{
	const char *at = ingress_text(i) + 1;

	take_text(&at);
	at++;
	take_text(&at);
	return at;
}

struct ingress_backend ingress_default_backend(const struct ingress *i)
{
	const char *at = behind_classes(i);

	return take_backend(&at);
}

void ingress_begin(const struct ingress *i, struct ingress_iter *it)
{
	*it = (struct ingress_iter){ .at = behind_classes(i), .left_paths = i->n_paths, .left_tls = i->n_tls };
	take_backend(&it->at);
}

bool ingress_next_path(struct ingress_iter *it, struct ingress_path *ret)
{
	if (it->left_paths == 0)
		return false;
	it->left_paths--;
	if (it->left_in_rule_ == 0) {
		it->host_ = take_text(&it->at);
		it->left_in_rule_ = take_number(&it->at);
		if (it->left_in_rule_ == 0) {
			*ret = (struct ingress_path){ .host = it->host_, .backend.service = "" };
			return true;
		}
	}
	it->left_in_rule_--;
	ret->host = it->host_;
	ret->type = (enum path_type)*it->at++;
	ret->path = take_text(&it->at);
	ret->backend = take_backend(&it->at);
	return true;
}

bool ingress_next_tls(struct ingress_iter *it, struct ingress_tls *ret)
{
	if (it->left_tls == 0)
		return false;
	it->left_tls--;
	ret->secret = take_text(&it->at);
	ret->n_hosts = take_number(&it->at);
	return true;
}

const char *ingress_next_host(struct ingress_iter *it)
{
	return take_text(&it->at);
}

struct str ingress_annotations(const struct ingress *i)
{
	struct ingress_iter it;
	struct ingress_path path;
	struct ingress_tls tls;

	ingress_begin(i, &it);
	while (ingress_next_path(&it, &path))
		;
	while (ingress_next_tls(&it, &tls))
		for (unsigned k = 0; k < tls.n_hosts; k++)
			ingress_next_host(&it);
	return (struct str){ it.at, (size_t)(ingress_text(i) + i->text_bytes - it.at) };
}

uint64_t model_status_hash(const json_t *ingress)
{
	uint64_t h = 0;
	json_t *one;
	size_t i;

	json_array_foreach(ingress, i, one) {
		const char *ip = jx_str_or(one, "ip", ""), *name = jx_str_or(one, "hostname", "");
		char text[512];
		int n = snprintf(text, sizeof(text), "%s|%s|%llx", ip, name, (unsigned long long)h);

		h = fnv1a_64((uint64_t)n < sizeof(text) ? FNV1A_64 : 1, text, strlen(text));
	}
	return h;
}
