/* nodelocal_run.c - node-local mode without a DNS server: tests put one of their own behind the address.
 *
 *	nodelocal_run --node-local IP --run-dir DIR --from MANIFESTS
 * SIGUSR1: serves; SIGUSR2: does no longer; SIGTERM ends it. "ready" is printed once everything is in place.
 */
#include "base/log.h"
#include "kube/client/client.h"
#include "roles/dns/nodelocal/nodelocal.h"

#include <stdio.h>

static struct nodelocal *mode;

static void on_serve(void *ctx, int signo)
{
	(void)ctx;
	nodelocal_serving(mode, signo == SIGUSR1);
	printf("%s\n", signo == SIGUSR1 ? "serving" : "silent");
	fflush(stdout);
}

static void on_end(void *ctx, int signo)
{
	(void)signo;
	loop_stop(ctx);
}

static int fail(const struct err *e)
{
	fprintf(stderr, "nodelocal_run: %s\n", e->message);
	return 1;
}

int main(int argc, char **argv)
{
	struct config c;
	struct err e;

	config_defaults(&c);
	log_setup("run", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (config_parse_args(&c, &argc, argv, &e) < 0)
		return fail(&e);
	struct loop *l = loop_new(&e);
	if (!l || loop_on_signal(l, SIGTERM, on_end, l, &e) < 0 || loop_on_signal(l, SIGUSR1, on_serve, l, &e) < 0 ||
	    loop_on_signal(l, SIGUSR2, on_serve, l, &e) < 0)
		return fail(&e);
	mode = nodelocal_prepare(&c, &e);
	if (!mode)
		return fail(&e);
	struct kube_client *k = kube_client_from_files(l, c.from, &e);
	if (!k) {
		nodelocal_free(mode);
		return fail(&e);
	}
	nodelocal_start(mode, l, k);
	printf("ready\n");
	fflush(stdout);
	loop_run(l);
	nodelocal_free(mode);
	kube_client_free(k);
	loop_free(l);
	config_done(&c);
	printf("gone\n");
	return 0;
}
