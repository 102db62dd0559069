#include "roles/node/leftovers.h"

#include "base/file.h"
#include "base/log.h"
#include "roles/node/volume_task.h"

#include <dirent.h>

struct leftovers {
	struct work work;
	char **dirs;
	size_t n;
};

static void add(struct leftovers *l, const char *dir, const char *name)
{
	l->dirs = xrealloc(l->dirs, (l->n + 1) * sizeof(*l->dirs));
	l->dirs[l->n++] = xasprintf("%s/%s", dir, name);
}

/* Volumes lie below the uid, logs below "namespace_name_uid". */
static void collect(struct leftovers *l, const struct node *n, const char *dir)
{
	DIR *d = opendir(dir);

	for (const struct dirent *de; d && (de = readdir(d));) {
		const char *underscore = strrchr(de->d_name, '_');
		const char *uid = underscore ? underscore + 1 : de->d_name;
		if (de->d_name[0] != '.' && !map_get_c(&n->pods, uid))
			add(l, dir, de->d_name);
	}
	if (d)
		closedir(d);
}

static void on_run(struct work *w)
{
	struct leftovers *l = container_of(w, struct leftovers, work);
	struct err e;

	for (size_t i = 0; i < l->n; i++)
		if (unmount_below(l->dirs[i], &e) < 0 || dir_remove(l->dirs[i], &e) < 0)
			log_warn("leftover of a pod: %s, skipping", e.message);
}

static void on_done(struct work *w)
{
	struct leftovers *l = container_of(w, struct leftovers, work);

	for (size_t i = 0; i < l->n; i++)
		free(l->dirs[i]);
	free(l->dirs);
	free(l);
}

void leftovers_remove(struct node *n)
{
	struct leftovers *l = xcalloc(1, sizeof(*l));

	l->work = (struct work){ .run = on_run, .done = on_done };
	collect(l, n, n->pods_dir);
	collect(l, n, n->logs_dir);
	loop_work(n->loop, &l->work);
}
