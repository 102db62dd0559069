#include "roles/node/log_rotation.h"

#include "base/log.h"
#include "roles/node/cri_spec.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 10000
#define LOG_MAX_BYTES (10 << 20) /* kubelet's containerLogMaxSize */
#define LOG_FILES_MAX 5		 /* kubelet's containerLogMaxFiles, the current one included */
#define NAME_BYTES 256

struct log_rotation {
	struct node *node;
	struct timer timer;
};

/* Removes the oldest rotated files of a log until at most `keep` are left. Their names sort by age.
 */
static void prune(const char *path, size_t keep)
{
	const char *slash = strrchr(path, '/');
	cleanup(freep) char *dir = xstrndup(path, (size_t)(slash - path));
	cleanup(freep) char *prefix = xasprintf("%s.", slash + 1);
	char oldest[NAME_BYTES];

	for (size_t n = keep + 1; n > keep;) {
		DIR *d = opendir(dir);
		n = 0;
		for (const struct dirent *de; d && (de = readdir(d));) {
			if (strncmp(de->d_name, prefix, strlen(prefix)) != 0)
				continue;
			if (n++ == 0 || strcmp(de->d_name, oldest) < 0)
				snprintf(oldest, sizeof(oldest), "%s", de->d_name);
		}
		if (d)
			closedir(d);
		cleanup(freep) char *victim = xasprintf("%s/%s", dir, n ? oldest : "");
		if (n > keep && unlink(victim) == -1)
			return;
	}
}

static void on_reopened(void *ctx, const void *response, const struct err *e)
{
	(void)response;
	if (e)
		log_warn("container=%s reopen log: %s, skipping", (const char *)ctx, e->message);
	free(ctx);
}

static void rotate(struct ctr *c, const char *path)
{
	Cri__ContainerRequest q = CRI__CONTAINER_REQUEST__INIT;
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	cleanup(freep) char *aside = xasprintf("%s.%s", path, stamp);
	if (rename(path, aside) == -1)
		return;
	prune(path, LOG_FILES_MAX - 1);
	q.container_id = c->id;
	cri_send(c->pod->node->cri, CRI_REOPEN_LOG, &q, 0, on_reopened, xstrdup(c->name));
}

static void check(struct ctr *c)
{
	cleanup(freep) char *path = ctr_log_path(c, c->attempt);
	struct stat st;

	if (c->state == CTR_RUNNING && stat(path, &st) == 0 && st.st_size > LOG_MAX_BYTES)
		rotate(c, path);
}

static void on_timer(struct timer *t)
{
	struct log_rotation *r = t->ctx;

	for (struct map_iter it = { 0 }; map_next(&r->node->pods, &it);) {
		struct pod *p = it.value;
		for (size_t i = 0; i < p->n_ctrs; i++)
			check(&p->ctrs[i]);
	}
	timer_start(r->node->loop, &r->timer, PERIOD_MS);
}

void log_rotation_start(struct node *n)
{
	struct log_rotation *r = xcalloc(1, sizeof(*r));

	*r = (struct log_rotation){ .node = n, .timer = { .fire = on_timer, .ctx = r } };
	n->log_rotation = r;
	timer_start(n->loop, &r->timer, PERIOD_MS);
}

void log_rotation_stop(struct node *n)
{
	if (!n->log_rotation)
		return;
	timer_stop(&n->log_rotation->timer);
	free(n->log_rotation);
	n->log_rotation = NULL;
}
