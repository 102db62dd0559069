#include "roles/cli/supervisor.h"

#include "base/file.h"
#include "base/log.h"
#include "roles/cli/child.h"
#include "roles/cli/containerd.h"
#include "roles/cli/control.h"
#include "roles/cli/logs.h"
#include "roles/cli/roles.h"
#include "roles/lb/teardown.h"
#include "roles/node/teardown.h"
#include "roles/proxy/teardown.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_GRACE_MS 5000	 /* a role has nothing to save but what it has saved already */
#define CONTAINERD_GRACE_MS 5000
#define RETIRE_GRACE_MS 260000	 /* worker-shutdown-timeout's default, 240 s, and some more */
#define LOG_CHECK_MS 5000 /* a busy proxy's access log grows by some ten megabytes a second */
#define CONTAINERD_WAIT_MS 10000
#define LISTEN_ENV_BYTES 256

struct supervisor;
struct member {
	struct child child;
	struct child next; /* of a role that hands its connections over: the one that is to replace `child`, or retires */
	char *argv[5];
	char *log_path;
	char listen_env[LISTEN_ENV_BYTES];
	bool announced, hands_over;
};

struct supervisor {
	struct loop *loop;
	char *program; /* where the installed program is: after an upgrade, another one than this */
	const struct config *config;
	struct member *members; /* [0] is containerd; the others follow roles[] */
	size_t n;
	struct control *control;
	struct timer log_timer;
	struct work work; /* the sandbox image, and at the end the teardown */
	int progress_fd;
	uint64_t started_ms;
	bool image_ready, stopping;
	struct err work_error;
	int work_rc;
};

static struct supervisor *supervisor_of(struct child *c)
{
	return c->ctx;
}

static struct child *find(struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (c_eq(s->members[i].child.name, name))
			return &s->members[i].child;
	return NULL;
}

static void start(struct child *c)
{
	struct err e;

	if (c->state != CHILD_STOPPED)
		return;
	if (child_start(c, &e) < 0)
		log_error("start %s: %s", c->name, e.message);
}

static void announce(struct supervisor *s, struct member *m)
{
	bool all = true;

	if (m->announced || s->progress_fd < 0)
		return;
	m->announced = true;
	dprintf(s->progress_fd, "%s %llu\n", m->child.name,
		(unsigned long long)(loop_now_ms(s->loop) - s->started_ms));
	for (size_t i = 0; i < s->n; i++)
		all = all && s->members[i].announced;
	if (all) {
		close(s->progress_fd);
		s->progress_fd = -1;
	}
}

/* The API server comes first: everyone else would only fail to connect. The node agent needs containerd with its
 * sandbox image as well. */
static void start_what_can(struct supervisor *s)
{
	bool api = find(s, "apiserver")->state == CHILD_READY;

	if (s->stopping || !api)
		return;
	for (size_t i = 1; i < s->n; i++) {
		struct child *c = &s->members[i].child;
		if (!c_eq(c->name, "node") || s->image_ready)
			start(c);
	}
}

static void load_image(struct work *w)
{
	struct supervisor *s = container_of(w, struct supervisor, work);

	s->work_rc = containerd_load_pause(s->config, &s->work_error);
}

static void image_loaded(struct work *w)
{
	struct supervisor *s = container_of(w, struct supervisor, work);

	if (s->work_rc < 0)
		log_error("%s", s->work_error.message);
	s->image_ready = true;
	start_what_can(s);
}

static bool containerd_ready(struct child *c)
{
	return containerd_answers(supervisor_of(c)->config);
}

static void tear_down(struct work *w)
{
	struct supervisor *s = container_of(w, struct supervisor, work);
	struct err e;

	if (node_teardown(s->config, &e) < 0)
		log_error("node: %s", e.message);
	if (proxy_teardown(s->config, &e) < 0)
		log_error("proxy: %s", e.message);
	if (lb_teardown(s->config, &e) < 0)
		log_error("lb: %s", e.message);
}

static void torn_down(struct work *w)
{
	struct supervisor *s = container_of(w, struct supervisor, work);

	child_stop(&s->members[0].child, CONTAINERD_GRACE_MS);
}

static void on_stopped(struct supervisor *s)
{
	for (size_t i = 1; i < s->n; i++)
		if (s->members[i].child.state != CHILD_STOPPED || s->members[i].next.state != CHILD_STOPPED)
			return;
	if (s->members[0].child.state == CHILD_STOPPED) {
		loop_stop(s->loop);
	} else if (!s->members[0].child.stopping && !s->work.run) {
		s->work = (struct work){ .run = tear_down, .done = torn_down };
		loop_work(s->loop, &s->work);
	}
}

