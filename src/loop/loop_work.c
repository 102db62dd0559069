#include "loop/loop_int.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void pool_wake(struct loop_pool *p)
{
	uint64_t one = 1;

	/* EAGAIN means that the counter is full: the loop will wake anyway. */
	if (write(p->wake.fd, &one, sizeof(one)) < 0)
		return;
}

/* Moves a whole list; `to` needs no initialisation. */
static void list_move(struct list *to, struct list *from)
{
	if (list_empty(from)) {
		list_init(to);
		return;
	}
	*to = *from;
	to->next->prev = to->prev->next = to;
	list_init(from);
}

static void *worker(void *arg)
{
	struct loop_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (list_empty(&p->queued) && !p->stop)
			pthread_cond_wait(&p->wanted, &p->lock);
		if (p->stop)
			break;
		struct work *w = list_entry(p->queued.next, struct work, link_);
		list_del(&w->link_);
		pthread_mutex_unlock(&p->lock);
		w->run(w);
		pthread_mutex_lock(&p->lock);
		list_append(&p->done, &w->link_);
		pool_wake(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void pool_start_thread(struct loop_pool *p)
{
	sigset_t all, old;

	/* Signals belong to the signalfd, whichever thread they would have hit. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&p->threads[p->n_threads], NULL, worker, p) == 0)
		p->n_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* With one thread the work is only slower; with none it would never be done. */
	if (p->n_threads == 0)
		abort();
}

void loop_work(struct loop *l, struct work *w)
{
	struct loop_pool *p = &l->pool;

	if (p->n_open++ >= p->n_threads && p->n_threads < LOOP_WORKERS)
		pool_start_thread(p);
	pthread_mutex_lock(&p->lock);
	list_append(&p->queued, &w->link_);
	pthread_cond_signal(&p->wanted);
	pthread_mutex_unlock(&p->lock);
}

void loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct loop_post *post = xmalloc(sizeof(*post));

	*post = (struct loop_post){.fn = fn, .ctx = ctx};
	pthread_mutex_lock(&l->pool.lock);
	list_append(&l->pool.posts, &post->link);
	pthread_mutex_unlock(&l->pool.lock);
	pool_wake(&l->pool);
}

static void pool_ready(struct io *io, uint32_t events)
{
	struct loop_pool *p = io->ctx;
	struct list posts, done;
	uint64_t n;

	(void)events;
	if (read(io->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&p->lock);
	list_move(&posts, &p->posts);
	list_move(&done, &p->done);
	pthread_mutex_unlock(&p->lock);
	while (!list_empty(&done)) {
		struct work *w = list_entry(done.next, struct work, link_);

		list_del(&w->link_);
		p->n_open--;
		w->done(w);
	}
	while (!list_empty(&posts)) {
		struct loop_post *post = list_entry(posts.next, struct loop_post, link);
		struct loop_post was = *post;

		list_del(&post->link);
		free(post);
		was.fn(was.ctx);
	}
}

int loop_pool_init(struct loop *l, struct err *e)
{
	struct loop_pool *p = &l->pool;

	list_init(&p->queued);
	list_init(&p->posts);
	list_init(&p->done);
	p->wake = (struct io){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = pool_ready, .ctx = p};
	if (p->wake.fd < 0)
		return err_errno(e, errno, "eventfd");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wanted, NULL);
	if (io_watch(l, &p->wake, EPOLLIN, e) < 0) {
		close(p->wake.fd);
		return -1;
	}
	return 0;
}

/* Work that is running is waited for; what was only queued is dropped, without call-backs. */
void loop_pool_done(struct loop *l)
{
	struct loop_pool *p = &l->pool;

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->wanted);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	list_for(at, tmp, &p->posts) free(list_entry(at, struct loop_post, link));
	io_stop(&p->wake);
	close(p->wake.fd);
	pthread_cond_destroy(&p->wanted);
	pthread_mutex_destroy(&p->lock);
}
