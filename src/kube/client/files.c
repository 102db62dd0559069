#include "kube/client/files_int.h"

#include "base/file.h"
#include "kube/client/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#define NOTE_BYTES 2048
#define ASKED_KEPT_MS 50

void files_note(struct kube_files *f, enum kube_files_note what, const char *fmt, ...)
{
	char text[NOTE_BYTES];
	va_list ap;

	if (!f->note)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	f->note(f->note_ctx, what, text);
}

/* ---- what an object is given ---- */

char *files_key(const struct resource *res, const char *ns, const char *name)
{
	return xasprintf("%s.%s/%s/%s", res->plural, res->group, ns ? ns : "", name);
}

/* A UUID by name (RFC 9562, version 8) of the key: the same as long as the object has its name. */
static void uid_text(const char *key, char out[37])
{
	unsigned char h[EVP_MAX_MD_SIZE] = { 0 };

	EVP_Digest(key, strlen(key), h, NULL, EVP_sha256(), NULL);
	h[6] = (h[6] & 0x0f) | 0x80;
	h[8] = (h[8] & 0x3f) | 0x80;
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0], h[1], h[2], h[3], h[4], h[5],
		 h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13], h[14], h[15]);
}

void files_finish_object(const struct known *k, json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");
	char uid[37], version[24], created[TIME_TEXT_BYTES];

	uid_text(k->key, uid);
	snprintf(version, sizeof(version), "%" PRIu64, k->version);
	json_object_set_new(meta, "uid", json_string(uid));
	json_object_set_new(meta, "resourceVersion", json_string(version));
	if (!json_object_get(meta, "creationTimestamp"))
		json_object_set_new(meta, "creationTimestamp", json_string(time_text(k->created_ms, created)));
	json_t *status = k->status ? json_loads(k->status, JSON_DECODE_ANY, NULL) : NULL;
	if (status)
		json_object_set_new(obj, "status", status);
}

/* ---- one pass over the files ---- */

static void drop_value(void *value)
{
	json_decref(value);
}

static void forget_asked(struct kube_files *f)
{
	timer_stop(&f->asked_over);
	map_done(&f->asked_objects, drop_value);
	map_init(&f->asked_objects);
	f->asked = NULL;
}

static void known_free(struct known *k)
{
	list_del(&k->of_source);
	free(k->key);
	free(k->status);
	json_decref(k->whole);
	free(k);
}

static void forget(struct kube_files *f, struct known *k)
{
	f->version++;
	map_del_c(&f->objects, k->key);
	files_tell_gone(f, k);
	known_free(k);
}

static uint64_t hash_of(const json_t *obj)
{
	cleanup(freep) char *text = jx_dump_text(obj);

	return hash_keyed(text, strlen(text));
}

static struct known *known_new(struct kube_files *f, const struct resource *res, char *key, unsigned line)
{
	struct known *k = xcalloc(1, sizeof(*k));

	k->res = res;
	k->key = key;
	k->line = line;
	k->source = f->current;
	k->created_ms = f->current->mtime_ns / 1000000;
	list_append(&f->current->objects, &k->of_source);
	map_put_c(&f->objects, key, k);
	return k;
}

static void on_problem(void *ctx, unsigned line, bool lost, const char *text)
{
	struct kube_files *f = ctx;

	f->current->lost |= lost;
	if (f->current->changed)
		files_note(f, lost ? KUBE_FILES_PROBLEM : KUBE_FILES_WARNING, "%s:%u: %s", f->current->path, line, text);
}

/* Another file's object that this one may take over: that file has been read in this pass, and no longer has it. */
static bool left_behind(const struct kube_files *f, const struct known *k)
{
	const struct source *s = k->source;

	return s && k->seen != f->pass && (s->gone || (s->read_in_pass == f->pass && !s->lost));
}

/* The object's record, if this file's object counts. */
static struct known *claim(struct kube_files *f, const struct resource *res, const json_t *obj, unsigned line)
{
	char *key = files_key(res, jx_namespace(obj), jx_name(obj));
	struct known *k = map_get_c(&f->objects, key);

	if (!k && f->objects.count < FILES_OBJECTS_MAX)
		return known_new(f, res, key, line);
	free(key);
	if (!k) {
		on_problem(f, line, true, "too many objects: this one is left out");
		return NULL;
	}
	if (k->source != f->current && left_behind(f, k)) {
		list_del(&k->of_source);
		list_append(&f->current->objects, &k->of_source);
		k->source = f->current;
	}
	if (k->source == f->current && k->reading != f->reading)
		return k;
	f->current->shadowed |= k->source != f->current;
	cleanup(freep) char *text = xasprintf("%s \"%s\" is in %s:%u already: left out", res->kind, jx_name(obj),
					      k->source ? k->source->path : "memory", k->line);
	on_problem(f, line, false, text);
	return NULL;
}

