#include "roles/controllers/gc_graph.h"
#include "roles/controllers/discovery.h"
#include "quoted_json.h"

#include <string.h>

static struct gc_node *put(struct gc_graph *g, const char *uid, const char *more)
{
	cleanup(json_decrefp) json_t *obj = J("{'metadata':{'name':'%s','namespace':'ns','uid':'%s'}}", uid, uid);
	json_t *extra = J("%s", more);

	json_object_update_new(json_object_get(obj, "metadata"), extra);
	return gc_graph_put(g, obj, NULL);
}

#define OWNED(uid) "'ownerReferences':[{'uid':'" uid "','kind':'K','apiVersion':'v1','name':'x','blockOwnerDeletion':true}]"
#define DELETING "'deletionTimestamp':'2027-01-15T08:00:00Z'"
#define FOREGROUND "'finalizers':['foregroundDeletion']"

static void expect(const struct gc_graph *g, const char *uid, enum gc_verdict verdict, const char *word)
{
	struct gc_decision d = gc_decide(g, gc_graph_get(g, uid));

	if (d.verdict != verdict)
		fail_msg("%s: verdict %d instead of %d", uid, d.verdict, verdict);
	if (verdict == GC_DELETE)
		assert_string_equal(d.policy, word);
	if (verdict == GC_DROP_FINALIZER)
		assert_string_equal(d.finalizer, word);
}

static void test_background(void **state)
{
	(void)state;
	struct gc_graph g;

	gc_graph_init(&g);
	put(&g, "owner", "{}");
	put(&g, "child", "{" OWNED("owner") "}");
	put(&g, "grandchild", "{" OWNED("child") "}");
	put(&g, "lonely", "{}");
	expect(&g, "owner", GC_KEEP, NULL);
	expect(&g, "child", GC_KEEP, NULL);
	expect(&g, "lonely", GC_KEEP, NULL);
	gc_graph_remove(&g, "owner");
	expect(&g, "child", GC_DELETE, "Background");
	expect(&g, "grandchild", GC_KEEP, NULL); /* its own owner is still there */
	gc_graph_remove(&g, "child");
	expect(&g, "grandchild", GC_DELETE, "Background");
	assert_int_equal(gc_graph_dependents(&g, "child")->n, 1);
	gc_graph_remove(&g, "grandchild");
	assert_int_equal(gc_graph_dependents(&g, "child")->n, 0);
	gc_graph_done(&g);
}

static void test_unknown_owner_is_asked_for(void **state)
{
	(void)state;
	struct gc_graph g;

	gc_graph_init(&g);
	put(&g, "child", "{'ownerReferences':[{'uid':'there','kind':'K'},{'uid':'never-seen','kind':'K'}]}");
	put(&g, "there", "{}");
	struct gc_decision d = gc_decide(&g, gc_graph_get(&g, "child"));
	assert_int_equal(d.verdict, GC_ASK_OWNER);
	assert_int_equal(d.index, 1);
	gc_graph_present(&g, "never-seen");
	expect(&g, "child", GC_KEEP, NULL);
	gc_graph_absent(&g, "never-seen");
	expect(&g, "child", GC_DROP_OWNERS, NULL);
	assert_true(gc_owner_drops(&g, "never-seen"));
	assert_false(gc_owner_drops(&g, "there"));
	gc_graph_remove(&g, "there");
	expect(&g, "child", GC_DELETE, "Background");
	put(&g, "never-seen", "{}"); /* it was a list's lag after all */
	expect(&g, "child", GC_DROP_OWNERS, NULL);
	gc_graph_done(&g);
}

