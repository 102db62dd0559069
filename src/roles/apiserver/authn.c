#include "roles/apiserver/authn.h"

#include "roles/apiserver/uid.h"

#include <openssl/x509.h>

#define CLOCK_SKEW_S 0 /* issuer and verifier are the same machine */

static struct table *core_table(struct store *s, const char *plural)
{
	const struct resource *r = resource_find(STR(""), STR("v1"), str_of(plural));

	return r ? store_table(s, r) : NULL;
}

int authn_init(struct authn *a, struct store *s, const char *key_path, const char *cluster_domain,
	       struct err *e)
{
	*a = (struct authn){ .service_accounts = core_table(s, "serviceaccounts"),
			     .pods = core_table(s, "pods") };
	a->issuer = xasprintf("https://kubernetes.default.svc.%s", cluster_domain);
	return jwt_key_load(key_path, &a->key, e);
}

void authn_done(struct authn *a)
{
	jwt_key_done(&a->key);
	free(a->issuer);
	a->issuer = NULL;
}

static void add_group(struct user *u, const char *group)
{
	if (group && u->n_groups < USER_GROUPS_MAX)
		u->groups[u->n_groups++] = group;
}

/* The i-th value of a name's attribute as UTF-8 in the arena; NULL past the last. */
static const char *name_entry(const X509_NAME *name, int nid, int *at, struct arena *arena)
{
	unsigned char *utf8 = NULL;
	const char *text = NULL;

	*at = X509_NAME_get_index_by_NID(name, nid, *at);
	if (*at < 0)
		return NULL;
	int len = ASN1_STRING_to_UTF8(&utf8,
				      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, *at)));
	/* A NUL inside would make one name look like another. */
	if (len > 0 && !memchr(utf8, 0, (size_t)len))
		text = arena_strndup(arena, (char *)utf8, (size_t)len);
	OPENSSL_free(utf8);
	return text;
}

static int user_of_certificate(X509 *cert, struct arena *arena, struct user *ret_user,
			       struct err *e)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	struct user u = { 0 };
	const char *group;
	int at = -1;

	u.name = name_entry(name, NID_commonName, &at, arena);
	if (!u.name)
		return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	at = -1;
	while ((group = name_entry(name, NID_organizationName, &at, arena)))
		add_group(&u, group);
	add_group(&u, "system:authenticated");
	*ret_user = u;
	return 0;
}