static void on_object(void *ctx, const struct resource *res, json_t *obj, unsigned line)
{
	struct kube_files *f = ctx;
	struct known *k = claim(f, res, obj, line);

	if (!k)
		return;
	uint64_t hash = hash_of(obj);
	bool same = k->version && k->hash == hash;
	k->seen = f->pass;
	k->reading = f->reading;
	k->line = line;
	k->hash = hash;
	if (!same)
		k->version = ++f->version;
	files_finish_object(k, obj);
	files_tell(f, res, obj, same);
}

static const struct manifest_sink pass_sink = { .object = on_object, .problem = on_problem };

static void read_source(struct kube_files *f, struct source *s, const struct manifest_sink *sink)
{
	struct buf text;
	struct err e;

	buf_init(&text, MANIFEST_BYTES_MAX);
	f->current = s;
	f->reading++;
	s->lost = s->shadowed = false;
	if (file_read(s->path, &text, &e) < 0)
		on_problem(f, 1, true, e.message);
	else
		manifest_read(buf_str(&text), files_is_json(s->path), sink, f);
	buf_done(&text);
	s->read = true;
	f->current = NULL;
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(struct source *const *)a)->path, (*(struct source *const *)b)->path);
}

/* In the order of their paths: which of two equal objects counts must not depend on the file system. */
static struct source **sorted_sources(const struct kube_files *f, size_t *ret_n)
{
	struct source **all = xcalloc(f->sources.count + 1, sizeof(struct source *));
	size_t n = 0;

	for (struct map_iter it = { 0 }; map_next(&f->sources, &it);)
		all[n++] = it.value;
	qsort(all, n, sizeof(*all), by_path);
	*ret_n = n;
	return all;
}

static void source_free(void *value)
{
	struct source *s = value;

	free(s->path);
	free(s);
}

static void mark_gone(struct kube_files *f, struct source **all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		all[i]->gone = all[i]->seen != f->scan;
		all[i]->lost &= !all[i]->gone;
	}
}

static void read_changed(struct kube_files *f, struct source **all, size_t n, bool fresh)
{
	for (size_t i = 0; i < n; i++)
		if (!all[i]->gone && (all[i]->changed || fresh)) {
			read_source(f, all[i], &pass_sink);
			all[i]->read_in_pass = f->pass;
			all[i]->changed = false;
		}
}

/* While a document cannot be read, nobody knows whether it is one of these. */
static bool is_over(const struct kube_files *f, const struct known *k)
{
	return k->seen != f->pass && (k->source->gone || (k->source->read_in_pass == f->pass && !k->source->lost));
}

static bool any_over(const struct kube_files *f, struct source **all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		list_for(pos, tmp, &all[i]->objects)
			if (is_over(f, list_entry(pos, struct known, of_source)))
				return true;
	return false;
}

static void forget_over(struct kube_files *f, struct source **all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		list_for(pos, tmp, &all[i]->objects) {
			struct known *k = list_entry(pos, struct known, of_source);
			if (is_over(f, k))
				forget(f, k);
		}
		if (!all[i]->gone)
			continue;
		map_del_c(&f->sources, all[i]->path);
		source_free(all[i]);
	}
}

/* An object that one file no longer has may be in another that was left out, or that was read before: it is looked for
 * there first, so that moving it is an update and no deletion. */
static void read_shadowed(struct kube_files *f, struct source **all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!all[i]->gone && all[i]->shadowed)
			read_source(f, all[i], &pass_sink);
}

void files_pass(struct kube_files *f)
{
	uint64_t before = f->version;
	bool fresh = files_any_fresh(f);
	size_t n;

	forget_asked(f);
	files_scan(f, f->pass == 0);
	f->pass++;
	struct source **all = sorted_sources(f, &n);
	mark_gone(f, all, n);
	read_changed(f, all, n, fresh);
	if (any_over(f, all, n))
		read_shadowed(f, all, n);
	forget_over(f, all, n);
	free(all);
	if (fresh)
		files_tell_events(f);
	files_pass_ended(f, before);
}

/* ---- reading again ---- */

static void on_wanted(void *ctx, const struct resource *res, json_t *obj, unsigned line)
{
	struct kube_files *f = ctx;
	cleanup(freep) char *key = files_key(res, jx_namespace(obj), jx_name(obj));
	struct known *k = map_get_c(&f->objects, key);

	(void)line;
	if (!k || k->source != f->current || k->reading == f->reading)
		return;
	k->reading = f->reading;
	files_finish_object(k, obj);
	f->each(f->each_ctx, k, obj);
}

