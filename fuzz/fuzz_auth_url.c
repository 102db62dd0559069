/* What an authentication service answers, byte for byte; twice, because the first answer may be remembered. */
#include "net/conn.h"
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"

#include "../tests/unit/ingress_fake.h"

#include <arpa/inet.h>

static struct loop *loop;
static struct str answer;
static struct metrics_shard shard;

static size_t server_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx, (void)bytes;
	conn_write(c, answer.ptr, answer.len);
	conn_close_after_write(c);
	return len;
}

static void server_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)ctx, (void)e;
}

static void accepted(void *ctx, int fd, const struct addr *peer)
{
	static const struct conn_ops ops = {.data = server_data, .failed = server_failed};
	struct err e;

	(void)ctx, (void)peer;
	if (!conn_accept(loop, fd, NULL, &ops, NULL, &e))
		abort();
}

static char url[64];
static struct listener *listener; /* the kernel's pointers to it are none that a sanitizer sees */
static void start(void)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	struct addr any;
	struct err e;

	loop = loop_new(&e);
	if (addr_from_ip("127.0.0.1", 0, &any, &e) < 0)
		abort();
	int fd = addr_listen(&any, 16, &e);
	listener = fd < 0 ? NULL : listener_new(loop, fd, accepted, NULL, &e);
	if (!listener)
		abort();
	getsockname(fd, (struct sockaddr *)&in, &len);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(in.sin_port));
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

static void turn(void)
{
	loop_post(loop, stop, NULL);
	loop_run(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* What the client gets: 0 when the request may go on. */
static int ask(struct auth_cache_policy *policy, struct auth_cache **cache, bool *ret_remembered)
{
	static char user[] = "X-User", cookie[] = "Set-Cookie", *names[] = {user, cookie};
	struct fake f;
	struct err e;

	fake_init(&f, "GET", "http://a.test/");
	f.worker.loop = loop;
	f.worker.metrics = &shard;
	f.shared.auth_cache = *cache;
	f.set.auth_url = variable_text_new(url, &e);
	f.set.auth_response_headers = (struct str_list){names, 2};
	f.set.auth_cache = policy;
	*ret_remembered = fake_request(&f, &filter_auth_url) != FILTER_WAIT;
	while (!*ret_remembered && !f.resumed && !f.answers)
		turn();
	assert(f.resumed + f.answers == (*ret_remembered ? f.answers : 1));
	assert(!f.answers || f.status == 401 || f.status == 403 || f.status == 500);
	fake_upstream(&f, &filter_auth_url);
	fake_answer(&f, &filter_auth_url, f.answers ? 0 : 200);
	for (size_t i = 0; i < f.x.up_headers.n + f.x.ans.headers.n; i++) {
		const struct header_list *l = i < f.x.up_headers.n ? &f.x.up_headers : &f.x.ans.headers;
		struct str v = l->at[i < f.x.up_headers.n ? i : i - f.x.up_headers.n].value;

		assert(!memchr(v.ptr, '\r', v.len) && !memchr(v.ptr, '\n', v.len));
		assert(!*ret_remembered || !str_eq_c(l->at[i < f.x.up_headers.n ? i : i - f.x.up_headers.n].name, cookie));
	}
	*cache = f.shared.auth_cache;
	fake_done(&f);
	subrequests_free(f.worker.subrequests);
	turn();
	variable_text_free(f.set.auth_url);
	return f.answers ? f.status : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth_cache_policy *policy;
	struct auth_cache *cache = NULL;
	bool remembered;

	if (!loop) {
		start();
		policy = auth_cache_policy_new("fixed", "200 401 403 1m, 500 1h");
	}
	answer = (struct str){(const char *)data, size};
	int status = ask(policy, &cache, &remembered);
	assert(!remembered);
	if (ask(policy, &cache, &remembered) != status)
		abort();
	auth_cache_free(cache);
	return 0;
}
