/* apiserver_harness.h - a real API server in a child process, and a client of it, for tests.
 *
 * The server is `portico apiserver` as the supervisor would start it: own certificates, own data
 * directory under /tmp, TLS on a port of its own on loopback.
 */
#pragma once

#include "free_port.h"
#include "kube/client/client.h"
#include "roles/cli/cli.h"
#include "roles/cli/pki.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

struct api_world {
	char dir[64];
	struct config config;
	pid_t server;
	int port;
	struct loop *loop;
	struct kube_client *kube;
};

static inline void api_set(char **at, char *value)
{
	free(*at);
	*at = value;
}

/* Forks the server and waits for READY on the supervisor's notify socket. */
static inline void api_start(struct api_world *w)
{
	int pair[2];
	char text[256] = "";

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	w->server = fork();
	assert_true(w->server >= 0);
	if (w->server == 0) {
		char fd[16];
		close(pair[0]);
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		setenv("PORTICO_NOTIFY_FD", fd, 1);
		_exit(role_process(&role_apiserver, &w->config));
	}
	close(pair[1]);
	ssize_t n = recv(pair[0], text, sizeof(text) - 1, 0);
	close(pair[0]);
	if (n <= 0 || strcmp(text, "READY") != 0)
		fail_msg("the server did not become ready: %s", text);
}

static inline void api_kill(struct api_world *w, int signo)
{
	int status;

	if (w->server <= 0)
		return;
	kill(w->server, signo);
	assert_int_equal(waitpid(w->server, &status, 0), w->server);
	w->server = 0;
	if (signo == SIGTERM && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		fail_msg("the server ended with status %x", status);
}

static inline void api_connect(struct api_world *w)
{
	cleanup(freep) char *path = xasprintf("%s/admin.kubeconfig", w->config.data_dir);
	struct kube_config kc;
	struct err e;

	w->loop = loop_new(&e);
	assert_non_null(w->loop);
	if (kube_config_load(path, &kc, &e) < 0)
		fail_msg("%s", e.message);
	w->kube = kube_client_new(w->loop, &kc, "portico-test", &e);
	kube_config_done(&kc);
	assert_non_null(w->kube);
}

static inline void api_disconnect(struct api_world *w)
{
	kube_client_free(w->kube);
	loop_free(w->loop);
	w->kube = NULL;
	w->loop = NULL;
}

static inline struct api_world *api_world_new(void)
{
	struct api_world *w = xcalloc(1, sizeof(*w));
	struct err e;

	snprintf(w->dir, sizeof(w->dir), "/tmp/portico-api-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	config_defaults(&w->config);
	w->port = free_port();
	api_set(&w->config.data_dir, xasprintf("%s/data", w->dir));
	api_set(&w->config.run_dir, xasprintf("%s/run", w->dir));
	api_set(&w->config.api_address, xasprintf("127.0.0.1:%d", w->port));
	api_set(&w->config.node_name, xstrdup("n0"));
	api_set(&w->config.node_ip, xstrdup("192.0.2.1"));
	api_set(&w->config.log_level, xstrdup("warn"));
	assert_int_equal(mkdir(w->config.data_dir, 0755), 0);
	assert_int_equal(mkdir(w->config.run_dir, 0755), 0);
	if (pki_ensure(&w->config, &e) < 0)
		fail_msg("%s", e.message);
	cleanup(freep) char *own = xasprintf("%s/apiserver", w->config.data_dir);
	assert_int_equal(mkdir(own, 0700), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(own, role_uid("apiserver"), role_uid("apiserver")), 0);
	api_start(w);
	api_connect(w);
	return w;
}

static inline void api_world_free(struct api_world *w)
{
	cleanup(freep) char *command = xasprintf("rm -rf %s", w->dir);

	api_disconnect(w);
	api_kill(w, SIGTERM);
	config_done(&w->config);
	assert_int_equal(system(command), 0);
	free(w);
}

/* One request, waited for. */
struct api_answer {
	struct loop *loop;
	bool done;
	int status;
	json_t *body;	    /* owned; NULL when there was none */
	char message[2048]; /* of an error */
};

static inline void api_answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct api_answer *a = ctx;

	a->done = true;
	a->status = status;
	a->body = obj ? json_deep_copy(obj) : NULL;
	snprintf(a->message, sizeof(a->message), "%s",
		 e ? (obj && jx_str(obj, "message") ? jx_str(obj, "message") : e->message) : "");
	loop_stop(a->loop);
}

static inline struct api_answer api_ask(struct api_world *w, const char *method, const char *path,
					const char *type, const json_t *body)
{
	struct api_answer a = { .loop = w->loop };

	kube_request(w->kube, method, path, type, body, api_answered, &a);
	while (!a.done)
		loop_run(w->loop);
	return a;
}

static inline void api_answer_done(struct api_answer *a)
{
	json_decref(a->body);
	a->body = NULL;
}