static void read_again(struct kube_files *f, struct source *s)
{
	static const struct manifest_sink sink = { .object = on_wanted };
	bool lost = s->lost, shadowed = s->shadowed, changed = s->changed;

	s->changed = false;
	read_source(f, s, &sink);
	s->lost = lost;
	s->shadowed = shadowed;
	s->changed = changed;
}

void files_each(struct kube_files *f, const struct resource *res, void (*fn)(void *ctx, const struct known *k, json_t *obj),
		void *ctx)
{
	size_t n;
	struct source **all = sorted_sources(f, &n);

	f->each = fn;
	f->each_ctx = ctx;
	for (size_t i = 0; i < n; i++) {
		bool any = false;
		list_for(pos, tmp, &all[i]->objects)
			any |= list_entry(pos, struct known, of_source)->res == res;
		if (any)
			read_again(f, all[i]);
	}
	list_for(pos, tmp, &f->events) {
		struct known *k = list_entry(pos, struct known, of_source);
		if (k->res == res)
			fn(ctx, k, k->whole);
	}
	free(all);
}

static void on_asked_over(struct timer *t)
{
	forget_asked(container_of(t, struct kube_files, asked_over));
}

static void keep_asked(void *ctx, const struct known *k, json_t *obj)
{
	struct kube_files *f = ctx;

	if (!map_get_c(&f->asked_objects, k->key))
		map_put_c(&f->asked_objects, k->key, json_incref(obj));
}

json_t *files_object(struct kube_files *f, const char *key)
{
	struct known *k = map_get_c(&f->objects, key);

	if (!k || !k->source)
		return k ? json_deep_copy(k->whole) : NULL;
	if (f->asked != k->source) {
		forget_asked(f);
		f->each = keep_asked;
		f->each_ctx = f;
		read_again(f, k->source);
		f->asked = k->source;
	}
	timer_start(f->loop, &f->asked_over, ASKED_KEPT_MS);
	json_t *obj = json_deep_copy(map_get_c(&f->asked_objects, key));
	if (obj)
		files_finish_object(k, obj); /* a status may have been written since */
	return obj;
}

/* ---- what requests write ---- */

void files_put_status(struct kube_files *f, struct known *k, json_t *obj)
{
	free(k->status);
	k->status = json_object_get(obj, "status") ? jx_dump_text(json_object_get(obj, "status")) : NULL;
	k->version = ++f->version;
	files_finish_object(k, obj);
	cleanup(json_decrefp) json_t *copy = json_deep_copy(obj);
	files_tell(f, k->res, copy, false);
}

struct known *files_put_event(struct kube_files *f, const struct resource *res, json_t *obj)
{
	char *key = files_key(res, jx_namespace(obj), jx_name(obj));
	struct known *k = map_get_c(&f->objects, key);

	if (k) {
		free(key);
		json_decref(k->whole);
	} else {
		k = xcalloc(1, sizeof(*k));
		k->res = res;
		k->key = key;
		k->created_ms = wall_now_ms();
		list_append(&f->events, &k->of_source);
		map_put_c(&f->objects, key, k);
		f->n_events++;
	}
	k->whole = obj;
	k->version = ++f->version;
	files_finish_object(k, obj);
	cleanup(json_decrefp) json_t *copy = json_deep_copy(obj);
	files_tell(f, res, copy, false);
	if (f->n_events > FILES_EVENTS_MAX) {
		f->n_events--;
		forget(f, list_entry(f->events.next, struct known, of_source));
	}
	return k;
}

/* ---- life ---- */

struct kube_files *kube_files_new(struct loop *l, const char *dir, struct err *e)
{
	struct kube_files *f = xcalloc(1, sizeof(*f));
	DIR *d = opendir(dir);
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	f->loop = l;
	f->dir = xstrndup(dir, len);
	map_init(&f->sources);
	map_init(&f->objects);
	map_init(&f->asked_objects);
	list_init(&f->informers);
	list_init(&f->events);
	f->asked_over.fire = on_asked_over;
	if (!d)
		err_errno(e, errno, "read the folder '%s'", dir);
	else
		closedir(d);
	if (!d || !(f->watch = files_watch_new(f, e))) {
		kube_files_free(f);
		return NULL;
	}
	return f;
}

static void known_free_value(void *value)
{
	known_free(value);
}

void kube_files_free(struct kube_files *f)
{
	if (!f)
		return;
	files_watch_free(f->watch);
	forget_asked(f);
	list_for(pos, tmp, &f->informers)
		list_del(pos);
	map_done(&f->objects, known_free_value);
	map_done(&f->sources, source_free);
	free(f->dir);
	free(f);
}
