#include "codec/base64.h"
#include "roles/ingress/route/model_int.h"

#include <openssl/crypto.h>

#define PEM_BYTES (1u << 20) /* a Secret's own limit */

/* ---- finding ---- */

static struct names *table_of(const struct model *m, enum model_kind kind)
{
	return kind == MODEL_SECRET ? m->secrets : m->configmaps;
}

struct object *known_object_ref(struct model *m, enum model_kind kind, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	struct object *o = names_get(table_of(m, kind), str_of(key));

	if (o)
		return o;
	o = xcalloc(1, sizeof(*o));
	o->key = TAKE_PTR(key);
	o->kind = kind;
	list_init(&o->dirty);
	names_put(table_of(m, kind), o);
	return o;
}

static void forget_content(struct object *o)
{
	json_decref(o->data);
	o->data = NULL;
	tls_unref(o->tls);
	o->tls = NULL;
	X509_free(o->cert);
	o->cert = NULL;
	free(o->bad);
	o->bad = NULL;
	o->tls_tried = false;
}

void object_free(void *p)
{
	struct object *o = p;

	forget_content(o);
	free(o->tls_users);
	free(o->uses);
	free(o->key);
	free(o);
}

/* Without somebody to ask again, everything that came is kept. */
static void release(struct model *m, struct object *o)
{
	if (!m->ops.want || o->n_tls_users || o->n_uses || o->for_globals || o->for_default_cert)
		return;
	names_del(table_of(m, o->kind), str_of(o->key));
	list_del(&o->dirty);
	object_free(o);
}

void object_need(struct model *m, struct object *o, bool data)
{
	struct str name, ns = str_cut(str_of(o->key), '/', &name);

	if (o->state == OBJECT_HERE && data && !o->data)
		o->state = OBJECT_UNKNOWN;
	if (o->state != OBJECT_UNKNOWN)
		return;
	cleanup(freep) char *ns_text = str_dup(ns);
	o->state = OBJECT_ABSENT;
	if (!m->ops.want || (m->ops.exists && !m->ops.exists(m->ctx, o->kind, ns_text, name.ptr)))
		return;
	o->state = OBJECT_WANTED;
	m->ops.want(m->ctx, o->kind, ns_text, name.ptr);
}

/* ---- who uses it ---- */

void object_add_tls_user(struct object *o, struct ingress *i)
{
	array_push(o->tls_users, o->n_tls_users, o->cap_tls_users, i);
}

void object_del_tls_user(struct model *m, struct object *o, struct ingress *i)
{
	for (size_t k = o->n_tls_users; k-- > 0;)
		if (o->tls_users[k] == i) {
			o->tls_users[k] = o->tls_users[--o->n_tls_users];
			break;
		}
	release(m, o);
}

void object_add_use(struct object *o, struct settings_use *u)
{
	array_push(o->uses, o->n_uses, o->cap_uses, u);
}

void object_del_use(struct model *m, struct object *o, struct settings_use *u)
{
	for (size_t k = 0; k < o->n_uses; k++)
		if (o->uses[k] == u) {
			o->uses[k] = o->uses[--o->n_uses];
			break;
		}
	release(m, o);
}

void object_del_global(struct model *m, struct object *o)
{
	o->for_globals--;
	release(m, o);
}

/* ---- certificates ---- */

static bool secret_pem(const json_t *secret, const char *key, struct buf *out)
{
	const char *b64 = json_string_value(json_object_get(json_object_get(secret, "data"), key));
	const char *plain = json_string_value(json_object_get(json_object_get(secret, "stringData"), key));
	size_t bad_at;

	buf_init(out, PEM_BYTES);
	if (plain) /* objects from files: no API server has encoded it */
		return buf_puts(out, plain) == 0 && out->len > 0;
	return b64 && base64_decode(str_of(b64), out, &bad_at) == 0 && out->len > 0;
}

static struct tls *server_tls(const struct model *m, struct str cert, struct str key, struct err *e)
{
	static const char *const alpn[] = { "h2", "http/1.1", NULL };

	if (m->ops.server_tls)
		return m->ops.server_tls(m->ctx, cert, key, e);
	return tls_server_new(&(struct tls_config){ .cert_pem = cert, .key_pem = key, .alpn = alpn }, e);
}

