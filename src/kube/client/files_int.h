/* files_int.h - a folder of manifests in place of an API server: what the files of it share.
 *
 *	files_scan.c    which files there are, which have changed (inotify, and a look every ten seconds)
 *	manifest.c      a file's objects
 *	files.c         what is known of each object
 *	files_tell.c    differences, told to the informers
 *	files_answer.c  requests
 *
 * Bodies are not kept: informers have what they need of them, and a later reader has the file. Of an object there is its
 * hash, the version it was given, and the status that was written to it.
 */
#pragma once

#include "base/map.h"
#include "kube/client/client.h"
#include "kube/object/selector.h"
#include "kube/schema/schema.h"

#define FILES_MAX 20000		 /* manifests: a stat of each is some 20 ms every ten seconds */
#define FILES_OBJECTS_MAX 200000 /* some 60 MB of what is known of them */
#define FILES_DEPTH_MAX 8	 /* folders within folders */
#define FILES_EVENTS_MAX 1000	 /* Events kept for `get` */
#define FILES_SETTLE_MS 20	 /* after a change: an editor or `cp` is seldom done with one */
#define FILES_SETTLE_MAX_MS 200	 /* but not for ever */
#define FILES_QUIET_MS 100	 /* a file this young that nobody has closed yet may be half written */
#define FILES_POLL_MS 10000	 /* for what inotify does not tell: targets of links, network file systems */

/* What a path of the API names. */
struct kube_target {
	char *group, *version, *ns, *plural, *name, *sub, *query; /* owned; NULL if absent */
};
int kube_target_parse(const char *path, struct kube_target *ret, struct err *e) must_check;
void kube_target_done(struct kube_target *t);

struct source { /* one file */
	char *path;
	struct list objects;
	unsigned seen;		     /* by the scan of this number */
	unsigned read_in_pass;
	bool read, changed, gone;
	bool lost;     /* a document of it cannot be read: what it held before stays */
	bool shadowed; /* an object of it is another file's already */
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns;
};

struct known { /* one object */
	struct list of_source;
	struct source *source; /* NULL: made by a request (an Event) */
	char *key;	       /* "ingresses.networking.k8s.io/default/web" */
	const struct resource *res;
	uint64_t hash, version;
	unsigned seen, reading; /* by the pass and by the reading of this number */
	unsigned line;
	int64_t created_ms;
	char *status;  /* JSON, written by a request; NULL: none */
	json_t *whole; /* of what is in no file */
};

struct files_watch;
struct informer;
struct kube_files {
	struct loop *loop;
	char *dir;
	struct map sources; /* path → struct source */
	struct map objects; /* key → struct known */
	struct list informers; /* struct informer, files_link */
	struct list events;    /* struct known, of_source; oldest first */
	size_t n_events;
	uint64_t version;
	unsigned pass, scan, reading;
	struct files_watch *watch;
	kube_files_note_fn *note;
	void *note_ctx;
	/* during a pass */
	struct source *current;
	/* the file that requests asked for last, as a whole for a moment: many Secrets are fetched one after another */
	struct source *asked;
	struct map asked_objects; /* key → json_t */
	struct timer asked_over;
	/* while files are read again for a request */
	void (*each)(void *ctx, const struct known *k, json_t *obj);
	void *each_ctx;
};

struct kube_files *kube_files_new(struct loop *l, const char *dir, struct err *e) must_check;
void kube_files_free(struct kube_files *f); /* NULL is nothing */
struct kube_files *kube_client_files(struct kube_client *k); /* NULL: an API server's client */

void files_note(struct kube_files *f, enum kube_files_note what, const char *fmt, ...) printf_like(3, 4);
/* ---- files_tell.c ---- */
/* An object is new, changed, or (fresh_only) there for those informers that have just begun. `obj` may be changed. */
void files_tell(struct kube_files *f, const struct resource *res, json_t *obj, bool fresh_only);
void files_tell_gone(struct kube_files *f, const struct known *k);
void files_tell_events(struct kube_files *f);
bool files_any_fresh(const struct kube_files *f);
void files_pass_ended(struct kube_files *f, uint64_t version_before);
/* Does it pass the selectors? They may be NULL. */
bool files_selects(const char *ns, const struct selector *labels, const struct field_selector *fields, const json_t *obj);
/* An informer begins: it gets what there is soon, then the changes. */
void files_subscribe(struct kube_files *f, struct informer *i);

/* ---- files.c ---- */
/* Calls fn for every object of the kind that the files hold now, as a get would give it; Events and the like included. */
void files_each(struct kube_files *f, const struct resource *res, void (*fn)(void *ctx, const struct known *k, json_t *obj),
		void *ctx);
/* The object of this key as it is now, new; NULL: none. */
json_t *files_object(struct kube_files *f, const char *key);
char *files_key(const struct resource *res, const char *ns, const char *name);
/* A status was written: kept, and told to the informers. `obj` is the whole object; it gets the new version. */
void files_put_status(struct kube_files *f, struct known *k, json_t *obj);
/* Takes the reference over; the oldest goes when there are too many. */
struct known *files_put_event(struct kube_files *f, const struct resource *res, json_t *obj);
/* Sets version, uid and creation time, and the status that was written. */
void files_finish_object(const struct known *k, json_t *obj);

/* ---- files_answer.c ---- */
/* Answers a request: the status, and *ret_obj (new; may be NULL) or e. */
int files_answer(struct kube_files *f, const char *method, const char *path, const char *content_type, const json_t *body,
		 json_t **ret_obj, struct err *e);

/* ---- files_scan.c ---- */
struct files_watch *files_watch_new(struct kube_files *f, struct err *e) must_check;
void files_watch_free(struct files_watch *w);
/* Marks each source: seen by f->scan or not, changed or not. `first` reads files however young they are. */
void files_scan(struct kube_files *f, bool first);
/* Looks after `ms`, and from then on whenever something happens. */
void files_look_after(struct kube_files *f, uint64_t ms);
void files_pass(struct kube_files *f); /* files.c: the look itself */
bool files_is_json(const char *path);
