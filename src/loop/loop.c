#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define WORKERS 2		    /* what blocks here waits for one disk; more would only queue there */
#define WORKER_STACK_BYTES (256u << 10)
#define SIGNALS_MAX 65

struct signal_handler {
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct child_watch {
	struct io io;
	struct list link;
	pid_t pid;
	void (*fn)(void *ctx, pid_t pid, int status);
	void *ctx;
};

struct post {
	struct post *next;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop {
	int epoll_fd;
	bool stop;
	uint64_t now_ms;

	struct epoll_event batch[EVENTS_PER_TURN]; /* this turn's; entries of stopped ios become NULL */
	int batch_n, batch_at;

	struct timer **heap; /* 1-based: heap[1] fires first */
	size_t heap_n, heap_cap;
	struct list defers, children;

	struct io signal_io;
	sigset_t signals;
	struct signal_handler handlers[SIGNALS_MAX];

	struct io wake_io; /* an eventfd: finished work, and posts */
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t work_added;
	struct list work_todo, work_done;
	struct post *posts, **posts_end;
	pthread_t workers[WORKERS];
	size_t n_workers;
	bool workers_quit;
};

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t wall_now_ms(void)
{
	return (int64_t)clock_ms(CLOCK_REALTIME);
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

/* ---- descriptors ---- */

int io_watch(struct loop *l, struct io *io, uint32_t events, struct err *e)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (events == 0) {
		io_stop(io);
		return 0;
	}
	if (io->events == events && io->loop_ == l)
		return 0;
	if (epoll_ctl(l->epoll_fd, io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &ev) == -1)
		return err_errno(e, errno, "watch descriptor %d", io->fd);
	io->events = events;
	io->loop_ = l;
	return 0;
}

void io_stop(struct io *io)
{
	struct loop *l = io->loop_;

	if (!io->events)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	io->events = 0;
	/* The kernel may have reported it in this very batch; its memory may be gone by then. */
	for (int i = l->batch_at; i < l->batch_n; i++)
		if (l->batch[i].data.ptr == io)
			l->batch[i].data.ptr = NULL;
}

/* ---- timers: a binary heap that knows where each timer sits ---- */

static void heap_put(struct loop *l, size_t at, struct timer *t)
{
	l->heap[at] = t;
	t->heap_at_ = at;
}

static void heap_up(struct loop *l, size_t at, struct timer *t)
{
	for (; at > 1 && l->heap[at / 2]->at_ms_ > t->at_ms_; at /= 2)
		heap_put(l, at, l->heap[at / 2]);
	heap_put(l, at, t);
}

static void heap_down(struct loop *l, size_t at, struct timer *t)
{
	for (size_t kid; (kid = at * 2) <= l->heap_n; at = kid) {
		if (kid < l->heap_n && l->heap[kid + 1]->at_ms_ < l->heap[kid]->at_ms_)
			kid++;
		if (l->heap[kid]->at_ms_ >= t->at_ms_)
			break;
		heap_put(l, at, l->heap[kid]);
	}
	heap_put(l, at, t);
}

void timer_start(struct loop *l, struct timer *t, uint64_t after_ms)
{
	timer_stop(t);
	t->loop_ = l;
	t->at_ms_ = l->now_ms + after_ms;
	if (l->heap_n + 2 > l->heap_cap) {
		l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
		l->heap = xrealloc(l->heap, l->heap_cap * sizeof(*l->heap));
	}
	heap_up(l, ++l->heap_n, t);
}

void timer_stop(struct timer *t)
{
	struct loop *l = t->loop_;
	size_t at = t->heap_at_;

	if (!at)
		return;
	t->heap_at_ = 0;
	struct timer *last = l->heap[l->heap_n--];
	if (last == t)
		return;
	if (at > 1 && l->heap[at / 2]->at_ms_ > last->at_ms_)
		heap_up(l, at, last);
	else
		heap_down(l, at, last);
}

bool timer_active(const struct timer *t)
{
	return t->heap_at_ != 0;
}

static void fire_timers(struct loop *l)
{
	uint64_t now = l->now_ms;

	/* Only what was due when the turn began: a timer restarted with 0 waits for the next turn. */
	while (l->heap_n && l->heap[1]->at_ms_ <= now && !l->stop) {
		struct timer *t = l->heap[1];
		timer_stop(t);
		l->now_ms = now + 1;
		t->fire(t);
		l->now_ms = now;
	}
}

static int wait_ms(const struct loop *l)
{
	if (!list_empty(&l->defers))
		return 0;
	if (!l->heap_n)
		return -1;
	uint64_t at = l->heap[1]->at_ms_;
	return at <= l->now_ms ? 0 : (int)MIN(at - l->now_ms, (uint64_t)3600000);
}

/* ---- deferred ---- */

void loop_defer(struct loop *l, struct defer *d)
{
	if (d->queued_)
		return;
	d->queued_ = true;
	list_append(&l->defers, &d->link_);
}

void defer_cancel(struct defer *d)
{
	if (!d->queued_)
		return;
	d->queued_ = false;
	list_del(&d->link_);
}

static void run_defers(struct loop *l)
{
	struct list todo;

	/* What is deferred from here on runs at the end of the next turn, which follows at once. */
	list_init(&todo);
	while (!list_empty(&l->defers)) {
		struct list *n = l->defers.next;
		list_del(n);
		list_append(&todo, n);
	}
	while (!list_empty(&todo)) {
		struct defer *d = list_entry(todo.next, struct defer, link_);
		defer_cancel(d);
		d->run(d);
	}
}

/* ---- signals and children ---- */

static void on_signal(struct io *io, uint32_t events)
{
	struct loop *l = io->ctx;
	struct signalfd_siginfo si;

	(void)events;
	while (read(io->fd, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo < SIGNALS_MAX && l->handlers[si.ssi_signo].fn)
			l->handlers[si.ssi_signo].fn(l->handlers[si.ssi_signo].ctx, (int)si.ssi_signo);
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *, int), void *ctx, struct err *e)
{
	sigaddset(&l->signals, signo);
	pthread_sigmask(SIG_BLOCK, &l->signals, NULL);
	int fd = signalfd(l->signal_io.fd, &l->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd == -1)
		return err_errno(e, errno, "signalfd");
	l->handlers[signo] = (struct signal_handler){ fn, ctx };
	l->signal_io.fd = fd;
	return io_watch(l, &l->signal_io, EPOLLIN, e);
}

static void on_child(struct io *io, uint32_t events)
{
	struct child_watch *w = io->ctx;
	int status = 0;

	(void)events;
	if (waitpid(w->pid, &status, WNOHANG) == 0)
		return;
	io_stop(&w->io);
	close(w->io.fd);
	list_del(&w->link);
	w->fn(w->ctx, w->pid, status);
	free(w);
}

int loop_on_child(struct loop *l, pid_t pid, void (*fn)(void *, pid_t, int), void *ctx, struct err *e)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd == -1)
		return err_errno(e, errno, "pidfd_open %d", pid);
	struct child_watch *w = xcalloc(1, sizeof(*w));
	*w = (struct child_watch){ .io = { .fd = fd, .ready = on_child, .ctx = w }, .pid = pid, .fn = fn, .ctx = ctx };
	list_append(&l->children, &w->link);
	if (io_watch(l, &w->io, EPOLLIN, e) == 0)
		return 0;
	list_del(&w->link);
	close(fd);
	free(w);
	return -1;
}