static void make_tls(const struct model *m, struct object *o)
{
	struct buf cert, key = { 0 };
	struct err e;

	if (secret_pem(o->data, "tls.crt", &cert) && secret_pem(o->data, "tls.key", &key)) {
		o->tls = server_tls(m, buf_str(&cert), buf_str(&key), &e);
		o->cert = o->tls ? tls_leaf(o->tls) : NULL;
		if (o->cert)
			X509_up_ref(o->cert);
		if (!o->tls)
			o->bad = xstrdup(e.message);
	} else {
		o->bad = xstrdup("it has no tls.crt and tls.key");
	}
	if (key.ptr)
		OPENSSL_cleanse(key.ptr, key.len);
	buf_done(&cert);
	buf_done(&key);
}

struct tls *object_tls(struct model *m, struct object *o)
{
	if (o->tls_tried)
		return o->tls;
	if (o->state != OBJECT_HERE || !o->data)
		return NULL;
	o->tls_tried = true;
	make_tls(m, o);
	if (m->ops.want && o->n_uses == 0 && !o->for_globals) {
		json_decref(o->data); /* the key is in the context now, and content can be asked for again */
		o->data = NULL;
	}
	return o->tls;
}

/* ---- changes ---- */

static void changed(struct model *m, struct object *o)
{
	if (list_empty(&o->dirty))
		list_append(&m->dirty_objects, &o->dirty);
}

/* Only what is read: no managedFields, no annotations with a copy of it all. */
static json_t *content_of(const json_t *obj)
{
	static const char *const kept[] = { "apiVersion", "kind", "type", "data", "stringData", "binaryData" };
	json_t *copy = json_object(), *meta = json_object();

	for (size_t k = 0; k < ARRAY_LEN(kept); k++)
		if (json_object_get(obj, kept[k]))
			json_object_set(copy, kept[k], json_object_get(obj, kept[k]));
	jx_set_str(meta, "namespace", jx_namespace(obj));
	jx_set_str(meta, "name", jx_name(obj));
	jx_set_str(meta, "uid", jx_uid(obj));
	json_object_set_new(copy, "metadata", meta);
	return copy;
}

static struct object *find(struct model *m, enum model_kind kind, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);

	return names_get(table_of(m, kind), str_of(key));
}

static void set_object(struct model *m, enum model_kind kind, const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj);
	struct object *o;

	if (!ns || !name)
		return;
	o = m->ops.want ? find(m, kind, ns, name) : known_object_ref(m, kind, ns, name);
	if (!o)
		return;
	json_t *content = content_of(obj);
	if (o->state == OBJECT_HERE && o->data && json_equal(o->data, content)) {
		json_decref(content);
		return;
	}
	forget_content(o);
	o->data = content;
	o->state = OBJECT_HERE;
	changed(m, o);
}

static void del_object(struct model *m, enum model_kind kind, const char *ns, const char *name)
{
	struct object *o = find(m, kind, ns, name);

	if (!o || o->state == OBJECT_ABSENT)
		return;
	forget_content(o);
	o->state = OBJECT_ABSENT;
	changed(m, o);
}

void model_set_secret(struct model *m, const json_t *obj)
{
	set_object(m, MODEL_SECRET, obj);
}

void model_del_secret(struct model *m, const char *ns, const char *name)
{
	del_object(m, MODEL_SECRET, ns, name);
}

void model_set_configmap(struct model *m, const json_t *obj)
{
	set_object(m, MODEL_CONFIGMAP, obj);
}

void model_del_configmap(struct model *m, const char *ns, const char *name)
{
	del_object(m, MODEL_CONFIGMAP, ns, name);
}

static void tell_users(struct model *m, struct object *o)
{
	for (size_t k = 0; k < o->n_uses; k++)
		if (list_empty(&o->uses[k]->dirty))
			list_append(&m->dirty_uses, &o->uses[k]->dirty);
	for (size_t k = 0; k < o->n_tls_users; k++)
		if (o->tls_users[k]->linked)
			claims_dirty_certs(m, o->tls_users[k]);
	if (o->for_globals)
		m->globals_dirty = true;
	if (o->for_default_cert && m->ops.default_tls)
		m->ops.default_tls(m->ctx, tls_ref(object_tls(m, o)));
}

void objects_flush(struct model *m)
{
	list_for(at, tmp, &m->dirty_objects) {
		struct object *o = list_entry(at, struct object, dirty);

		list_del(&o->dirty);
		tell_users(m, o);
	}
}

bool model_refers(struct model *m, enum model_kind kind, const char *ns, const char *name)
{
	return find(m, kind, ns, name) != NULL;
}
