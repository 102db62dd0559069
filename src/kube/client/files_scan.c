/* Which manifests there are, and which of them have changed.
 *
 * A look stats every file; inotify(7) only says when to look. Folders are followed to FILES_DEPTH_MAX, through symbolic
 * links as well: a mounted ConfigMap is a folder of links into "..data", itself a link that is replaced by rename(2). Names
 * that begin with a dot are passed over, and so is whatever does not end in .yaml, .yml or .json: editors' temporary files.
 */
#include "kube/client/files_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHED (IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)

struct folder {
	int wd;
	unsigned seen;
	char *path;
};

struct files_watch {
	struct kube_files *files;
	struct io io;
	struct map folders; /* path → struct folder */
	struct map closed;  /* paths written since the last look; values are not used */
	struct timer look;
	uint64_t first_ms, look_at_ms; /* of the change that is waited on; 0: none */
	bool too_many;
};

static bool has_extension(const char *name, const char *ext)
{
	return str_ends(str_of(name), str_of(ext));
}

bool files_is_json(const char *path)
{
	return has_extension(path, ".json");
}

static bool is_manifest(const char *name)
{
	return has_extension(name, ".yaml") || has_extension(name, ".yml") || files_is_json(name);
}

/* ---- when to look ---- */

static void on_look(struct timer *t)
{
	struct files_watch *w = container_of(t, struct files_watch, look);

	w->first_ms = 0;
	w->look_at_ms = UINT64_MAX;
	files_pass(w->files);
	files_look_after(w->files, FILES_POLL_MS);
}

void files_look_after(struct kube_files *f, uint64_t ms)
{
	struct files_watch *w = f->watch;
	uint64_t at = loop_now_ms(f->loop) + ms;

	if (timer_active(&w->look) && w->look_at_ms <= at)
		return;
	w->look_at_ms = at;
	timer_start(f->loop, &w->look, ms);
}

static void something_changed(struct files_watch *w)
{
	uint64_t now = loop_now_ms(w->files->loop);

	if (!w->first_ms)
		w->first_ms = now;
	uint64_t latest = w->first_ms + FILES_SETTLE_MAX_MS;
	w->look_at_ms = MIN(now + FILES_SETTLE_MS, MAX(latest, now));
	timer_start(w->files->loop, &w->look, w->look_at_ms - now);
}

static const char *path_of_wd(const struct files_watch *w, int wd)
{
	for (struct map_iter it = { 0 }; map_next(&w->folders, &it);)
		if (((const struct folder *)it.value)->wd == wd)
			return ((const struct folder *)it.value)->path;
	return NULL;
}

/* A new regular file is waited for until it is closed. */
static bool matters(const struct files_watch *w, const struct inotify_event *ev, const char *path)
{
	struct stat st;

	(void)w;
	if (!ev->len)
		return true; /* the folder itself */
	if (ev->name[0] == '.')
		return strcmp(ev->name, "..data") == 0;
	if (ev->mask & IN_ISDIR)
		return true;
	if ((ev->mask & IN_CREATE) && path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		return false;
	return is_manifest(ev->name) || (ev->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE));
}

static void take_event(struct files_watch *w, const struct inotify_event *ev)
{
	const char *folder = path_of_wd(w, ev->wd);
	cleanup(freep) char *path = folder && ev->len ? xasprintf("%s/%s", folder, ev->name) : NULL;

	if (ev->mask & IN_Q_OVERFLOW) {
		something_changed(w);
		return;
	}
	if (path && (ev->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)))
		map_put_c(&w->closed, path, w);
	if (matters(w, ev, path))
		something_changed(w);
}

static void on_events(struct io *io, uint32_t events)
{
	struct files_watch *w = io->ctx;
	char space[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)events;
	while ((n = read(io->fd, space, sizeof(space))) > 0)
		for (char *p = space; p < space + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)(void *)p;
			take_event(w, ev);
			p += sizeof(*ev) + ev->len;
		}
}

/* ---- looking ---- */

struct ancestor {
	const struct ancestor *up;
	dev_t dev;
	ino_t ino;
};

static bool is_ancestor(const struct ancestor *a, const struct stat *st)
{
	for (; a; a = a->up)
		if (a->dev == st->st_dev && a->ino == st->st_ino)
			return true;
	return false;
}

static void watch_folder(struct files_watch *w, const char *path)
{
	struct folder *d = map_get_c(&w->folders, path);
	int wd = inotify_add_watch(w->io.fd, path, WATCHED | IN_ONLYDIR);

	if (!d) {
		d = xcalloc(1, sizeof(*d));
		d->path = xstrdup(path);
		map_put_c(&w->folders, path, d);
	}
	d->wd = wd; /* -1, past the user's limit of watches: the look every ten seconds is left */
	d->seen = w->files->scan;
}

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool half_written(struct files_watch *w, const char *path, const struct stat *st)
{
	int64_t age_ms = wall_now_ms() - ns_of(st->st_mtim) / 1000000;

	return age_ms >= 0 && age_ms < FILES_QUIET_MS && !map_get_c(&w->closed, path);
}