static void on_changed(struct child *c)
{
	struct supervisor *s = supervisor_of(c);

	log_info("%s: %s%s%s", c->name, child_state_name(c->state), c->last_error[0] ? ": " : "", c->last_error);
	if (s->stopping) {
		on_stopped(s);
		return;
	}
	if (c->state != CHILD_READY)
		return;
	announce(s, container_of(c, struct member, child));
	if (c == &s->members[0].child && !s->image_ready) {
		s->work = (struct work){ .run = load_image, .done = image_loaded };
		loop_work(s->loop, &s->work);
	}
	start_what_can(s);
}

static void on_signal(void *ctx, int signo)
{
	struct supervisor *s = ctx;

	if (s->stopping)
		return;
	log_info("stopping on %s", strsignal(signo));
	s->stopping = true;
	s->work.run = NULL; /* an image import that is under way ends by itself with containerd */
	for (size_t i = 1; i < s->n; i++) {
		child_stop(&s->members[i].child, STOP_GRACE_MS);
		if (s->members[i].next.state != CHILD_STOPPED)
			child_stop(&s->members[i].next, STOP_GRACE_MS);
	}
	on_stopped(s);
}

static void check_logs(struct timer *t)
{
	struct supervisor *s = t->ctx;

	for (size_t i = 0; i < s->n; i++)
		log_rotate(s->members[i].log_path);
	timer_start(s->loop, t, LOG_CHECK_MS);
}

/* ---- restarts on request ---- */

static struct member *member_of(struct child *next)
{
	return container_of(next, struct member, next);
}

/* The next process serves: the old one finishes what it has, on the same sockets' connections. Then they change places,
 * which costs nothing but their numbers: a struct child is tied to its address. */
static void next_changed(struct child *c)
{
	struct member *m = member_of(c);
	struct supervisor *s = supervisor_of(c);

	if (c->state == CHILD_READY && !c->stopping) {
		log_info("%s: %d takes over from %d", c->name, c->pid, m->child.pid);
		child_swap(&m->child, c);
		child_retire(c, RETIRE_GRACE_MS);
	} else if (c->state == CHILD_WAITING) {
		log_error("%s: the new process ended: %s; the old one goes on", c->name, c->last_error);
		snprintf(m->child.last_error, sizeof(m->child.last_error), "restart failed: %.200s", c->last_error);
		child_stop(c, 0);
	} else if (c->state == CHILD_STOPPED && s->stopping) {
		on_stopped(s);
	}
}

static int restart_member(struct supervisor *s, struct member *m, struct err *e)
{
	free(m->argv[0]);
	m->argv[0] = xstrdup(s->program);
	if (!m->hands_over) {
		child_restart(&m->child);
		return 0;
	}
	if (m->next.state != CHILD_STOPPED)
		return err_set(e, ERR_CONFLICT, "%s: a process that was replaced before is still finishing (pid %d)", m->child.name,
			       m->next.pid);
	m->next.last_error[0] = m->child.last_error[0] = '\0';
	return child_start(&m->next, e);
}

static json_t *restart(struct supervisor *s, const char *name)
{
	struct err e;

	for (size_t i = 1; i < s->n && !s->stopping; i++)
		if (c_eq(s->members[i].child.name, name)) {
			if (restart_member(s, &s->members[i], &e) < 0)
				return json_pack("{s:s}", "error", e.message);
			return json_pack("{s:s}", "restarting", name);
		}
	return json_pack("{s:s}", "error", s->stopping ? "portico is stopping" : "there is no such role");
}

static json_t *snapshot(struct supervisor *s)
{
	uint64_t now = loop_now_ms(s->loop);
	json_t *list = json_array();

	for (size_t i = 0; i < s->n; i++) {
		const struct child *c = &s->members[i].child;
		uint64_t up = c->pid > 0 ? now - c->started_ms : 0;
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:s, s:I}", "name", c->name, "state",
						      child_state_name(c->state), "pid", (int)c->pid, "restarts",
						      (int)c->restarts, "lastError", c->last_error, "uptimeMs",
						      (json_int_t)up));
	}
	return json_pack("{s:i, s:I, s:b, s:o}", "pid", (int)getpid(), "uptimeMs", (json_int_t)(now - s->started_ms),
			 "stopping", s->stopping, "roles", list);
}

static json_t *answer(void *ctx, const char *line)
{
	if (strncmp(line, "restart ", 8) == 0)
		return restart(ctx, line + 8);
	return snapshot(ctx);
}

static void member_init(struct supervisor *s, struct member *m, const char *name)
{
	child_init(&m->child, s->loop);
	m->child.name = name;
	m->child.argv = m->argv;
	m->log_path = xasprintf("%s/logs/%s.log", s->config->data_dir, name);
	m->child.log_path = m->log_path;
	m->child.changed = on_changed;
	m->child.ctx = s;
	child_init(&m->next, s->loop);
}

/* After give_sockets: the same process once more, with the same sockets. */
static void prepare_next(struct member *m)
{
	m->hands_over = true;
	m->next.name = m->child.name;
	m->next.argv = m->child.argv;
	m->next.log_path = m->child.log_path;
	m->next.listen_env = m->child.listen_env;
	m->next.n_fds = m->child.n_fds;
	memcpy(m->next.fds, m->child.fds, sizeof(m->next.fds));
	m->next.notifies = m->child.notifies;
	m->next.replaces = true;
	m->next.ctx = m->child.ctx;
	m->next.changed = next_changed;
}

