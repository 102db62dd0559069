/* FastCGI upstreams: the proxy's core on real sockets, a program that answers by script, a blocking client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_rig.h"
#include "codec/fcgi.h"
#include "roles/ingress/config/fastcgi.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#define LONG_BYTES (1u << 20)

/* What the program sends, step by step: out, err, an end of out, END_REQUEST, bytes that are none of it. */
enum kind { DONE, OUT, ERR, OUT_END, END, RAW, LONG, HANG, RESET, ECHO, ENV };
struct step {
	enum kind kind;
	const char *text;
	unsigned number; /* bytes of padding; END: the status; RAW: bytes */
};
#define STEPS 6
struct script {
	const char *path;
	struct step steps[STEPS];
	const char *status, *part; /* what the client gets */
	bool cut;		   /* it is not complete, and what there is of it may not have left yet */
};
#define OK "Content-Type: text/plain\r\n\r\n"

static const struct script scripts[] = {
	{ "/p/plain", { { OUT, OK "hello" }, { END } }, "HTTP/1.1 200 ", "5\r\nhello\r\n0\r\n\r\n" },
	{ "/p/out-end", { { OUT, OK "hello" }, { OUT_END }, { HANG } }, "HTTP/1.1 200 ", "5\r\nhello\r\n0\r\n\r\n" },
	{ "/p/parts", { { OUT, "Content-", 7 }, { OUT, "Type: a/b\r\n\r", 255 }, { OUT, "\nhel" }, { OUT, "lo" }, { END } }, "HTTP/1.1 200 ",
	  "Content-Type: a/b\r\n" },
	{ "/p/status", { { OUT, "Status: 404 Not Here\r\nX: 1\r\n\r\ngone" }, { END } }, "HTTP/1.1 404 Not Here\r\n", "gone" },
	{ "/p/redirect", { { OUT, "Location: /other\r\n\r\n" }, { END } }, "HTTP/1.1 302 ", "Location: /other\r\n" },
	{ "/p/lf", { { OUT, "X-A: b\nX-B: c\n\nbody" }, { END } }, "HTTP/1.1 200 ", "X-A: b\r\nX-B: c\r\n" },
	{ "/p/length", { { OUT, "Content-Length: 5\r\n\r\nhello" }, { END } }, "HTTP/1.1 200 ", "\r\n\r\nhello" },
	{ "/p/length-dies", { { OUT, "Content-Length: 5\r\n\r\nhello" } }, "HTTP/1.1 200 ", "\r\n\r\nhello" },
	{ "/p/longer", { { OUT, "Content-Length: 5\r\n\r\nhello, world" }, { HANG } }, "HTTP/1.1 200 ", "\r\n\r\nhello" },
	{ "/p/shorter", { { OUT, "Content-Length: 9\r\n\r\nhello" }, { END } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/no-content", { { OUT, "Status: 204\r\n\r\n" }, { HANG } }, "HTTP/1.1 204 ", NULL },
	{ "/p/hop", { { OUT, "Connection: x\r\nKeep-Alive: 1\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\nhello" }, { END } }, "HTTP/1.1 200 ",
	  "X-A: b\r\n" },
	{ "/p/stderr", { { ERR, "PHP message: odd\n", 3 }, { OUT, OK }, { ERR, "more" }, { OUT, "hello" }, { END } }, "HTTP/1.1 200 ", "hello" },
	{ "/p/long", { { OUT, OK }, { LONG }, { END } }, "HTTP/1.1 200 ", "vvvv" },
	{ "/p/exit-3", { { OUT, OK "hello" }, { END, "\3" } }, "HTTP/1.1 200 ", "5\r\nhello\r\n0\r\n\r\n" },
	/* programs that lie, or die */
	{ "/p/nothing", { { DONE } }, "HTTP/1.1 502 ", NULL },
	{ "/p/reset", { { RESET } }, "HTTP/1.1 502 ", NULL },
	{ "/p/no-head", { { OUT, "Content-Type: text" } }, "HTTP/1.1 502 ", NULL },
	{ "/p/no-head-end", { { OUT, "Content-Type: text" }, { END } }, "HTTP/1.1 502 ", NULL },
	{ "/p/no-head-out-end", { { OUT_END }, { HANG } }, "HTTP/1.1 502 ", NULL },
	{ "/p/end-only", { { END } }, "HTTP/1.1 502 ", NULL },
	{ "/p/no-cgi", { { OUT, "<html>\n\n" }, { END } }, "HTTP/1.1 502 ", NULL },
	{ "/p/interim", { { OUT, "Status: 100\r\n\r\n" }, { END } }, "HTTP/1.1 502 ", NULL },
	{ "/p/http", { { RAW, "HTTP/1.1 400 Bad Request\r\n\r\n", 28 }, { HANG } }, "HTTP/1.1 502 ", NULL },
	{ "/p/head-never-ends", { { OUT, "X: " }, { LONG }, { HANG } }, "HTTP/1.1 502 ", NULL },
	{ "/p/status-9", { { END, NULL, 9 } }, "HTTP/1.1 502 ", NULL },
	{ "/p/cut", { { OUT, OK "hello" } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/cut-reset", { { OUT, OK "hello" }, { RESET } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/cut-record", { { OUT, OK "hello" }, { RAW, "\1\6\0\1\0\5\0\0ab", 10 } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/bad-record", { { OUT, OK "hello" }, { RAW, "\1\6\0\2\0\5\0\0abcde", 13 }, { HANG } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/end-failed", { { OUT, OK "hello" }, { END, NULL, 2 } }, "HTTP/1.1 200 ", "hello", true },
	{ "/hang", { { HANG } }, "HTTP/1.1 504 ", NULL },
	{ "/hang/half", { { OUT, OK "hello" }, { HANG } }, "HTTP/1.1 200 ", "hello", true },
	{ "/p/echo", { { ECHO }, { END } } },
	{ "/env", { { ENV }, { END } } },
	/* the first of two endpoints is overloaded, and says so before it begins */
	{ "/two", { { OUT, OK "second" }, { END } }, "HTTP/1.1 200 ", "second" },
};

static struct {
	struct rig rig;
	int fd, refuse_fd, hung[64];
	uint16_t port, refuse_port, dead_port;
	size_t n_hung, refused;
	pthread_t thread, refuse_thread;
} g;

/* ---- the program ---- */

struct got {
	struct buf params, in;
	unsigned param_records, in_records, stdin_ends;
};

static bool read_all(int fd, void *to, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = recv(fd, (char *)to + at, len - at, 0);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Until the request has ended; false: it will not. What is no record that a server may send aborts the test. */
static bool read_request(int fd, struct got *q)
{
	uint8_t h[FCGI_HEADER_BYTES];
	static _Thread_local char content[FCGI_CONTENT_BYTES_MAX + 255];
	bool begun = false, told = false;

	while (read_all(fd, h, sizeof(h))) {
		size_t len = (size_t)h[4] << 8 | h[5];
		assert_int_equal(h[0], 1);
		assert_int_equal(h[2] << 8 | h[3], 1);
		if (!read_all(fd, content, len + h[6]))
			return false;
		switch (h[1]) {
		case FCGI_BEGIN_REQUEST:
			assert_true(!begun && len == 8 && content[1] == 1 && content[2] == 0); /* a responder; the connection is not kept */
			begun = true;
			break;
		case FCGI_PARAMS:
			assert_true(begun && !told);
			told = len == 0;
			q->param_records++;
			buf_put(&q->params, content, len);
			break;
		case FCGI_STDIN:
			assert_true(told);
			if (len == 0)
				return true;
			q->in_records++;
			buf_put(&q->in, content, len);
			break;
		default:
			abort();
		}
	}
	return false;
}

static void send_record(int fd, enum fcgi_type type, const char *text, size_t len, unsigned padding)
{
	static const char nothing[255];
	uint8_t h[FCGI_HEADER_BYTES];

	fcgi_header(h, type, len);
	h[6] = (uint8_t)padding;
	send(fd, h, sizeof(h), MSG_NOSIGNAL | MSG_MORE);
	send(fd, text, len, MSG_NOSIGNAL | (padding ? MSG_MORE : 0));
	send(fd, nothing, padding, MSG_NOSIGNAL);
}

/* The parameters as lines. */
static void send_env(int fd, struct got *q)
{
	struct str rest = buf_str(&q->params), name, value;
	struct buf out;
	struct err e;

	buf_init(&out, 1 << 20);
	buf_puts(&out, OK);
	while (fcgi_pair_next(&rest, &name, &value, &e) == 1)
		buf_printf(&out, STR_FMT "=" STR_FMT "\n", STR_ARG(name), STR_ARG(value));
	buf_printf(&out, "records=%u\n", q->param_records);
	for (size_t at = 0; at < out.len; at += 50000)
		send_record(fd, FCGI_STDOUT, out.ptr + at, MIN(out.len - at, (size_t)50000), 0);
	buf_done(&out);
}

static void send_long(int fd)
{
	char *v = xmalloc(32768);

	memset(v, 'v', 32768);
	for (size_t i = 0; i < LONG_BYTES / 32768; i++)
		send_record(fd, FCGI_STDOUT, v, 32768, 0);
	free(v);
}

/* False: the socket stays open. */
static bool do_step(int fd, const struct step *s, struct got *q)
{
	uint8_t end[8] = { 0, 0, 0, s->text ? (uint8_t)s->text[0] : 0, (uint8_t)s->number };
	struct linger at_once = { 1, 0 };
	char text[128];

	switch (s->kind) {
	case OUT: case ERR:
		send_record(fd, s->kind == OUT ? FCGI_STDOUT : FCGI_STDERR, s->text, strlen(s->text), s->number);
		break;
	case OUT_END:
		send_record(fd, FCGI_STDOUT, "", 0, 0);
		break;
	case END:
		send_record(fd, FCGI_END_REQUEST, (char *)end, sizeof(end), 0);
		break;
	case RAW:
		send(fd, s->text, s->number, MSG_NOSIGNAL);
		break;
	case LONG:
		send_long(fd);
		break;
	case ECHO:
		snprintf(text, sizeof(text), OK "%zu bytes in %s", q->in.len, q->in_records ? "records" : "none");
		send_record(fd, FCGI_STDOUT, text, strlen(text), 0);
		break;
	case ENV:
		send_env(fd, q);
		break;
	case RESET:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		break;
	case HANG:
		g.hung[g.n_hung++] = fd;
		return false;
	case DONE:
		break;
	}
	return true;
}

/* The environment is told below two paths. */
static const struct script *script_of(const struct got *q)
{
	struct str rest = buf_str(&q->params), name, value, query, path = STR_NONE;
	struct err e;

	while (fcgi_pair_next(&rest, &name, &value, &e) == 1)
		if (str_eq_c(name, "REQUEST_URI"))
			path = str_cut(value, '?', &query);
	if (str_starts(path, STR("/old")) || str_starts(path, STR("/env")))
		path = STR("/env");
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		if (str_eq_c(path, scripts[i].path))
			return &scripts[i];
	fprintf(stderr, "no script for " STR_FMT "\n", STR_ARG(path));
	return NULL;
}

static void serve(int fd)
{
	struct got q = { 0 };
	bool done = true;

	buf_init(&q.params, 1 << 20);
	buf_init(&q.in, 8 << 20);
	if (read_request(fd, &q)) {
		const struct script *s = script_of(&q);
		for (size_t i = 0; s && done && i < STEPS && s->steps[i].kind; i++)
			done = do_step(fd, &s->steps[i], &q);
	}
	if (done)
		close(fd);
	buf_done(&q.params);
	buf_done(&q.in);
}

static void *program(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(g.fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		serve(fd);
	}
}

/* A program that has no room. */
static void *overloaded(void *arg)
{
	static const char end[8] = { 0, 0, 0, 0, FCGI_OVERLOADED };

	(void)arg;
	for (;;) {
		struct got q = { 0 };
		int fd = accept(g.refuse_fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		buf_init(&q.params, 1 << 20);
		buf_init(&q.in, 1 << 20);
		read_request(fd, &q);
		send_record(fd, FCGI_END_REQUEST, end, sizeof(end), 0);
		__atomic_add_fetch(&g.refused, 1, __ATOMIC_RELAXED);
		close(fd);
		buf_done(&q.params);
		buf_done(&q.in);
	}
}

/* ---- locations ---- */

static struct fastcgi *params(void)
{
	json_t *cm = json_pack("{s:{s:s, s:s, s:s, s:s}}", "data", "SCRIPT_FILENAME", "/srv$fastcgi_script_name", "HTTP_X_GONE", "",
			       "HTTP_X_MINE", "of-$request_method", "SERVER_NAME", "mine");
	struct err e;
	struct fastcgi *f = fastcgi_new(cm, &e);

	assert_non_null(f);
	json_decref(cm);
	return f;
}

static struct settings *location(const char *path, uint16_t port)
{
	struct settings *s = rig_location(&g.rig, path, port, PROTOCOL_FCGI);

	s->fastcgi = params();
	s->fastcgi_index = (char *)(uintptr_t)"index.php";
	return s;
}

static int setup(void **state)
{
	struct rig *r = &g.rig;
	struct err e;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	rig_init(r);
	r->globals.client_header_buffer_bytes = 8192;
	r->globals.large_client_header_bytes = 1 << 19;
	g.fd = rig_listen(&g.port);
	g.refuse_fd = rig_listen(&g.refuse_port);
	fcntl(g.fd, F_SETFL, 0); /* they are accepted from by threads that block */
	fcntl(g.refuse_fd, F_SETFL, 0);
	close(rig_listen(&g.dead_port));
	location("/p", g.port)->next_upstream_tries = 1;
	location("/hang", g.port)->proxy_read_timeout_s = 1;
	location("/env", g.port);
	location("/dead", g.dead_port);
	location("/two", 1);
	location("/old", g.port);
	struct endpoint_want two[] = { { .addr = rig_loopback(g.refuse_port) }, { .addr = rig_loopback(g.port) } };
	backend_set(r->shared.backends, r->locations[4].backend, two, 2);
	r->locations[5].rewrite = pattern_new("/old(/|$)(.*)", true, false, &e);
	r->sets[5].rewrite_target = (char *)(uintptr_t)"/new/$2?from=old";
	rig_start(r, NULL);
	pthread_create(&g.refuse_thread, NULL, overloaded, NULL);
	return pthread_create(&g.thread, NULL, program, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shutdown(g.fd, SHUT_RDWR);
	shutdown(g.refuse_fd, SHUT_RDWR);
	pthread_join(g.thread, NULL);
	pthread_join(g.refuse_thread, NULL);
	for (size_t i = 0; i < g.n_hung; i++)
		close(g.hung[i]);
	close(g.fd);
	close(g.refuse_fd);
	regex_free(g.rig.locations[5].rewrite);
	for (size_t i = 0; i < g.rig.host->n_all; i++)
		fastcgi_free(g.rig.sets[i].fastcgi);
	rig_stop(&g.rig);
	return 0;
}

/* ---- the client ---- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g.rig.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static char *rest(int fd)
{
	struct buf all;
	char chunk[65536];
	ssize_t n;

	buf_init(&all, 16 << 20);
	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		buf_put(&all, chunk, (size_t)n);
	if (n < 0 && errno == EAGAIN)
		fail_msg("the connection stayed open after: %s", all.ptr ? all.ptr : "nothing");
	close(fd);
	return all.ptr ? buf_take(&all) : xstrdup("");
}

static char *ask(const char *request, size_t len)
{
	int fd = dial();

	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
	return rest(fd);
}

#define CLOSE "Connection: close\r\n"
static char *get(const char *path, const char *headers)
{
	cleanup(freep) char *text = xasprintf("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, headers);

	return ask(text, strlen(text));
}

/* Of an answer in chunks or with a length: is it whole? */
static bool complete(const char *got)
{
	const char *body = strstr(got, "\r\n\r\n"), *length = strstr(got, "Content-Length: ");
	size_t n = strlen(got);

	if (strstr(got, "Transfer-Encoding: chunked"))
		return n > 5 && strcmp(got + n - 5, "0\r\n\r\n") == 0;
	return body && (!length || strlen(body + 4) == strtoul(length + 16, NULL, 10));
}

static void answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		const struct script *s = &scripts[i];
		if (s->steps[0].kind == ECHO || s->steps[0].kind == ENV)
			continue;
		char *got = get(s->path, s->cut ? "" : CLOSE) ; /* who is cut need not ask for it */
		bool nothing = s->cut && !*got;
		if (!nothing && strncmp(got, s->status, strlen(s->status)) != 0)
			fail_msg("%s: want %s, got %.300s", s->path, s->status, got);
		if (!nothing && s->part && !strstr(got, s->part))
			fail_msg("%s: want %s in %.300s", s->path, s->part, got);
		if (!nothing && complete(got) == s->cut)
			fail_msg("%s: %s: %.300s", s->path, s->cut ? "is whole" : "is cut", got);
		if (strncmp(got, "HTTP/1.1 200", 12) == 0 && (strstr(got, "Keep-Alive:") || strstr(got, "Status:") || !strstr(got, "Date: ")))
			fail_msg("%s: %.300s", s->path, got);
		free(got);
	}
}

static void head_request(void **state)
{
	static const char request[] = "HEAD /p/length HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	char *got = ask(request, sizeof(request) - 1);

	(void)state;
	assert_non_null(strstr(got, "Content-Length: 5\r\n"));
	assert_null(strstr(got, "hello"));
	free(got);
}

static void refused(void **state)
{
	char *got = get("/dead", CLOSE);
	size_t before = __atomic_load_n(&g.refused, __ATOMIC_RELAXED);

	(void)state;
	assert_int_equal(strncmp(got, "HTTP/1.1 502 ", 13), 0);
	free(got);
	/* Round robin: one of the two meets the overloaded program first. It has not begun, so that POST goes on as well. */
	for (int i = 0; i < 2; i++) {
		static const char request[] = "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
		got = ask(request, sizeof(request) - 1);
		if (strncmp(got, "HTTP/1.1 200 ", 13) != 0)
			fail_msg("%s", got);
		free(got);
	}
	assert_true(__atomic_load_n(&g.refused, __ATOMIC_RELAXED) > before);
}

/* ---- what the program is told ---- */

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++)
		if (at[-1] == '\n' && at[n] == '\n')
			return true;
	return false;
}

static void environment(void **state)
{
	static const struct {
		const char *path, *headers, *lines[12]; /* "-NAME=": is not told */
	} rows[] = {
		{ "/env?x=%201&y", CLOSE,
		  { "QUERY_STRING=x=%201&y", "REQUEST_METHOD=GET", "CONTENT_TYPE=", "CONTENT_LENGTH=", "SCRIPT_NAME=/env", "REQUEST_URI=/env?x=%201&y",
		    "DOCUMENT_URI=/env", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_SCHEME=http", "-HTTPS=", "GATEWAY_INTERFACE=CGI/1.1" } },
		{ "/env", CLOSE,
		  { "REMOTE_ADDR=127.0.0.1", "SERVER_ADDR=127.0.0.1", "SERVER_PORT=80", "SERVER_NAME=_", "SERVER_NAME=mine", "REDIRECT_STATUS=200",
		    "SERVER_SOFTWARE=nginx/1.27.1", "SCRIPT_FILENAME=/srv/env", "HTTP_HOST=a", "DOCUMENT_ROOT=/usr/local/nginx/html",
		    "HTTP_X_MINE=of-GET" } },
		{ "/env/", CLOSE, { "SCRIPT_NAME=/env/index.php", "SCRIPT_FILENAME=/srv/env/index.php", "DOCUMENT_URI=/env/", "REQUEST_URI=/env/" } },
		{ "/env/%61/../b//c", CLOSE, { "SCRIPT_NAME=/env/b/c", "REQUEST_URI=/env/%61/../b//c" } },
		{ "/old/a%20b?q=1", CLOSE, { "SCRIPT_NAME=/new/a b", "QUERY_STRING=from=old&q=1", "DOCUMENT_URI=/new/a b", "REQUEST_URI=/old/a%20b?q=1" } },
		{ "/old", CLOSE, { "SCRIPT_NAME=/new/index.php", "QUERY_STRING=from=old" } },
		{ "http://a/env?z", CLOSE, { "REQUEST_URI=/env?z", "SCRIPT_NAME=/env" } },
		{ "/env", CLOSE "Proxy: evil\r\nX-Gone: 1\r\nX-Mine: 2\r\nX-Real-IP: 6.6.6.6\r\n",
		  { "-HTTP_PROXY=", "-HTTP_X_GONE=", "-HTTP_X_MINE=2", "HTTP_X_MINE=of-GET", "HTTP_X_REAL_IP=6.6.6.6", "-HTTP_X_REQUEST_ID=" } },
		{ "/env", CLOSE "Cookie: a=1\r\nCookie: b=2\r\nX-M: 1\r\nx-m: 2\r\n", { "HTTP_COOKIE=a=1; b=2", "HTTP_X_M=1, 2" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = get(rows[i].path, rows[i].headers);
		for (size_t k = 0; k < 12 && rows[i].lines[k]; k++) {
			const char *line = rows[i].lines[k];
			if (line[0] == '-' ? strstr(got, line + 1) != NULL && strstr(got, line + 1)[-1] == '\n' : !has_line(got, line))
				fail_msg("%s: %s: %s", rows[i].path, line, got);
		}
		free(got);
	}
}

/* A head that needs two records: no parameter is in both of them. */
static void long_heads(void **state)
{
	struct buf headers;

	(void)state;
	buf_init(&headers, 1 << 20);
	buf_puts(&headers, CLOSE);
	for (int i = 0; i < 20; i++) {
		buf_printf(&headers, "X-%d: ", i);
		for (int k = 0; k < 5000; k++)
			buf_putc(&headers, 'h');
		buf_puts(&headers, "\r\n");
	}
	char *got = get("/env", headers.ptr);
	for (int i = 0; i < 20; i++) {
		cleanup(freep) char *line = xasprintf("\nHTTP_X_%d=hhhhh", i);
		assert_non_null(strstr(got, line));
	}
	assert_non_null(strstr(got, "records=3\n")); /* the third is the empty one */
	free(got);
	/* nginx' limit is that of one record, ours a few. */
	buf_clear(&headers);
	buf_puts(&headers, CLOSE);
	for (int i = 0; i < 40; i++) {
		buf_printf(&headers, "X-%d: ", i);
		for (int k = 0; k < 8000; k++)
			buf_putc(&headers, 'h');
		buf_puts(&headers, "\r\n");
	}
	got = get("/env", headers.ptr);
	assert_int_equal(strncmp(got, "HTTP/1.1 500 ", 13), 0);
	free(got);
	buf_done(&headers);
}

/* ---- bodies of requests ---- */

static void bodies(void **state)
{
	static const struct {
		size_t bytes;
		bool chunked;
		const char *want;
	} rows[] = {
		{ 0, false, "0 bytes in none" }, { 1, false, "1 bytes in records" }, { 65528, false, "65528 bytes in records" },
		{ 300000, false, "300000 bytes in records" }, { 3000000, false, "3000000 bytes in records" },
		{ 5, true, "5 bytes in records" }, { 400000, true, "400000 bytes in records" },
		{ 900000, true, "411 Length Required" }, /* CGI reads CONTENT_LENGTH bytes, and so much is not held */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text;
		buf_init(&text, 16 << 20);
		buf_puts(&text, "POST /p/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
		if (rows[i].chunked)
			buf_printf(&text, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", rows[i].bytes);
		else
			buf_printf(&text, "Content-Length: %zu\r\n\r\n", rows[i].bytes);
		for (size_t k = 0; k < rows[i].bytes; k++)
			buf_putc(&text, 'b');
		if (rows[i].chunked)
			buf_puts(&text, "\r\n0\r\n\r\n");
		int fd = dial();
		ssize_t sent = send(fd, text.ptr, text.len, MSG_NOSIGNAL);
		assert_true(sent > 0);
		char *got = rest(fd);
		if (!strstr(got, rows[i].want))
			fail_msg("%zu bytes: %s", rows[i].bytes, got);
		free(got);
		buf_done(&text);
	}
}

static bool hung_up(void *ctx)
{
	char byte;

	return recv(*(int *)ctx, &byte, 1, MSG_DONTWAIT) == 0;
}

/* A client that goes away takes its request with it, before the time-out of a second. */
static void client_goes(void **state)
{
	static const char request[] = "GET /hang/half HTTP/1.1\r\nHost: a\r\n\r\n";
	char some[4096];
	int fd = dial();

	(void)state;
	assert_true(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0);
	assert_true(recv(fd, some, sizeof(some), 0) > 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)); /* a mere end is half a close */
	close(fd);
	assert_true(rig_until(&g.rig, hung_up, &g.hung[g.n_hung - 1], 700));
}

/* The end of STDOUT is the end of the answer: nobody waits for what the program still does. */
static void out_end(void **state)
{
	free(get("/p/out-end", CLOSE));
	(void)state;
	assert_true(rig_until(&g.rig, hung_up, &g.hung[g.n_hung - 1], 5000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),    cmocka_unit_test(head_request), cmocka_unit_test(refused), cmocka_unit_test(environment),
		cmocka_unit_test(long_heads), cmocka_unit_test(bodies),	      cmocka_unit_test(client_goes), cmocka_unit_test(out_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
