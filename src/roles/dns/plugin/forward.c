/* forward.c - questions that nobody here can answer, asked of other name servers (resolve/). */
#include "roles/dns/plugin/forward.h"

#include "base/log.h"
#include "roles/dns/plugin/loop.h"
#include "roles/dns/serve/request.h"

#define PROBE_ROUNDS 4 /* the last one only ends the one before */
static const uint64_t probe_after_ms[PROBE_ROUNDS] = { 250, 2000, 8000, 3000 };

/* ---- the main thread's part ---- */

struct forward_run {
	struct plugin_instance *i;
	struct dns_shared *shared;
	struct timer reread, probe;
	unsigned round;
};

static void on_reread(struct timer *t)
{
	struct forward_run *run = t->ctx;
	struct forward *f = run->i->settings;

	for (size_t k = 0; k < f->n; k++) {
		struct forwarder *fw = f->rules[k].forwarder;
		if (forwarder_reread(fw, run->shared->quiesce, run->shared->metrics))
			log_info("forward: upstreams read again count=%zu", fw->set->n);
	}
	timer_start(run->shared->main_loop, t, FORWARD_FILE_MS);
}

struct probe_job {
	struct plugin_instance *i;
	struct dns_worker *worker;
	bool last;
};

static void *worker_part(struct plugin_instance *i, struct dns_worker *w)
{
	void **at = &i->worker_states[w->number];

	if (!*at)
		*at = i->plugin->worker_start(i, w);
	return *at;
}

/* The zone whose questions come to this block, and go from it to this forwarder. */
static const struct dns_name *probe_zone(const struct plugin_instance *i, const struct forward_rule *rule)
{
	const struct dns_block *b = i->block;

	return b->n_zones && dns_name_under(&b->zones[0], &rule->from.names[0]) ? &b->zones[0] : &rule->from.names[0];
}

static void probe_on_worker(void *arg)
{
	struct probe_job *j = arg;
	struct forward *f = j->i->settings;
	struct forwarder_worker **part = worker_part(j->i, j->worker);

	for (size_t k = 0; k < f->n; k++) {
		__atomic_store_n(&f->rules[k].forwarder->probing, !j->last, __ATOMIC_RELAXED);
		forwarder_probe(part[k], j->last ? NULL : probe_zone(j->i, &f->rules[k]));
	}
	dns_config_unref(j->i->block->config);
	free(j);
}

static void on_probe(struct timer *t)
{
	struct forward_run *run = t->ctx;
	struct probe_job *j;

	if (!run->shared->workers)
		return;
	j = xmalloc(sizeof(*j));
	*j = (struct probe_job){ run->i, run->shared->workers[0], ++run->round == PROBE_ROUNDS };
	dns_config_ref(run->i->block->config);
	loop_post(run->shared->workers[0]->loop, probe_on_worker, j);
	if (run->round < PROBE_ROUNDS)
		timer_start(run->shared->main_loop, t, probe_after_ms[run->round]);
}

static bool finds_loops(const struct dns_block *b)
{
	for (size_t i = 0; i < b->n_plugins; i++)
		if (b->plugins[i].plugin == &plugin_loop)
			return true;
	return false;
}

static int forward_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct forward *f = i->settings;
	struct forward_run *run = xcalloc(1, sizeof(*run));

	(void)e;
	run->i = i;
	run->shared = s;
	run->reread = (struct timer){ .fire = on_reread, .ctx = run };
	run->probe = (struct timer){ .fire = on_probe, .ctx = run };
	for (size_t k = 0; k < f->n; k++) {
		struct forwarder *fw = f->rules[k].forwarder;
		forwarder_metrics(fw, s->metrics);
		if (!fw->set->n)
			log_warn("forward: no upstreams in file=%s yet, questions are answered with SERVFAIL", fw->words[0]);
		if (fw->n_files)
			timer_start(s->main_loop, &run->reread, FORWARD_FILE_MS);
	}
	if (finds_loops(i->block))
		timer_start(s->main_loop, &run->probe, probe_after_ms[0]);
	i->started = run;
	return 0;
}

static void forward_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct forward_run *run = i->started;

	(void)s;
	timer_stop(&run->reread);
	timer_stop(&run->probe);
	free(run);
}

/* ---- the workers' part: a forwarder_worker for each rule ---- */

static void *forward_worker_start(struct plugin_instance *i, struct dns_worker *w)
{
	struct forward *f = i->settings;
	struct forwarder_worker **part = xcalloc(f->n, sizeof(struct forwarder_worker *));

	for (size_t k = 0; k < f->n; k++)
		part[k] = forwarder_worker_new(f->rules[k].forwarder, w->loop, w->number);
	return part;
}

static void forward_worker_stop(struct plugin_instance *i, struct dns_worker *w, void *state)
{
	struct forward *f = i->settings;
	struct forwarder_worker **part = state;

	(void)w;
	for (size_t k = 0; k < f->n; k++)
		forwarder_worker_free(part[k]);
	free(part);
}