static const char *arena_copy(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

/* `aud` is a string or an array. Adds to *ret (may be NULL) what matches. */
static bool audience_matches(const json_t *aud, const char *const *wanted, json_t *ret)
{
	bool any = false;
	size_t i;
	json_t *v;

	if (json_is_string(aud))
		for (const char *const *w = wanted; *w; w++)
			any = any || c_eq(*w, json_string_value(aud));
	json_array_foreach(aud, i, v) for (const char *const *w = wanted; *w;
					   w++) if (c_eq(*w, json_string_value(v)))
	{
		any = true;
		if (ret)
			json_array_append(ret, v);
	}
	return any;
}

/* What the token speaks for must still be the same object. */
static bool still_there(const struct table *t, const char *ns, const json_t *ref)
{
	const char *name = jx_str(ref, "name"), *uid = jx_str(ref, "uid");
	const struct object *o = name ? table_get(t, ns, name) : NULL;

	return o && c_eq(o->uid, uid);
}

static int user_of_claims(struct authn *a, const json_t *claims, struct arena *arena,
			  struct user *ret_user)
{
	/* The member's name has a dot: no path can reach it. */
	const json_t *k8s = json_object_get(claims, "kubernetes.io");
	const json_t *sa = json_object_get(k8s, "serviceaccount"),
		     *pod = json_object_get(k8s, "pod");
	const char *ns = jx_str(k8s, "namespace"), *jti = jx_str(claims, "jti");
	struct user u = { 0 };

	if (!ns || !still_there(a->service_accounts, ns, sa) ||
	    (pod && !still_there(a->pods, ns, pod)))
		return -1;
	u.name = arena_printf(arena, "system:serviceaccount:%s:%s", ns, jx_str(sa, "name"));
	u.uid = arena_copy(arena, jx_str(sa, "uid"));
	add_group(&u, "system:serviceaccounts");
	add_group(&u, arena_printf(arena, "system:serviceaccounts:%s", ns));
	add_group(&u, "system:authenticated");
	u.pod_name = arena_copy(arena, jx_str(pod, "name"));
	u.pod_uid = arena_copy(arena, jx_str(pod, "uid"));
	u.node_name = arena_copy(arena, jx_str(k8s, "node.name"));
	u.credential_id = jti ? arena_printf(arena, "JTI=%s", jti) : NULL;
	*ret_user = u;
	return u.name ? 0 : -1;
}

int authn_token(struct authn *a, struct str token, const char *const *audiences,
		struct arena *arena, struct user *ret_user, json_t **ret_audiences, struct err *e)
{
	const char *const ours[] = { a->issuer, NULL };
	cleanup(json_decrefp) json_t *claims = jwt_verify(&a->key, token, e);
	cleanup(json_decrefp) json_t *matched = json_array();
	int64_t now_s = wall_now_ms() / 1000;

	if (!claims)
		return -1;
	if (c_eq(jx_str(claims, "iss"), a->issuer) && jx_int(claims, "exp", 0) > now_s &&
	    jx_int(claims, "nbf", 0) <= now_s + CLOCK_SKEW_S &&
	    audience_matches(json_object_get(claims, "aud"), audiences ? audiences : ours,
			     matched) &&
	    user_of_claims(a, claims, arena, ret_user) == 0) {
		if (ret_audiences)
			*ret_audiences = json_incref(matched);
		return 0;
	}
	return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
}

static struct str bearer_of(const struct http_request *r)
{
	struct str rest, value = str_trim(http_header_get(r->headers, "authorization"));

	if (!value.len)
		return STR_NONE;
	struct str scheme = str_cut(value, ' ', &rest);
	return str_ieq(scheme, STR("Bearer")) && rest.ptr ? str_trim(rest) : STR("");
}

int authn_exchange(struct authn *a, const struct http_exchange *x, struct arena *arena,
		   struct user *ret_user, struct err *e)
{
	struct str token = bearer_of(http_request_of(x));
	X509 *cert = http_peer_cert(x);

	/* The connection has checked the chain; which certificate may be a user is the CA's
	 * decision. */
	if (cert)
		return user_of_certificate(cert, arena, ret_user, e);
	if (token.ptr)
		return authn_token(a, token, NULL, arena, ret_user, NULL, e);
	*ret_user = (struct user){ .name = "system:anonymous" };
	add_group(ret_user, "system:unauthenticated");
	return 0;
}

static json_t *reference(const char *name, const char *uid)
{
	return json_pack("{s:s,s:s}", "name", name, "uid", uid ? uid : "");
}

char *authn_issue(struct authn *a, const struct object *service_account,
		  const struct object *bound_pod, const char *node_name, const char *node_uid,
		  const json_t *audiences, int64_t now_s, int64_t expires_s, struct err *e)
{
	char jti[UID_TEXT_BYTES];
	cleanup(json_decrefp) json_t *claims = json_object();
	json_t *k8s = json_object();

	json_object_set_new(k8s, "namespace", json_string(service_account->ns));
	if (node_name && node_name[0])
		json_object_set_new(k8s, "node", reference(node_name, node_uid));
	if (bound_pod)
		json_object_set_new(k8s, "pod", reference(bound_pod->name, bound_pod->uid));
	json_object_set_new(k8s, "serviceaccount",
			    reference(service_account->name, service_account->uid));

	json_object_set(claims, "aud", (json_t *)audiences);
	json_object_set_new(claims, "exp", json_integer(expires_s));
	json_object_set_new(claims, "iat", json_integer(now_s));
	json_object_set_new(claims, "iss", json_string(a->issuer));
	json_object_set_new(claims, "jti", json_string(uid_make(jti)));
	json_object_set_new(claims, "kubernetes.io", k8s);
	json_object_set_new(claims, "nbf", json_integer(now_s));
	json_object_set_new(claims, "sub",
			    json_sprintf("system:serviceaccount:%s:%s", service_account->ns,
					 service_account->name));
	return jwt_sign(&a->key, claims, e);
}
