/* Which pod has an address: here from a folder of manifests. */
#include "roles/dns/observe/pods.h"

#include "kube/client/client.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

static const char manifest[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n"
			       "spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.7}]}\n";

struct rig {
	struct loop *loop;
	struct timer poll, end;
	struct event_addr addr;
};

static void on_poll(struct timer *t)
{
	struct rig *r = t->ctx;

	if (watch_pods_find(&r->addr))
		loop_stop(r->loop);
	else
		timer_start(r->loop, t, 2);
}

static void on_end(struct timer *t)
{
	loop_stop(((struct rig *)t->ctx)->loop);
}

static const char *wait_for(struct rig *r)
{
	r->poll = (struct timer){ .fire = on_poll, .ctx = r };
	r->end = (struct timer){ .fire = on_end, .ctx = r };
	timer_start(r->loop, &r->poll, 0);
	timer_start(r->loop, &r->end, PATIENCE_MS);
	loop_run(r->loop);
	timer_stop(&r->poll);
	timer_stop(&r->end);
	return watch_pods_find(&r->addr);
}

/* Who comes again soon finds what is there: coming and going is no way to have all pods listed over and over. */
static void test_linger(void **state)
{
	char dir[] = "/tmp/portico-watch-pods-XXXXXX", path[64];
	struct rig r = { .addr = { .family = 4, .ip = { 10, 0, 0, 7 } } };
	struct dns_shared s = { 0 };
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pod.yaml", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(manifest, f);
	fclose(f);
	s.main_loop = r.loop = loop_new(&e);
	s.kube = kube_client_from_files(r.loop, dir, &e);
	assert_non_null(s.kube);
	watch_pods_hold(&s);
	assert_null(watch_pods_find(&r.addr));
	const char *pod = wait_for(&r);
	assert_non_null(pod);
	assert_string_equal(pod, "shop/web");
	watch_pods_release();
	watch_pods_hold(&s);
	assert_non_null(watch_pods_find(&r.addr));
	watch_pods_release();
	watch_pods_end();
	assert_null(watch_pods_find(&r.addr));
	watch_pods_end();
	kube_client_free(s.kube);
	loop_free(r.loop);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_linger) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