/* ---- questions ---- */

/* A question on its way through the rules. */
struct forward_ask {
	struct forward_wait wait;
	struct request *r;
	struct plugin_instance *i;
	size_t rule;
};

/* The first from `rule` on that takes questions about this name; f->n: there is none. */
static size_t rule_for(const struct forward *f, const struct dns_name *n, size_t rule)
{
	for (; rule < f->n; rule++) {
		const struct forward_rule *r = &f->rules[rule];
		const struct dns_name *from = zone_set_match(&r->from, n);
		/* The zone itself is never excepted: CoreDNS. */
		if (from && (from->len == n->len || !zone_set_match(&r->except, n)))
			break;
	}
	return rule;
}

static bool wants_next(const struct forward_rule *rule, const struct forward_answer *a)
{
	struct dns_message m;

	if (rule->next >> a->rcode & 1)
		return true;
	return rule->next_on_nodata && a->rcode == DNS_NOERROR && dns_message_parse(a->message, &m) && !m.counts[DNS_ANSWER];
}

static enum plugin_verdict ask_rule(struct forward_ask *a);

static enum plugin_verdict take_answer(struct forward_ask *a, const struct forward_answer *ans)
{
	const struct forward *f = a->i->settings;
	struct request *r = a->r;
	char text[ADDR_TEXT_BYTES];

	if (!ans->message.len) {
		if (ans->unhealthy)
			request_fail(r, "forward: no upstream is there to be asked");
		else
			request_fail(r, "forward: no answer after %u tries; %s", ans->tries, ans->why);
		request_set_rcode(r, DNS_SERVFAIL, FROM_UPSTREAM);
		return PLUGIN_ANSWERED;
	}
	if (request_explains(r))
		request_note(r, "forward: answered by %s after %u tries", addr_text(ans->upstream, text), ans->tries);
	if (wants_next(&f->rules[a->rule], ans)) {
		size_t next = rule_for(f, &r->query.name, a->rule + 1);
		if (next < f->n) {
			a->rule = next;
			return ask_rule(a);
		}
	}
	request_set_answer(r, ans->message.ptr, ans->message.len, FROM_UPSTREAM);
	r->upstream = *ans->upstream;
	return PLUGIN_ANSWERED;
}

static void on_answer(struct forward_wait *w, const struct forward_answer *ans)
{
	struct forward_ask *a = container_of(w, struct forward_ask, wait);
	enum plugin_verdict v = take_answer(a, ans);

	if (v != PLUGIN_LATER)
		request_resume(a->r, v);
}

static enum plugin_verdict ask_rule(struct forward_ask *a)
{
	struct forwarder_worker **part = request_state(a->r, a->i);

	if (forwarder_ask(part[a->rule], &a->r->query, &a->wait))
		return PLUGIN_LATER;
	request_fail(a->r, "forward: too many questions are under way");
	request_set_rcode(a->r, DNS_REFUSED, FROM_UPSTREAM);
	return PLUGIN_ANSWERED;
}

static void forget(void *scratch)
{
	struct forward_ask *a = scratch;

	forwarder_forget(&a->wait);
	free(a);
}

static enum plugin_verdict forward_question(struct request *r, struct plugin_instance *i)
{
	size_t rule = rule_for(i->settings, &r->query.name, 0);
	struct forward_ask *a;

	if (rule == ((struct forward *)i->settings)->n)
		return PLUGIN_NEXT;
	if (r->query.type == DNS_AXFR || r->query.type == DNS_IXFR) { /* many messages: not what is forwarded */
		request_set_rcode(r, DNS_REFUSED, FROM_PLUGIN);
		return PLUGIN_ANSWERED;
	}
	a = xcalloc(1, sizeof(*a));
	*a = (struct forward_ask){ .wait.done = on_answer, .r = r, .i = i, .rule = rule };
	r->scratch[r->at] = a;
	request_on_end(r, r->at, forget);
	return ask_rule(a);
}

static bool forward_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i, (void)zone;
	return false; /* what the cluster's zone answers never comes this far, and answers pass unchanged */
}

const struct plugin plugin_forward = {
	.name = "forward",
	.args = "FROM TO…",
	.doc = "Asks other name servers about names below FROM: addresses, tls:// for DNS over TLS, or files like /etc/resolv.conf, "
	       "which are read again when they change. Of several directives the first that matches is used. A slow upstream is "
	       "not waited for: another is asked as well. 15 upstreams at most.",
	.properties = forward_properties,
	.more = true,
	.parse = forward_parse,
	.free_settings = forward_free,
	.start = forward_start,
	.stop = forward_stop,
	.worker_start = forward_worker_start,
	.worker_stop = forward_worker_stop,
	.ask = forward_question,
	.touches = forward_touches,
};
