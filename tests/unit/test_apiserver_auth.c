/* Who may do what: RBAC over stored objects, and ServiceAccount tokens. */
#include "base/file.h"
#include "roles/apiserver/authn.h"
#include "roles/apiserver/authz_rbac.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "quoted_json.h"

#define RBAC "rbac.authorization.k8s.io"

struct world {
	struct loop *loop;
	struct store *store;
	struct rbac *rbac;
	struct authn authn;
	char dir[64];
};

static void on_changed(void *ctx, struct table *t, struct object *old, struct object *new)
{
	struct world *w = ctx;

	(void)old;
	(void)new;
	if (w->rbac)
		rbac_changed(w->rbac, t);
}

static void on_durable(void *ctx, const struct event *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	fail_msg("%s", e->message);
}

static void on_damaged(void *ctx, struct str key, const struct err *e)
{
	(void)ctx;
	(void)key;
	fail_msg("%s", e->message);
}

static const struct store_ops ops = {
	.changed = on_changed, .durable = on_durable, .failed = on_failed, .damaged = on_damaged
};

static void write_key(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = fopen(path, "w");

	assert_non_null(key);
	assert_non_null(f);
	assert_true(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	EVP_PKEY_free(key);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct err e;

	snprintf(w->dir, sizeof(w->dir), "/tmp/portico-auth-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	cleanup(freep) char *db = xasprintf("%s/store.db", w->dir),
			    *key = xasprintf("%s/sa.key", w->dir);
	w->loop = loop_new(&e);
	w->store = store_new(w->loop, db, &ops, w, &e);
	assert_non_null(w->store);
	w->rbac = rbac_new(w->store);
	write_key(key);
	assert_int_equal(authn_init(&w->authn, w->store, key, "cluster.local", &e), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	cleanup(freep) char *command = xasprintf("rm -rf %s", w->dir);

	store_free(w->store);
	rbac_free(w->rbac);
	authn_done(&w->authn);
	loop_free(w->loop);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void put(struct world *w, const char *group, const char *plural, const char *text)
{
	const struct resource *r = resource_find(str_of(group), STR("v1"), str_of(plural));
	cleanup(json_decrefp) json_t *tree = J("%s", text);
	char rv[24];
	struct err e;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)store_next_rv(w->store));
	jx_set_str(tree, "metadata.resourceVersion", rv);
	struct object *o = object_new(r, tree, &e);
	assert_non_null(o);
	store_put(w->store, store_table(w->store, r), o);
}

static bool may(struct world *w, const struct user *u, const char *verb, const char *group,
		const char *resource, const char *sub, const char *ns, const char *name)
{
	const struct authz_question q = { .is_resource = true,
					  .verb = verb,
					  .group = group,
					  .resource = resource,
					  .subresource = sub,
					  .ns = ns,
					  .name = name };

	return rbac_allows(w->rbac, u, &q, NULL);
}

static bool may_path(struct world *w, const struct user *u, const char *verb, const char *path)
{
	const struct authz_question q = { .verb = verb, .path = path };

	return rbac_allows(w->rbac, u, &q, NULL);
}

static void test_nothing_is_allowed_by_default(void **state)
{
	const struct user nobody = { .name = "nobody" };
	const struct user master = { .name = "root",
				     .groups = { "system:masters" },
				     .n_groups = 1 };

	assert_false(may(*state, &nobody, "get", "", "pods", NULL, "a", "x"));
	assert_true(may(*state, &master, "get", "", "pods", NULL, "a", "x"));
	assert_true(may_path(*state, &master, "get", "/metrics"));
}

static void test_role_in_its_namespace(void **state)
{
	struct world *w = *state;
	const struct user jane = { .name = "jane" }, joe = { .name = "joe" };

	put(w, RBAC, "roles",
	    "{'metadata':{'name':'reader','namespace':'a'},'rules':[{'verbs':['get','list'],'"
	    "apiGroups':[''],"
	    "'resources':['pods','pods/log']}]}");
	put(w, RBAC, "rolebindings",
	    "{'metadata':{'name':'b','namespace':'a'},'roleRef':{'kind':'Role','name':'reader'},"
	    "'subjects':[{'kind':'User','name':'jane'}]}");
	assert_true(may(w, &jane, "get", "", "pods", NULL, "a", "x"));
	assert_true(may(w, &jane, "get", "", "pods", "log", "a", "x"));
	assert_false(may(w, &jane, "get", "", "pods", "exec", "a", "x"));
	assert_false(may(w, &jane, "delete", "", "pods", NULL, "a", "x"));
	assert_false(may(w, &jane, "get", "", "pods", NULL, "b", "x"));
	assert_false(may(w, &jane, "list", "", "pods", NULL, NULL, NULL)); /* all namespaces */
	assert_false(may(w, &jane, "get", "apps", "pods", NULL, "a", "x"));
	assert_false(may(w, &joe, "get", "", "pods", NULL, "a", "x"));
}

static void test_names_and_wildcards(void **state)
{
	struct world *w = *state;
	const struct user u = { .name = "u", .groups = { "g" }, .n_groups = 1 };

	put(w, RBAC, "clusterroles",
	    "{'metadata':{'name':'r'},'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['"
	    "configmaps'],"
	    "'resourceNames':['one']},{'verbs':['update'],'apiGroups':['apps'],'resources':['*/"
	    "scale']},"
	    "{'verbs':['*'],'apiGroups':['batch'],'resources':['*']},{'verbs':['get'],'"
	    "nonResourceURLs':['/logs/*','/x']}]}");
	put(w, RBAC, "clusterrolebindings",
	    "{'metadata':{'name':'b'},'roleRef':{'kind':'ClusterRole','name':'r'},'subjects':[{'"
	    "kind':'Group','name':'g'}]}");
	assert_true(may(w, &u, "get", "", "configmaps", NULL, "a", "one"));
	assert_false(may(w, &u, "get", "", "configmaps", NULL, "a", "two"));
	assert_false(may(w, &u, "list", "", "configmaps", NULL, "a", NULL));
	assert_true(may(w, &u, "update", "apps", "deployments", "scale", "a", "d"));
	assert_false(may(w, &u, "update", "apps", "deployments", NULL, "a", "d"));
	assert_true(may(w, &u, "delete", "batch", "jobs", "status", "a", "j"));
	assert_true(may_path(w, &u, "get", "/logs/a"));
	assert_true(may_path(w, &u, "get", "/x"));
	assert_false(may_path(w, &u, "get", "/xy"));
}

static void test_changes_are_seen(void **state)
{
	struct world *w = *state;
	const struct user sa = { .name = "system:serviceaccount:a:bot" };

	put(w, RBAC, "clusterroles",
	    "{'metadata':{'name':'r'},'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['"
	    "pods']}]}");
	assert_false(may(w, &sa, "get", "", "pods", NULL, "a", "x"));
	put(w, RBAC, "rolebindings",
	    "{'metadata':{'name':'b','namespace':'a'},'roleRef':{'kind':'ClusterRole','name':'r'},"
	    "'subjects':[{'kind':'ServiceAccount','name':'bot'}]}");
	assert_true(may(w, &sa, "get", "", "pods", NULL, "a", "x"));
	assert_false(may(w, &sa, "get", "", "pods", NULL, "b", "x"));
	put(w, RBAC, "clusterroles", "{'metadata':{'name':'r'},'rules':[]}");
	assert_false(may(w, &sa, "get", "", "pods", NULL, "a", "x"));
}

static void test_aggregation(void **state)
{
	struct world *w = *state;
	const struct user u = { .name = "u" };

	put(w, RBAC, "clusterroles",
	    "{'metadata':{'name':'top'},'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{"
	    "'to-top':'true'}}]}}");
	put(w, RBAC, "clusterroles",
	    "{'metadata':{'name':'middle','labels':{'to-top':'true'}},"
	    "'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'to-middle':'true'}}]}}");
	put(w, RBAC, "clusterroles",
	    "{'metadata':{'name':'leaf','labels':{'to-middle':'true'}},'rules':[{'verbs':['get'],'"
	    "apiGroups':['x.io'],"
	    "'resources':['things']}]}");
	put(w, RBAC, "clusterrolebindings",
	    "{'metadata':{'name':'b'},'roleRef':{'kind':'ClusterRole','name':'top'},'subjects':[{'"
	    "kind':'User','name':'u'}]}");
	assert_true(may(w, &u, "get", "x.io", "things", NULL, NULL, NULL));
}

static void test_denial_texts(void **state)
{
	const struct user u = { .name = "u" };
	static const struct {
		struct authz_question q;
		const char *text;
	} rows[] = {
		{ { true, "list", "", "pods" },
		  "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" "
		  "at "
		  "the cluster scope" },
		{ { true, "get", "apps", "deployments", NULL, "ns", "web" },
		  "deployments.apps \"web\" is forbidden: User \"u\" cannot get resource "
		  "\"deployments\" in API group \"apps\" "
		  "in the namespace \"ns\"" },
		{ { true, "create", "", "pods", "exec", "ns", "p" },
		  "pods \"p\" is forbidden: User \"u\" cannot create resource \"pods/exec\" in API "
		  "group \"\" in the namespace "
		  "\"ns\"" },
		{ { .verb = "get", .path = "/metrics" },
		  "forbidden: User \"u\" cannot get path \"/metrics\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e;
		authz_denied(&u, &rows[i].q, &e);
		assert_int_equal(e.reason, ERR_FORBIDDEN);
		assert_string_equal(e.message, rows[i].text);
	}
}

/* Tokens */

#define SA "{'metadata':{'name':'bot','namespace':'a','uid':'sa-uid'}}"
#define POD "{'metadata':{'name':'p','namespace':'a','uid':'pod-uid'},'spec':{}}"

static char *issue(struct world *w, bool bound, const char *audience, int64_t seconds)
{
	const struct object *sa = table_get(w->authn.service_accounts, "a", "bot");
	cleanup(json_decrefp) json_t *audiences =
		json_pack("[s]", audience ? audience : w->authn.issuer);
	int64_t now_s = wall_now_ms() / 1000;
	struct err e;
	char *token = authn_issue(&w->authn, sa, bound ? table_get(w->authn.pods, "a", "p") : NULL,
				  NULL, NULL, audiences, now_s - 10, now_s + seconds, &e);

	assert_non_null(token);
	return token;
}

static bool accepted(struct world *w, const char *token, const char *audience, struct user *u,
		     struct arena *a)
{
	const char *const wanted[] = { audience, NULL };
	struct err e;

	return authn_token(&w->authn, str_of(token), audience ? wanted : NULL, a, u, NULL, &e) == 0;
}

static void test_tokens(void **state)
{
	struct world *w = *state;
	struct arena a;
	struct user u;

	arena_init(&a, 1 << 20);
	put(w, "", "serviceaccounts", SA);
	put(w, "", "pods", POD);
	cleanup(freep) char *plain = issue(w, false, NULL, 600), *bound = issue(w, true, NULL, 600);
	cleanup(freep) char *expired = issue(w, false, NULL, -1),
			    *foreign = issue(w, false, "vault", 600);

	assert_true(accepted(w, plain, NULL, &u, &a));
	assert_string_equal(u.name, "system:serviceaccount:a:bot");
	assert_string_equal(u.uid, "sa-uid");
	assert_true(user_in_group(&u, "system:serviceaccounts:a") &&
		    user_in_group(&u, "system:authenticated"));
	assert_true(accepted(w, bound, NULL, &u, &a));
	assert_string_equal(u.pod_name, "p");
	assert_false(accepted(w, expired, NULL, &u, &a));
	assert_false(accepted(w, foreign, NULL, &u, &a));
	assert_true(accepted(w, foreign, "vault", &u, &a));
	arena_done(&a);
}

static void test_forged_tokens(void **state)
{
	struct world *w = *state;
	struct arena a;
	struct user u;

	arena_init(&a, 1 << 20);
	put(w, "", "serviceaccounts", SA);
	cleanup(freep) char *token = issue(w, false, NULL, 600);
	size_t n = strlen(token);

	for (size_t i = 0; i < n; i += 7) {
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		assert_false(accepted(w, token, NULL, &u, &a));
		token[i] = was;
	}
	assert_true(accepted(w, token, NULL, &u, &a));
	/* {"alg":"none"} and no signature */
	cleanup(freep) char *claims = xstrdup(strchr(token, '.'));
	*strrchr(claims, '.') = '\0';
	cleanup(freep) char *none = xasprintf("eyJhbGciOiJub25lIn0%s.", claims);
	assert_false(accepted(w, none, NULL, &u, &a));
	assert_false(accepted(w, "", NULL, &u, &a));
	assert_false(accepted(w, "a.b", NULL, &u, &a));
	assert_false(accepted(w, "...", NULL, &u, &a));
	arena_done(&a);
}

/* A token dies with what it speaks for, even when something of the same name comes back. */
static void test_tokens_are_bound(void **state)
{
	struct world *w = *state;
	struct arena a;
	struct user u;

	arena_init(&a, 1 << 20);
	put(w, "", "serviceaccounts", SA);
	put(w, "", "pods", POD);
	cleanup(freep) char *bound = issue(w, true, NULL, 600);
	assert_true(accepted(w, bound, NULL, &u, &a));
	put(w, "", "pods", "{'metadata':{'name':'p','namespace':'a','uid':'another'},'spec':{}}");
	assert_false(accepted(w, bound, NULL, &u, &a));
	put(w, "", "pods", POD);
	put(w, "", "serviceaccounts",
	    "{'metadata':{'name':'bot','namespace':'a','uid':'another'}}");
	assert_false(accepted(w, bound, NULL, &u, &a));
	arena_done(&a);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_is_allowed_by_default),
		T(test_role_in_its_namespace),
		T(test_names_and_wildcards),
		T(test_changes_are_seen),
		T(test_aggregation),
		T(test_denial_texts),
		T(test_tokens),
		T(test_forged_tokens),
		T(test_tokens_are_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
