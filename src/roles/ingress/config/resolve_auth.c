/* Who may come in: passwords, external authentication, keys of tokens. */
#include "roles/ingress/config/resolve_int.h"

#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/filter/htdigest.h"
#include "roles/ingress/filter/htpasswd.h"
#include "roles/ingress/filter/jwt.h"
#include "roles/ingress/http/variable.h"

/* ---- users and passwords ---- */

static struct htpasswd *users_of_map(const json_t *secret, struct err *e)
{
	const json_t *data = json_object_get(secret, "data");
	struct htpasswd_user *users = xcalloc(json_object_size(data) + 1, sizeof(*users));
	size_t n = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)data, name, value) {
		struct str hash = secret_bytes(secret, name);
		if (hash.ptr)
			users[n++] = (struct htpasswd_user){ str_of(name), hash };
	}
	struct htpasswd *h = htpasswd_new_map(users, n, e);
	for (size_t i = 0; i < n; i++)
		secret_wipe(&users[i].hash);
	free(users);
	return h;
}

static struct htpasswd *users_of_file(const json_t *secret, struct err *e)
{
	struct str file = secret_bytes(secret, "auth");
	struct htpasswd *h;

	if (!file.ptr) {
		err_set(e, ERR_INVALID, "the secret %s does not contain a key with value auth", jx_name(secret));
		return NULL;
	}
	h = htpasswd_new(file, e);
	secret_wipe(&file);
	return h;
}

static int digest_users_of_map(struct htdigest *h, const json_t *secret, struct err *e)
{
	const json_t *data = json_object_get(secret, "data");
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)data, name, value) {
		struct str text = secret_bytes(secret, name);
		int rc = text.ptr ? htdigest_add_user(h, str_of(name), text, e) : 0;
		secret_wipe(&text);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int digest_users_of_file(struct htdigest *h, const json_t *secret, struct err *e)
{
	struct str file = secret_bytes(secret, "auth");

	if (!file.ptr)
		return err_set(e, ERR_INVALID, "the secret %s does not contain a key with value auth", jx_name(secret));
	int rc = htdigest_add_file(h, file, e);
	secret_wipe(&file);
	return rc;
}

static void unusable_users(struct builder *b, size_t n, size_t of)
{
	if (n)
		builder_problem(b, "auth-secret", REASON_PARSING, "auth-secret: %zu of %zu users have password hashes of a kind that is not known: they cannot log in",
				n, of);
}

static void digest_auth(struct builder *b, const json_t *secret)
{
	struct htdigest *h = b->s->htdigest = htdigest_new();
	struct err e;

	if ((b->refs.auth_map ? digest_users_of_map(h, secret, &e) : digest_users_of_file(h, secret, &e)) < 0)
		builder_deny(b, "auth-secret", "auth-secret: %s", e.message);
	else
		unusable_users(b, htdigest_unusable(h), htdigest_count(h) + htdigest_unusable(h));
}

static void basic_auth(struct builder *b, const json_t *secret)
{
	struct err e;

	b->s->htpasswd = b->refs.auth_map ? users_of_map(secret, &e) : users_of_file(secret, &e);
	if (!b->s->htpasswd)
		builder_deny(b, "auth-secret", "auth-secret: %s", e.message);
	else
		unusable_users(b, htpasswd_unusable(b->s->htpasswd), htpasswd_count(b->s->htpasswd));
}

void resolve_passwords(struct builder *b)
{
	if (b->s->auth_type == AUTH_NONE)
		return;
	if (!b->refs.auth_secret) {
		builder_deny(b, "auth-secret", "auth-type is set, but auth-secret names no Secret");
		return;
	}
	const json_t *secret = resolve_secret(b, "auth-secret", b->refs.auth_secret);
	if (secret)
		(b->s->auth_type == AUTH_DIGEST ? digest_auth : basic_auth)(b, secret);
}

/* ---- external authentication, tokens ---- */

void settings_remember_auth(struct settings *s, const struct settings *from)
{
	if (s->auth_url && from->auth_cache_key)
		s->auth_cache = auth_cache_policy_new(variable_text_source(from->auth_cache_key), from->auth_cache_duration);
}

void resolve_external_auth(struct builder *b)
{
	struct settings *s = b->s;

	if (!s->enable_global_auth && !builder_has(b, nginx_annotations, "auth-url")) {
		variable_text_free(s->auth_url);
		s->auth_url = NULL;
	}
	if (s->auth_url && b->refs.auth_proxy_set_headers)
		resolve_headers(b, "auth-proxy-set-headers", b->refs.auth_proxy_set_headers, NULL, &s->auth_proxy_set_headers,
			     &s->n_auth_proxy_set_headers);
	/* How answers of the global one are remembered is not the Ingress's to say. */
	settings_remember_auth(s, builder_has(b, nginx_annotations, "auth-url") ? s : b->g->defaults);
}

static struct str jwks_text(const json_t *obj, bool secret)
{
	static const char *const keys[] = { "jwks", "jwks.json" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *text = json_string_value(json_object_get(json_object_get(obj, "data"), keys[i]));
		if (text)
			return secret ? secret_bytes(obj, keys[i]) : (struct str){ xstrdup(text), strlen(text) };
	}
	return STR_NONE;
}

static void use_keys(struct builder *b, const char *annotation, struct str text)
{
	struct err e;

	b->s->jwt_jwks = jwks_new(text, &e);
	if (!b->s->jwt_jwks)
		builder_deny(b, annotation, "%s: %s", annotation, e.message);
}

static void keys_by_url(struct builder *b)
{
	const json_t *obj = b->src && b->src->get_configmap ? b->src->get_configmap(b->src->ctx, SOURCE_URL_NAMESPACE, b->refs.jwks_url) : NULL;
	const json_t *text = json_object_get(json_object_get(obj, "data"), SOURCE_URL_KEY);

	if (text)
		use_keys(b, "jwt-jwks-url", (struct str){ json_string_value(text), json_string_length(text) });
	else if (!b->src || !b->src->offline)
		builder_deny(b, "jwt-jwks-url", "jwt-jwks-url: nothing has come from %s yet", b->refs.jwks_url);
}

void resolve_tokens(struct builder *b)
{
	bool secret = b->refs.jwks_secret;
	const char *reference = secret ? b->refs.jwks_secret : b->refs.jwks_configmap;
	const char *annotation = secret ? "jwt-secret" : "jwt-configmap";

	if (!reference && b->refs.jwks_url) {
		keys_by_url(b);
		return;
	}
	if (!reference) {
		if (b->s->jwt_issuer || b->s->jwt_audiences.n)
			builder_deny(b, "jwt-secret", "jwt-issuer and jwt-audiences need jwt-secret, jwt-configmap or jwt-jwks-url");
		return;
	}
	const json_t *obj = secret ? resolve_secret(b, annotation, reference) : resolve_configmap(b, annotation, reference);
	if (!obj)
		return;
	struct str text = jwks_text(obj, secret);
	if (text.ptr)
		use_keys(b, annotation, text);
	else
		builder_deny(b, annotation, "%s: there is no key jwks or jwks.json", annotation);
	free((char *)(uintptr_t)text.ptr);
}