static void give_sockets(struct member *m, const struct supervisor_sockets *sockets)
{
	size_t len = 0;

	for (size_t i = 0; i < sockets->n; i++) {
		const struct supervisor_socket *so = &sockets->at[i];
		if (!c_eq(so->role, m->child.name) || m->child.n_fds == CHILD_FDS_MAX)
			continue;
		m->child.fds[m->child.n_fds++] = so->fd;
		len += (size_t)snprintf(m->listen_env + len, LISTEN_ENV_BYTES - len, "%s%s:%d", len ? "," : "",
					so->name, so->fd);
	}
	m->child.listen_env = len ? m->listen_env : NULL;
}

static int build_members(struct supervisor *s, const struct supervisor_sockets *sockets, struct err *e)
{
	size_t n_roles = 0;

	while (roles[n_roles])
		n_roles++;
	s->n = n_roles + 1;
	s->members = xcalloc(s->n, sizeof(*s->members));
	const char *containerd = containerd_find(e);
	if (!containerd)
		return -1;
	member_init(s, &s->members[0], "containerd");
	s->members[0].argv[0] = xstrdup(containerd);
	s->members[0].argv[1] = xstrdup("--config");
	s->members[0].argv[2] = containerd_config_path(s->config);
	s->members[0].child.ready_check = containerd_ready;
	for (size_t i = 0; i < n_roles; i++) {
		struct member *m = &s->members[i + 1];
		member_init(s, m, roles[i]->name);
		m->argv[0] = xstrdup("/proc/self/exe");
		m->argv[1] = xstrdup(roles[i]->name);
		m->argv[2] = xasprintf("--config=%s/config.json", s->config->run_dir);
		m->child.notifies = true;
		give_sockets(m, sockets);
		if (roles[i]->drain)
			prepare_next(m);
	}
	return 0;
}

static void free_members(struct supervisor *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t a = 0; a < ARRAY_LEN(s->members[i].argv); a++)
			free(s->members[i].argv[a]);
		free(s->members[i].log_path);
	}
	free(s->members);
}

static int supervisor_start(struct supervisor *s, const struct supervisor_sockets *sockets, struct err *e)
{
	if (loop_on_signal(s->loop, SIGTERM, on_signal, s, e) < 0 || loop_on_signal(s->loop, SIGINT, on_signal, s, e) < 0)
		return -1;
	if (build_members(s, sockets, e) < 0 || containerd_prepare(s->config, e) < 0)
		return -1;
	s->control = control_new(s->loop, s->config, answer, s, e);
	if (!s->control)
		return -1;
	s->started_ms = loop_now_ms(s->loop);
	start(find(s, "apiserver"));
	start(&s->members[0].child);
	s->log_timer = (struct timer){ .fire = check_logs, .ctx = s };
	timer_start(s->loop, &s->log_timer, LOG_CHECK_MS);
	return 0;
}

static char *program_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	return n > 0 ? xstrndup(path, (size_t)n) : xstrdup("/proc/self/exe");
}

int supervisor_run(const struct config *c, const struct supervisor_sockets *sockets, int progress_fd, struct err *e)
{
	struct supervisor s = { .config = c, .progress_fd = progress_fd, .program = program_path() };

	signal(SIGPIPE, SIG_IGN);
	s.loop = loop_new(e);
	if (!s.loop)
		return -1;
	int rc = supervisor_start(&s, sockets, e);
	if (rc == 0)
		loop_run(s.loop);
	control_free(s.control);
	free_members(&s);
	free(s.program);
	loop_free(s.loop);
	struct err ignored;
	if (rc == 0 && dir_remove(c->run_dir, &ignored) < 0)
		log_warn("%s", ignored.message);
	return rc;
}

/* The supervisor was killed, so containerd is gone as well: it is needed once more, to stop its containers. */
int supervisor_teardown(const struct config *c, struct err *e)
{
	struct supervisor s = { .config = c };
	const char *containerd = containerd_find(e);
	cleanup(freep) char *path = containerd_config_path(c);

	if (!containerd || containerd_prepare(c, e) < 0)
		return -1;
	bool running = containerd_answers(c);
	pid_t pid = running ? 0 : fork();
	if (!running && pid == 0) {
		char *argv[] = { (char *)containerd, "--config", path, "--log-level", "error", NULL };
		execv(containerd, argv);
		_exit(127);
	}
	for (int waited = 0; waited < CONTAINERD_WAIT_MS && !containerd_answers(c); waited += 20)
		usleep(20000); /* its socket has no other way to tell */
	tear_down(&s.work);
	if (pid > 0) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	return dir_remove(c->run_dir, e);
}
