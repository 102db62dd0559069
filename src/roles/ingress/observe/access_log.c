#include "roles/ingress/observe/access_log.h"

#include "loop/quiesce.h"
#include "roles/ingress/http/variable.h"
#include "base/log_out.h"
#include "roles/ingress/observe/metrics.h"

#include <pthread.h>
#include <stdio.h>

/* Immutable: published whole. */
struct log_format {
	struct variable_text *text;
	enum variable_escape escape;
	char **skip; /* exact, any case, as nginx's map */
	size_t n_skip;
	struct regex **skip_patterns;
	size_t n_skip_patterns;
};

struct log_worker {
	struct access_log *log;
	struct worker *worker;
	struct buf lines;      /* the worker's */
	struct timer timer;
	bool running;	       /* the worker serves; after its stop nothing is buffered */
	bool full;	       /* the stream took nothing more: the timer tries again, requests do not */
	/* A write to a file under way on a thread: */
	struct work work;
	bool writing;
	struct buf batch;
	struct log_out *batch_out;
	size_t lost;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool in_thread;
};

struct access_log {
	struct loop *main;
	struct quiesce *quiesce;
	struct log_format *format; /* atomic; NULL: no log */
	struct log_out *out;	   /* under the lock */
	struct log_out *standard;  /* opened before the role changes its user; NULL: it is closed */
	pthread_mutex_t lock;
	struct timer check;
	struct log_worker *workers;
	unsigned n_workers;
};

static struct log_out *out_open(struct access_log *l, const char *path, struct err *e)
{
	return !path && l->standard ? log_out_ref(l->standard) : log_out_open(path, e);
}

static struct log_out *out_now(struct access_log *l)
{
	pthread_mutex_lock(&l->lock);
	struct log_out *o = l->out ? log_out_ref(l->out) : NULL;
	pthread_mutex_unlock(&l->lock);
	return o;
}

static void out_swap(struct access_log *l, struct log_out *o)
{
	pthread_mutex_lock(&l->lock);
	struct log_out *old = l->out;
	l->out = o;
	pthread_mutex_unlock(&l->lock);
	log_out_unref(old);
}

/* ---- writing ---- */
static void flush(struct log_worker *lw);

static void write_batch(struct work *w)
{
	struct log_worker *lw = container_of(w, struct log_worker, work);

	if (log_out_write(lw->batch_out, &lw->batch, &lw->lost) > 0)
		lw->lost = 0; /* a file is never full: what it cannot take is an error */
	pthread_mutex_lock(&lw->lock);
	lw->in_thread = false;
	pthread_cond_signal(&lw->idle);
	pthread_mutex_unlock(&lw->lock);
}

static void batch_over(struct log_worker *lw)
{
	if (!lw->writing)
		return;
	metrics_add(lw->worker->metrics, METRIC_LOG_DROPPED, lw->lost);
	log_out_unref(TAKE_PTR(lw->batch_out));
	lw->writing = false;
}

static void batch_done(struct work *w)
{
	struct log_worker *lw = container_of(w, struct log_worker, work);

	batch_over(lw);
	if (lw->lines.len >= ACCESS_LOG_FLUSH_BYTES)
		flush(lw);
}

static void write_on_thread(struct log_worker *lw, struct log_out *o)
{
	struct buf empty = lw->batch;

	lw->batch = lw->lines;
	lw->lines = empty;
	buf_clear(&lw->lines);
	lw->batch_out = o;
	lw->lost = 0;
	lw->writing = lw->in_thread = true;
	loop_work(lw->worker->loop, &lw->work);
}

static void again_in(struct log_worker *lw, uint64_t ms)
{
	if (lw->running && !timer_active(&lw->timer))
		timer_start(lw->worker->loop, &lw->timer, ms);
}

static void flush(struct log_worker *lw)
{
	struct log_out *o;
	size_t lost;

	if (lw->lines.len == 0 || lw->writing)
		return;
	o = out_now(lw->log);
	if (!o) {
		buf_clear(&lw->lines);
		return;
	}
	timer_stop(&lw->timer);
	lw->full = false;
	if (log_out_regular(o)) {
		write_on_thread(lw, o);
		return;
	}
	lw->full = log_out_write(o, &lw->lines, &lost) > 0;
	if (lw->full)
		again_in(lw, ACCESS_LOG_RETRY_MS);
	metrics_add(lw->worker->metrics, METRIC_LOG_DROPPED, lost);
	log_out_unref(o);
}

static void on_timer(struct timer *t)
{
	struct log_worker *lw = t->ctx;

	flush(lw);
	if (lw->lines.len > 0)
		again_in(lw, ACCESS_LOG_RETRY_MS); /* a thread still writes the batch before */
}