/* ---- other threads ---- */

static void wake(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->wake_io.fd, &one, sizeof(one)) < 0)
		return; /* the counter is at its end: the loop is being woken already */
}

static void *worker(void *arg)
{
	struct loop *l = arg;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (list_empty(&l->work_todo) && !l->workers_quit)
			pthread_cond_wait(&l->work_added, &l->lock);
		if (list_empty(&l->work_todo))
			break;
		struct work *w = list_entry(l->work_todo.next, struct work, link_);
		list_del(&w->link_);
		pthread_mutex_unlock(&l->lock);
		w->run(w);
		pthread_mutex_lock(&l->lock);
		list_append(&l->work_done, &w->link_);
		wake(l);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Workers take no signals: those are the loop's. */
static void start_worker(struct loop *l)
{
	pthread_attr_t attr;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
	if (pthread_create(&l->workers[l->n_workers], &attr, worker, l) == 0)
		l->n_workers++;
	else if (l->n_workers == 0)
		abort();
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void loop_work(struct loop *l, struct work *w)
{
	pthread_mutex_lock(&l->lock);
	list_append(&l->work_todo, &w->link_);
	if (l->n_workers < WORKERS)
		start_worker(l);
	pthread_cond_signal(&l->work_added);
	pthread_mutex_unlock(&l->lock);
}

void loop_post(struct loop *l, void (*fn)(void *), void *ctx)
{
	struct post *p = xmalloc(sizeof(*p));

	*p = (struct post){ .fn = fn, .ctx = ctx };
	pthread_mutex_lock(&l->lock);
	*l->posts_end = p;
	l->posts_end = &p->next;
	pthread_mutex_unlock(&l->lock);
	wake(l);
}

static void on_wake(struct io *io, uint32_t events)
{
	struct loop *l = io->ctx;
	uint64_t count;
	struct list done;

	(void)events;
	if (read(io->fd, &count, sizeof(count)) < 0)
		return;
	list_init(&done);
	pthread_mutex_lock(&l->lock);
	while (!list_empty(&l->work_done)) {
		struct list *n = l->work_done.next;
		list_del(n);
		list_append(&done, n);
	}
	struct post *posts = l->posts;
	l->posts = NULL;
	l->posts_end = &l->posts;
	pthread_mutex_unlock(&l->lock);
	while (!list_empty(&done)) {
		struct work *w = list_entry(done.next, struct work, link_);
		list_del(&w->link_);
		w->done(w);
	}
	for (struct post *next; posts; posts = next) {
		next = posts->next;
		posts->fn(posts->ctx);
		free(posts);
	}
}

/* ---- the loop ---- */

struct loop *loop_new(struct err *e)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	list_init(&l->defers);
	list_init(&l->children);
	list_init(&l->work_todo);
	list_init(&l->work_done);
	l->posts_end = &l->posts;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->work_added, NULL);
	sigemptyset(&l->signals);
	l->signal_io = (struct io){ .fd = -1, .ready = on_signal, .ctx = l };
	l->wake_io = (struct io){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = on_wake, .ctx = l };
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->now_ms = clock_ms(CLOCK_MONOTONIC);
	if (l->epoll_fd == -1 || l->wake_io.fd == -1) {
		err_errno(e, errno, "event loop");
		loop_free(l);
		return NULL;
	}
	if (io_watch(l, &l->wake_io, EPOLLIN, e) == 0)
		return l;
	loop_free(l);
	return NULL;
}

static void stop_workers(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->workers_quit = true;
	pthread_cond_broadcast(&l->work_added);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < l->n_workers; i++)
		pthread_join(l->workers[i], NULL);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	run_defers(l);
	stop_workers(l);
	for (struct post *p = l->posts, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	list_for(n, tmp, &l->children) {
		struct child_watch *w = list_entry(n, struct child_watch, link);
		close(w->io.fd);
		free(w);
	}
	closep(&l->signal_io.fd);
	closep(&l->wake_io.fd);
	closep(&l->epoll_fd);
	free(l->heap);
	pthread_cond_destroy(&l->work_added);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

void loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop) {
		int n = epoll_wait(l->epoll_fd, l->batch, EVENTS_PER_TURN, wait_ms(l));

		l->now_ms = clock_ms(CLOCK_MONOTONIC);
		l->batch_n = MAX(n, 0);
		for (l->batch_at = 0; l->batch_at < l->batch_n;) {
			struct epoll_event ev = l->batch[l->batch_at++];
			struct io *io = ev.data.ptr;
			if (io)
				io->ready(io, ev.events);
		}
		l->batch_n = 0;
		fire_timers(l);
		run_defers(l);
	}
}
