#include "roles/ingress/route/model_int.h"

#include <openssl/x509v3.h>

#define TAG_CERT_BIT (UINT64_C(1) << 9) /* apart from what the same host's routes say */

struct search {
	struct model *m;
	struct hostname *host;
	uint64_t tag;
	struct object *found;
};

/* By subject alternative name or common name, as ingress-nginx does. */
static bool cert_fits(const struct object *o, const char *name)
{
	return o->cert && X509_check_host(o->cert, name, 0, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT, NULL) == 1;
}

static struct object *secret_of(const struct search *s, const struct ingress *i, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ingress_ns(i), name);

	return names_get(s->m->secrets, str_of(key));
}

/* Says why not. */
static struct object *usable(const struct search *s, struct ingress *i, const char *secret)
{
	struct object *o = secret_of(s, i, secret);

	if (!o || o->state == OBJECT_ABSENT || o->state == OBJECT_UNKNOWN) {
		problem_report(s->m, i, s->tag, NULL, "MissingSecret",
			       "secret \"%s/%s\" of spec.tls does not exist; the default certificate is used", ingress_ns(i), secret);
		return NULL;
	}
	if (!object_tls(s->m, o)) {
		if (o->bad)
			problem_report(s->m, i, s->tag, NULL, "BadCertificate",
				       "secret \"%s\": %s; the default certificate is used", o->key, o->bad);
		return NULL;
	}
	if (!cert_fits(o, s->host->name)) {
		problem_report(s->m, i, s->tag, NULL, "BadCertificate",
			       "the certificate of secret \"%s\" is not for host \"%s\"; the default certificate is used", o->key,
			       s->host->name);
		return NULL;
	}
	return o;
}

/* The entry that names the host. *ret_named: there is one. */
static struct object *by_name(const struct search *s, struct ingress *i, bool *ret_named)
{
	struct ingress_iter it;
	struct ingress_path path;
	struct ingress_tls tls;

	*ret_named = false;
	ingress_begin(i, &it);
	while (ingress_next_path(&it, &path))
		;
	while (ingress_next_tls(&it, &tls))
		for (unsigned k = 0; k < tls.n_hosts; k++) {
			bool here = strcasecmp(ingress_next_host(&it), s->host->name) == 0;

			if (!here)
				continue;
			*ret_named = true;
			return tls.secret[0] ? usable(s, i, tls.secret) : NULL;
		}
	return NULL;
}

/* Else any whose certificate happens to fit. */
static struct object *by_content(const struct search *s, struct ingress *i)
{
	struct ingress_iter it;
	struct ingress_path path;
	struct ingress_tls tls;

	ingress_begin(i, &it);
	while (ingress_next_path(&it, &path))
		;
	while (ingress_next_tls(&it, &tls)) {
		struct object *o = tls.secret[0] ? secret_of(s, i, tls.secret) : NULL;

		for (unsigned k = 0; k < tls.n_hosts; k++)
			ingress_next_host(&it);
		if (o && object_tls(s->m, o) && cert_fits(o, s->host->name))
			return o;
	}
	return NULL;
}

static void search_claim(struct search *s, const struct claim *c)
{
	bool named;

	if (s->found || c->ingress->use->set->canary)
		return;
	s->found = by_name(s, c->ingress, &named);
	if (!named && c->kind != CLAIM_TLS)
		s->found = by_content(s, c->ingress);
}

static int claim_order(const struct claim *a, const struct claim *b)
{
	return a->kind != b->kind ? (int)a->kind - (int)b->kind : ingress_age_cmp(a->ingress, b->ingress);
}

static void publish(struct model *m, struct hostname *h, struct object *o)
{
	struct tls *t = o ? o->tls : NULL;
	cleanup(freep) char *ns = NULL;
	struct str name = STR_NONE;

	if (!t && !h->has_cert)
		return;
	if (t && h->has_cert && routes_cert(m->routes, h->name) == t)
		return;
	h->has_cert = t != NULL;
	routes_put_cert(m->routes, h->name, tls_ref(t));
	if (!m->ops.cert)
		return;
	if (o)
		ns = str_dup(str_cut(str_of(o->key), '/', &name));
	m->ops.cert(m->ctx, h->name, ns, name.ptr, o ? o->cert : NULL);
}

void host_cert(struct model *m, struct hostname *h)
{
	struct search s = { .m = m, .host = h, .tag = problem_tag(h->name) ^ TAG_CERT_BIT };

	if (!h->name[0])
		return;
	claims_sort(h, claim_order);
	for (size_t k = 0; k < h->n; k++)
		problem_begin(m, claim_at(h, k).ingress, s.tag);
	for (size_t k = 0; k < h->n; k++) {
		struct claim c = claim_at(h, k);

		search_claim(&s, &c);
	}
	publish(m, h, s.found);
}