static void look_at_file(struct files_watch *w, const char *path, const struct stat *st, bool first)
{
	struct kube_files *f = w->files;
	struct source *s = map_get_c(&f->sources, path);

	if (!s && f->sources.count >= FILES_MAX) {
		if (!w->too_many)
			files_note(f, KUBE_FILES_PROBLEM, "%s: more than %d files: this one and others are left out", path, FILES_MAX);
		w->too_many = true;
		return;
	}
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->path = xstrdup(path);
		list_init(&s->objects);
		map_put_c(&f->sources, path, s);
	}
	s->seen = f->scan;
	s->changed = !s->read || s->dev != st->st_dev || s->ino != st->st_ino || s->size != (uint64_t)st->st_size ||
		     s->mtime_ns != ns_of(st->st_mtim) || s->ctime_ns != ns_of(st->st_ctim);
	if (!s->changed)
		return;
	if (!first && half_written(w, path, st)) {
		s->changed = false;
		files_look_after(f, FILES_QUIET_MS);
		return;
	}
	s->dev = st->st_dev;
	s->ino = st->st_ino;
	s->size = (uint64_t)st->st_size;
	s->mtime_ns = ns_of(st->st_mtim);
	s->ctime_ns = ns_of(st->st_ctim);
}

static void look_at_folder(struct files_watch *w, const char *path, const struct ancestor *up, unsigned depth, bool first);

static void look_at_name(struct files_watch *w, const char *folder, const char *name, const struct ancestor *up, unsigned depth,
			 bool first)
{
	cleanup(freep) char *path = xasprintf("%s/%s", folder, name);
	struct stat st;

	if (stat(path, &st) == -1)
		return; /* a link to nowhere, or gone since */
	if (S_ISDIR(st.st_mode) && depth < FILES_DEPTH_MAX && !is_ancestor(up, &st)) {
		struct ancestor here = { up, st.st_dev, st.st_ino };
		look_at_folder(w, path, &here, depth + 1, first);
	} else if (S_ISREG(st.st_mode) && is_manifest(name)) {
		look_at_file(w, path, &st, first);
	}
}

static void look_at_folder(struct files_watch *w, const char *path, const struct ancestor *up, unsigned depth, bool first)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	if (!d)
		return;
	watch_folder(w, path); /* before it is read: what comes in meanwhile is told */
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			look_at_name(w, path, entry->d_name, up, depth, first);
	closedir(d);
}

static void folder_free(void *value)
{
	struct folder *d = value;

	free(d->path);
	free(d);
}

static void forget_folders(struct files_watch *w)
{
	size_t n = 0;
	struct folder **gone = xcalloc(w->folders.count + 1, sizeof(*gone));

	for (struct map_iter it = { 0 }; map_next(&w->folders, &it);)
		if (((struct folder *)it.value)->seen != w->files->scan)
			gone[n++] = it.value;
	for (size_t i = 0; i < n; i++) {
		if (gone[i]->wd >= 0 && access(gone[i]->path, F_OK) == 0)
			inotify_rm_watch(w->io.fd, gone[i]->wd);
		map_del_c(&w->folders, gone[i]->path);
		folder_free(gone[i]);
	}
	free(gone);
}

void files_scan(struct kube_files *f, bool first)
{
	struct files_watch *w = f->watch;
	struct ancestor top = { 0 };
	struct stat st;

	f->scan++;
	if (stat(f->dir, &st) == 0)
		top = (struct ancestor){ NULL, st.st_dev, st.st_ino };
	look_at_folder(w, f->dir, &top, 0, first);
	forget_folders(w);
	map_done(&w->closed, NULL);
	map_init(&w->closed);
}

/* ---- life ---- */

struct files_watch *files_watch_new(struct kube_files *f, struct err *e)
{
	struct files_watch *w = xcalloc(1, sizeof(*w));

	w->files = f;
	map_init(&w->folders);
	map_init(&w->closed);
	w->look.fire = on_look;
	w->look_at_ms = UINT64_MAX;
	w->io.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->io.ready = on_events;
	w->io.ctx = w;
	if (w->io.fd == -1)
		err_errno(e, errno, "inotify");
	else if (io_watch(f->loop, &w->io, EPOLLIN, e) == 0)
		return w;
	files_watch_free(w);
	return NULL;
}

void files_watch_free(struct files_watch *w)
{
	if (!w)
		return;
	timer_stop(&w->look);
	if (w->io.fd != -1) {
		io_stop(&w->io);
		close(w->io.fd);
	}
	map_done(&w->folders, folder_free);
	map_done(&w->closed, NULL);
	free(w);
}
