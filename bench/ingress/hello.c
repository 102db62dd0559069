#include "hello.h"

#include "client/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WATCHERS 2

struct watcher {
	struct hello_watch *w;
	pthread_t thread;
	/* Shared: when the last was asked for that was another one, and the first after it that was not. */
	uint64_t other, since;
	int in_a_row;
};
struct hello_watch {
	struct watcher watchers[WATCHERS];
	struct sockaddr_in to;
	uint8_t hello[512], der[4096];
	size_t hello_len, der_len;
	unsigned pause_us;
	bool stop, failed; /* shared */
};

static uint8_t *put16(uint8_t *p, size_t n)
{
	*p++ = (uint8_t)(n >> 8);
	*p++ = (uint8_t)n;
	return p;
}

/* RFC 5246, section 7.4.1.2; extensions: server_name, supported_groups, ec_point_formats, signature_algorithms. */
static size_t make_hello(uint8_t *out, const char *name)
{
	static const uint8_t fixed[] = { 0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17, 0, 11, 0, 2, 1, 0, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1 };
	size_t n = strlen(name), extensions = 9 + n + sizeof(fixed), body = 2 + 32 + 1 + 2 + 4 + 2 + 2 + extensions;
	uint8_t *p = out;

	*p++ = 22; /* handshake */
	p = put16(p, 0x0301);
	p = put16(p, body + 4);
	*p++ = 1; /* client_hello */
	*p++ = 0;
	p = put16(p, body);
	p = put16(p, 0x0303);
	memset(p, 'r', 32);
	p += 32;
	*p++ = 0; /* no session */
	p = put16(p, 4);
	p = put16(p, 0xc02b); /* ECDHE-ECDSA-AES128-GCM-SHA256, -RSA- */
	p = put16(p, 0xc02f);
	p = put16(p, 0x0100); /* no compression */
	p = put16(p, extensions);
	p = put16(p, 0); /* server_name */
	p = put16(p, n + 5);
	p = put16(p, n + 3);
	*p++ = 0;
	p = put16(p, n);
	memcpy(p, name, n);
	p += n;
	memcpy(p, fixed, sizeof(fixed));
	return (size_t)(p - out) + sizeof(fixed);
}

static bool ends_flight(const uint8_t *bytes, size_t len)
{
	static const uint8_t done[] = { 14, 0, 0, 0 }; /* server_hello_done */

	return len > 100 && memcmp(bytes + len - sizeof(done), done, sizeof(done)) == 0;
}

/* 1: it is the one that is waited for; -1: no answer. */
static int ask(const struct hello_watch *w, uint64_t *ret_sent)
{
	uint8_t in[16384];
	size_t len = 0;
	ssize_t n = -1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* No TIME_WAIT: there are more of these than ports. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	if (connect(fd, (const struct sockaddr *)&w->to, sizeof(w->to)) == 0) {
		*ret_sent = now_ns();
		n = write(fd, w->hello, w->hello_len);
	}
	while (n > 0 && !ends_flight(in, len) && len < sizeof(in))
		if ((n = read(fd, in + len, sizeof(in) - len)) > 0)
			len += (size_t)n;
	close(fd);
	return n <= 0 ? -1 : memmem(in, len, w->der, w->der_len) != NULL;
}

static void *watch(void *arg)
{
	struct watcher *me = arg;
	struct hello_watch *w = me->w;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		uint64_t sent = 0;
		int got = ask(w, &sent);
		if (got < 0) {
			__atomic_store_n(&w->failed, true, __ATOMIC_RELEASE);
			break;
		}
		if (!got)
			me->other = sent;
		else if (me->in_a_row == 0)
			me->since = sent;
		__atomic_store_n(&me->in_a_row, got ? me->in_a_row + 1 : 0, __ATOMIC_RELEASE);
		nanosleep(&(struct timespec){ .tv_nsec = w->pause_us * 1000l }, NULL);
	}
	return NULL;
}

struct hello_watch *hello_watch_start(const struct sockaddr_in *to, const char *server_name, const uint8_t *der, size_t len, unsigned pause_us)
{
	struct hello_watch *w = calloc(1, sizeof(*w));

	if (len > sizeof(w->der) || strlen(server_name) > 255)
		abort();
	w->to = *to;
	w->hello_len = make_hello(w->hello, server_name);
	memcpy(w->der, der, len);
	w->der_len = len;
	w->pause_us = pause_us;
	for (size_t i = 0; i < WATCHERS; i++) {
		w->watchers[i].w = w;
		pthread_create(&w->watchers[i].thread, NULL, watch, &w->watchers[i]);
	}
	return w;
}

static bool settled_all(const struct hello_watch *w, int settled)
{
	for (size_t i = 0; i < WATCHERS; i++)
		if (__atomic_load_n(&w->watchers[i].in_a_row, __ATOMIC_ACQUIRE) < settled)
			return false;
	return true;
}

static uint64_t first_of(const struct hello_watch *w)
{
	uint64_t other = 0, first = 0;

	for (size_t i = 0; i < WATCHERS; i++)
		other = w->watchers[i].other > other ? w->watchers[i].other : other;
	for (size_t i = 0; i < WATCHERS; i++) {
		uint64_t since = w->watchers[i].since;
		if (since > other && (!first || since < first))
			first = since;
	}
	return first;
}

uint64_t hello_watch_end(struct hello_watch *w, int settled, uint64_t limit_ns)
{
	uint64_t end = now_ns() + limit_ns, first;
	bool all;

	while (!(all = settled_all(w, settled)) && !__atomic_load_n(&w->failed, __ATOMIC_ACQUIRE) && now_ns() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < WATCHERS; i++)
		pthread_join(w->watchers[i].thread, NULL);
	first = all ? first_of(w) : 0;
	free(w);
	return first;
}