/* ---- lines ---- */
static bool skipped(const struct log_format *f, const struct exchange *x)
{
	for (size_t i = 0; i < f->n_skip; i++)
		if (str_ieq(x->req.target, str_of(f->skip[i])))
			return true;
	for (size_t i = 0; i < f->n_skip_patterns; i++)
		if (pattern_match(f->skip_patterns[i], x->req.target, NULL))
			return true;
	return false;
}

static int put_line(const struct log_format *f, struct exchange *x, struct buf *out)
{
	size_t before = out->len;

	if (variable_text_write(f->text, x, f->escape, out) == 0 && buf_putc(out, '\n') == 0)
		return 0;
	if (out->ptr)
		out->ptr[out->len = before] = '\0';
	out->overflow = false;
	return -1;
}

void access_log_exchange(struct exchange *x)
{
	struct access_log *l = x->worker->shared->access_log;
	const struct log_format *f = l ? __atomic_load_n(&l->format, __ATOMIC_ACQUIRE) : NULL;

	if (!f || x->unlogged || (x->loc && !x->loc->set->enable_access_log))
		return;
	if ((f->n_skip || f->n_skip_patterns) && skipped(f, x))
		return;
	struct log_worker *lw = &l->workers[x->worker->number];
	if (put_line(f, x, &lw->lines) < 0) {
		if (!lw->full)
			flush(lw);
		if (lw->full || put_line(f, x, &lw->lines) < 0) {
			metrics_inc(x->worker->metrics, METRIC_LOG_DROPPED);
			return;
		}
	}
	metrics_inc(x->worker->metrics, METRIC_LOG_LINES);
	if (timer_active(&lw->timer) && lw->lines.len < ACCESS_LOG_FLUSH_BYTES)
		return;
	if (lw->lines.len >= ACCESS_LOG_FLUSH_BYTES && !lw->full)
		flush(lw);
	if (lw->lines.len > 0)
		again_in(lw, ACCESS_LOG_FLUSH_MS);
}

/* ---- workers ---- */
void access_log_worker_start(struct access_log *l, struct worker *w)
{
	if (!l)
		return;
	struct log_worker *lw = &l->workers[w->number];
	lw->worker = w;
	lw->running = true;
}

void access_log_worker_stop(struct access_log *l, struct worker *w)
{
	size_t lost = 0;

	if (!l)
		return;
	struct log_worker *lw = &l->workers[w->number];
	lw->running = false;
	timer_stop(&lw->timer);
	pthread_mutex_lock(&lw->lock);
	while (lw->in_thread)
		pthread_cond_wait(&lw->idle, &lw->lock);
	pthread_mutex_unlock(&lw->lock);
	batch_over(lw);
	struct log_out *o = lw->lines.len > 0 ? out_now(l) : NULL;
	if (o && log_out_write(o, &lw->lines, &lost) > 0)
		for (size_t i = 0; i < lw->lines.len; i++)
			lost += lw->lines.ptr[i] == '\n';
	metrics_add(w->metrics, METRIC_LOG_DROPPED, lost);
	log_out_unref(o);
	buf_done(&lw->lines);
	buf_init(&lw->lines, ACCESS_LOG_BUFFER_BYTES);
}

/* ---- the main thread ---- */
static void on_check(struct timer *t)
{
	struct access_log *l = t->ctx;
	struct log_out *o = out_now(l);
	struct err e;

	if (o && log_out_path(o) && log_out_size(o) > ACCESS_LOG_FILE_BYTES) {
		cleanup(freep) char *old = xasprintf("%s.1", log_out_path(o));
		if (rename(log_out_path(o), old) == 0)
			access_log_reopen(l, &e);
	}
	log_out_unref(o);
	timer_start(l->main, t, ACCESS_LOG_CHECK_MS);
}

struct access_log *access_log_new(struct loop *main, struct quiesce *q, unsigned n_workers)
{
	struct access_log *l = xcalloc(1, sizeof(*l));
	struct err e;

	*l = (struct access_log){ .main = main, .quiesce = q, .n_workers = n_workers };
	pthread_mutex_init(&l->lock, NULL);
	l->standard = log_out_open(NULL, &e);
	l->check = (struct timer){ .fire = on_check, .ctx = l };
	l->workers = xcalloc(n_workers, sizeof(*l->workers));
	for (unsigned i = 0; i < n_workers; i++) {
		struct log_worker *lw = &l->workers[i];
		lw->log = l;
		lw->timer = (struct timer){ .fire = on_timer, .ctx = lw };
		lw->work = (struct work){ .run = write_batch, .done = batch_done };
		buf_init(&lw->lines, ACCESS_LOG_BUFFER_BYTES);
		buf_init(&lw->batch, ACCESS_LOG_BUFFER_BYTES);
		pthread_mutex_init(&lw->lock, NULL);
		pthread_cond_init(&lw->idle, NULL);
	}
	return l;
}