static void test_foreground(void **state)
{
	(void)state;
	struct gc_graph g;

	gc_graph_init(&g);
	put(&g, "owner", "{" DELETING "," FOREGROUND "}");
	put(&g, "child", "{" OWNED("owner") "}");
	put(&g, "grandchild", "{" OWNED("child") "}");
	put(&g, "leaf", "{" OWNED("owner") "}");
	expect(&g, "owner", GC_DEPENDENTS, NULL);
	expect(&g, "child", GC_DELETE, "Foreground"); /* it has dependents itself */
	expect(&g, "leaf", GC_DELETE, "Background");
	gc_graph_remove(&g, "leaf");
	put(&g, "child", "{" DELETING "," FOREGROUND "," OWNED("owner") "}");
	expect(&g, "child", GC_DEPENDENTS, NULL);
	gc_graph_remove(&g, "grandchild");
	expect(&g, "child", GC_DROP_FINALIZER, "foregroundDeletion");
	gc_graph_remove(&g, "child");
	expect(&g, "owner", GC_DROP_FINALIZER, "foregroundDeletion");
	/* A dependent that does not block does not hold it up. */
	put(&g, "loose", "{'ownerReferences':[{'uid':'owner','kind':'K'}]}");
	expect(&g, "owner", GC_DROP_FINALIZER, "foregroundDeletion");
	/* One that has another owner only loses this one. */
	put(&g, "solid", "{}");
	put(&g, "shared", "{'ownerReferences':[{'uid':'owner'},{'uid':'solid'}]}");
	expect(&g, "shared", GC_DROP_OWNERS, NULL);
	assert_true(gc_owner_drops(&g, "owner"));
	gc_graph_done(&g);
}

static void test_orphan(void **state)
{
	(void)state;
	struct gc_graph g;

	gc_graph_init(&g);
	put(&g, "owner", "{" DELETING ",'finalizers':['orphan']}");
	put(&g, "child", "{" OWNED("owner") "}");
	expect(&g, "owner", GC_RELEASE, NULL);
	expect(&g, "child", GC_KEEP, NULL);
	put(&g, "child", "{}");
	expect(&g, "owner", GC_DROP_FINALIZER, "orphan");
	put(&g, "leaving", "{" DELETING "," OWNED("gone") "}");
	expect(&g, "leaving", GC_KEEP, NULL); /* on its way already */
	gc_graph_absent(&g, "gone");
	put(&g, "keeps", "{'finalizers':['orphan']," OWNED("gone") "}");
	expect(&g, "keeps", GC_DELETE, "Orphan");
	gc_graph_done(&g);
}

static bool is_b(void *ctx, const char *uid)
{
	(void)ctx;
	return strcmp(uid, "b") == 0;
}

static void test_owners_without(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *obj = J("{'metadata':{'ownerReferences':[{'uid':'a'},{'uid':'b'},{'uid':'c'}]}}");
	cleanup(json_decrefp) json_t *kept = gc_owners_without(obj, is_b, NULL);
	cleanup(json_decrefp) json_t *want = J("[{'uid':'a'},{'uid':'c'}]");

	assert_true(json_equal(kept, want));
}

static void test_discovery(void **state)
{
	(void)state;
	struct discovery d = { 0 };
	cleanup(json_decrefp) json_t *core = J("{'items':[{'metadata':{},'versions':[{'version':'v1','resources':["
		"{'resource':'pods','responseKind':{'kind':'Pod'},'scope':'Namespaced','verbs':['list','watch','delete','deletecollection']},"
		"{'resource':'nodes','responseKind':{'kind':'Node'},'scope':'Cluster','verbs':['get','list']}]}]}]}");
	cleanup(json_decrefp) json_t *groups = J("{'items':[{'metadata':{'name':'autoscaling'},'versions':["
		"{'version':'v2','resources':[{'resource':'hpas','responseKind':{'kind':'HPA'},'scope':'Namespaced','verbs':['list']}]},"
		"{'version':'v1','resources':[{'resource':'hpas','responseKind':{'kind':'HPA'},'scope':'Namespaced','verbs':['list']},"
		"{'resource':'broken'}]}]},{'metadata':{'name':'x'}},7]}");

	discovery_add(&d, core);
	discovery_add(&d, groups);
	assert_int_equal(d.n, 3);
	const struct disc_resource *r = discovery_kind(&d, "v1", "Pod");
	assert_true(r->namespaced);
	assert_int_equal(r->verbs, DISC_LIST | DISC_WATCH | DISC_DELETE | DISC_DELETE_COLLECTION);
	r = discovery_kind(&d, "autoscaling/v1", "HPA");
	assert_string_equal(r->version, "v2");
	assert_null(discovery_kind(&d, "apps/v1", "Pod"));
	assert_null(discovery_kind(&d, NULL, NULL));
	discovery_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_background),     cmocka_unit_test(test_unknown_owner_is_asked_for),
		cmocka_unit_test(test_foreground),     cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_owners_without), cmocka_unit_test(test_discovery),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