static void format_free(void *ptr)
{
	struct log_format *f = ptr;

	if (!f)
		return;
	variable_text_free(f->text);
	for (size_t i = 0; i < f->n_skip; i++)
		free(f->skip[i]);
	for (size_t i = 0; i < f->n_skip_patterns; i++)
		regex_free(f->skip_patterns[i]);
	free(f->skip);
	free(f->skip_patterns);
	free(f);
}

void access_log_free(struct access_log *l)
{
	if (!l)
		return;
	timer_stop(&l->check);
	for (unsigned i = 0; i < l->n_workers; i++) {
		buf_done(&l->workers[i].lines);
		buf_done(&l->workers[i].batch);
		log_out_unref(l->workers[i].batch_out);
		pthread_mutex_destroy(&l->workers[i].lock);
		pthread_cond_destroy(&l->workers[i].idle);
	}
	format_free(l->format);
	log_out_unref(l->out);
	log_out_unref(l->standard);
	pthread_mutex_destroy(&l->lock);
	free(l->workers);
	free(l);
}

/* "~expr" and "~*expr" (any case) are regular expressions, as in nginx's map. */
static int add_skip(struct log_format *f, const char *url, struct err *e)
{
	bool caseless = url[0] == '~' && url[1] == '*';

	if (url[0] != '~') {
		f->skip[f->n_skip++] = xstrdup(url);
		return 0;
	}
	f->skip_patterns[f->n_skip_patterns] = pattern_new(url + 1 + caseless, caseless, false, e);
	if (!f->skip_patterns[f->n_skip_patterns])
		return err_wrap(e, "skip-access-log-urls");
	f->n_skip_patterns++;
	return 0;
}

static struct log_format *format_new(const struct globals *g, struct err *e)
{
	const char *text = g->log_format_upstream && g->log_format_upstream[0] ? g->log_format_upstream : ACCESS_LOG_FORMAT;
	const struct str_list *skip = &g->skip_access_log_urls;
	struct log_format *f = xcalloc(1, sizeof(*f));

	f->escape = g->log_format_escape_json ? ESCAPE_JSON : ESCAPE_LOG;
	f->skip = xcalloc(skip->n + 1, sizeof(char *));
	f->skip_patterns = xcalloc(skip->n + 1, sizeof(struct regex *));
	f->text = variable_text_new(text, e);
	if (!f->text) {
		err_wrap(e, "log-format-upstream");
		format_free(f);
		return NULL;
	}
	for (size_t i = 0; i < skip->n; i++)
		if (add_skip(f, skip->at[i], e) < 0) {
			format_free(f);
			return NULL;
		}
	return f;
}

/* NULL: standard output. ingress-nginx's default path is a link to it in its image. */
static const char *path_of(const struct globals *g)
{
	static const char *const to_stdout[] = { "", "stdout", "/dev/stdout", "/var/log/nginx/access.log" };

	for (size_t i = 0; i < ARRAY_LEN(to_stdout); i++)
		if (c_eq(g->access_log_path, to_stdout[i]))
			return NULL;
	return g->access_log_path;
}

int access_log_configure(struct access_log *l, const struct globals *g, struct err *e)
{
	const char *path = path_of(g);
	struct log_format *f = NULL;
	struct log_out *o = NULL;

	if (!g->disable_access_log) {
		f = format_new(g, e);
		if (!f)
			return -1;
		if (!l->out || !c_eq(log_out_path(l->out), path)) {
			o = out_open(l, path, e);
			if (!o) {
				format_free(f);
				return -1;
			}
		}
	}
	struct log_format *old = __atomic_exchange_n(&l->format, f, __ATOMIC_ACQ_REL);
	quiesce_retire(l->quiesce, format_free, old);
	if (o)
		out_swap(l, o);
	timer_start(l->main, &l->check, ACCESS_LOG_CHECK_MS);
	return 0;
}

bool access_log_active(const struct access_log *l)
{
	return l->format != NULL;
}

int access_log_reopen(struct access_log *l, struct err *e)
{
	const char *path = l->out ? log_out_path(l->out) : NULL;

	if (!path)
		return 0; /* standard output cannot be reopened */
	struct log_out *o = log_out_open(path, e);
	if (!o)
		return -1;
	out_swap(l, o);
	return 0;
}
