/* hosts.c - names from a hosts file and from the Corefile. CoreDNS' plugin/hosts. */
#include "roles/dns/plugin/hosts_table.h"
#include "roles/dns/plugin/kubernetes.h"
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"
#include "roles/dns/zone/zone.h"

#include "base/file.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/stat.h>

#define HOSTS_FILE "/etc/hosts"
#define HOSTS_TTL 3600
#define HOSTS_TTL_MAX 65535 /* CoreDNS' */
#define HOSTS_RELOAD_MS 5000
#define HOSTS_RELOAD_MS_MAX (24ull * 3600 * 1000)
#define HOSTS_INLINE_BYTES_MAX (1u << 20) /* a Corefile's own limit */

struct hosts { /* a reading thread may outlive the configuration */
	unsigned refs;
	char *path;
	struct zone_set zones, fall;
	struct buf inline_text;
	uint32_t ttl;
	uint64_t reload_ms;
	bool no_reverse, default_file;
};
struct hosts_run {
	struct hosts *settings;
	struct dns_shared *shared;
	struct hosts_table *table; /* atomic: workers read it */
	struct hosts_table *next;  /* what the thread made */
	struct err error;
	struct stat seen;
	struct timer timer;
	struct work work;
	bool working, gone;
	struct metric *entries, *reloaded;
};

/* ---- settings ---- */

static void hosts_free(void *settings)
{
	struct hosts *h = settings;

	if (!h || --h->refs)
		return;
	zone_set_done(&h->zones);
	zone_set_done(&h->fall);
	buf_done(&h->inline_text);
	free(h->path);
	free(h);
}

static int add_entry(struct hosts *h, const struct corefile_line *line, struct err *e)
{
	struct addr a;
	struct err ignored;

	if (addr_from_ip(line->words[0], 0, &a, &ignored))
		return directive_error(e, line, "hosts", "\"%s\" is neither an address nor one of fallthrough, no_reverse, ttl, "
				       "reload", line->words[0]);
	if (line->n < 2)
		return directive_error(e, line, "hosts", "%s has no name", line->words[0]);
	for (size_t i = 0; i < line->n; i++) {
		struct dns_name n;
		if (i && !dns_name_from_text(str_of(line->words[i]), &n))
			return directive_error(e, line, "hosts", "\"%.260s\" is not a domain name", line->words[i]);
		buf_puts(&h->inline_text, line->words[i]);
		buf_putc(&h->inline_text, i + 1 < line->n ? ' ' : '\n');
	}
	return 0;
}

static int read_property(struct hosts *h, const struct corefile_line *line, struct err *e)
{
	const char *name = line->words[0];
	uint64_t v;

	if (strcmp(name, "fallthrough") == 0)
		return zone_set_fallthrough(&h->fall, line, "hosts", e);
	if (strcmp(name, "no_reverse") == 0) {
		h->no_reverse = true;
		return 0;
	}
	if (strcmp(name, "ttl") == 0) {
		if (line->n != 2 || !directive_number(line->words[1], 1, HOSTS_TTL_MAX, &v))
			return directive_error(e, line, "hosts", "ttl is a number of seconds, 1 to %d", HOSTS_TTL_MAX);
		h->ttl = (uint32_t)v;
		return 0;
	}
	if (strcmp(name, "reload") == 0) {
		if (line->n != 2 || !directive_duration_ms(line->words[1], HOSTS_RELOAD_MS_MAX, &h->reload_ms))
			return directive_error(e, line, "hosts", "reload is a duration as 5s, up to 24h; 0s: never");
		return 0;
	}
	return add_entry(h, line, e);
}

static int hosts_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct hosts *h = xcalloc(1, sizeof(*h));
	struct stat st;
	size_t zones = d->head.n > 2 ? d->head.n - 2 : 0;

	*settings = h;
	*h = (struct hosts){ .refs = 1, .ttl = HOSTS_TTL, .reload_ms = HOSTS_RELOAD_MS };
	h->default_file = d->head.n < 2;
	h->path = xstrdup(d->head.n > 1 ? d->head.words[1] : HOSTS_FILE);
	buf_init(&h->inline_text, HOSTS_INLINE_BYTES_MAX);
	buf_puts(&h->inline_text, "");
	if (stat(h->path, &st) == 0 && S_ISDIR(st.st_mode))
		return directive_error(e, &d->head, "hosts", "%.256s is a directory", h->path);
	if (zone_set_parse(&h->zones, d->head.words + 2, zones, &d->head, "hosts", scope, e))
		return -1;
	for (size_t i = 0; i < d->n_body; i++)
		if (read_property(h, &d->body[i], e))
			return -1;
	return 0;
}

/* ---- the file ---- */

static struct hosts_table *make_table(const struct hosts *h, struct err *e)
{
	struct hosts_table *t = hosts_table_new(&h->zones, !h->no_reverse);
	struct buf text;
	int rc;

	buf_init(&text, HOSTS_BYTES_MAX);
	rc = file_read(h->path, &text, e);
	if (rc == 0 || e->sys_errno == ENOENT) {
		hosts_table_read(t, buf_str(&text));
		hosts_table_read(t, buf_str(&h->inline_text));
	} else {
		hosts_table_free(t);
		t = NULL;
	}
	buf_done(&text);
	return t;
}

static void publish(struct hosts_run *run, struct hosts_table *t)
{
	struct hosts_table *old = __atomic_exchange_n(&run->table, t, __ATOMIC_ACQ_REL);

	if (old)
		quiesce_retire(run->shared->quiesce, hosts_table_free, old);
	if (run->entries)
		metric_set(run->entries, (int64_t)hosts_table_count(t));
	if (run->reloaded)
		metric_set(run->reloaded, wall_now_ms() / 1000);
	if (old && run->shared->touches_changed)
		run->shared->touches_changed(run->shared->touches_changed_ctx);
}

static bool file_changed(struct hosts_run *run)
{
	struct stat st = { 0 };

	if (stat(run->settings->path, &st) != 0)
		st = (struct stat){ 0 };
	const struct stat *b = &run->seen;
	bool changed = st.st_ino != b->st_ino || st.st_size != b->st_size || st.st_mtim.tv_sec != b->st_mtim.tv_sec ||
		       st.st_mtim.tv_nsec != b->st_mtim.tv_nsec || st.st_ctim.tv_nsec != b->st_ctim.tv_nsec;
	run->seen = st;
	return changed;
}

/* On a thread of its own: a block list takes a while. */
static void read_run(struct work *w)
{
	struct hosts_run *run = container_of(w, struct hosts_run, work);

	run->error = (struct err){ 0 };
	run->next = make_table(run->settings, &run->error);
}

static void run_free(struct hosts_run *run)
{
	hosts_table_free(run->table);
	hosts_free(run->settings);
	free(run);
}

static void read_done(struct work *w)
{
	struct hosts_run *run = container_of(w, struct hosts_run, work);

	run->working = false;
	if (run->gone) {
		hosts_table_free(run->next);
		run_free(run);
		return;
	}
	if (run->next)
		publish(run, TAKE_PTR(run->next));
	else
		log_warn("hosts: %s; what was read before stays", run->error.message);
}

static void on_timer(struct timer *t)
{
	struct hosts_run *run = t->ctx;

	if (!run->working && file_changed(run)) {
		run->working = true;
		loop_work(run->shared->main_loop, &run->work);
	}
	timer_start(run->shared->main_loop, t, run->settings->reload_ms);
}

static int hosts_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct hosts *h = i->settings;
	struct hosts_run *run = xcalloc(1, sizeof(*run));
	struct err why = { 0 };

	(void)e;
	h->refs++;
	i->started = run;
	*run = (struct hosts_run){ .settings = h, .shared = s, .timer = { .fire = on_timer, .ctx = run } };
	run->work = (struct work){ .run = read_run, .done = read_done };
	if (s->metrics) {
		run->entries = dns_metric(s->metrics, "coredns_hosts_entries", METRIC_GAUGE,
					  "The combined number of entries in hosts and Corefile.", "");
		run->reloaded = dns_metric(s->metrics, "coredns_hosts_reload_timestamp_seconds", METRIC_GAUGE,
					   "The timestamp of the last reload of hosts file.", "");
	}
	file_changed(run);
	struct hosts_table *t = make_table(h, &why);
	if (why.message[0])
		log_warn("hosts: %s", why.message);
	if (!t) {
		t = hosts_table_new(&h->zones, !h->no_reverse);
		hosts_table_read(t, buf_str(&h->inline_text));
	}
	publish(run, t);
	if (h->reload_ms)
		timer_start(s->main_loop, &run->timer, h->reload_ms);
	return 0;
}

static void hosts_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct hosts_run *run = i->started;

	(void)s;
	if (!run)
		return;
	i->started = NULL;
	timer_stop(&run->timer);
	run->gone = true;
	if (!run->working)
		run_free(run);
}

/* ---- questions ---- */

static void put_addresses(struct request *r, struct dns_writer *w, const struct hosts *h, const struct hosts_addresses *a)
{
	if (r->query.type == DNS_A)
		for (unsigned i = 0; i < a->n4; i++)
			reply_put(w, DNS_ANSWER, DNS_A, h->ttl, a->ip4 + 4 * (size_t)i, 4);
	else if (r->query.type == DNS_AAAA)
		for (unsigned i = 0; i < a->n6; i++)
			reply_put(w, DNS_ANSWER, DNS_AAAA, h->ttl, a->ip6 + 16 * (size_t)i, 16);
}

static enum plugin_verdict answer_ptr(struct request *r, const struct hosts *h, const struct hosts_table *t)
{
	uint8_t raw[16], ip[16] = { [10] = 0xff, [11] = 0xff };
	size_t len = dns_reverse_ip(&r->query.name, raw), end = 0;
	const struct hosts_names *names;
	struct dns_writer w;

	if (!len)
		return PLUGIN_NEXT;
	memcpy(ip + 16 - len, raw, len);
	names = hosts_table_ip(t, ip);
	if (!names)
		return PLUGIN_NEXT;
	reply_start(r, &w);
	for (size_t at = 0; at < names->len; at = end) {
		struct dns_name n;
		if (!dns_name_read((struct str){ (const char *)names->wire, names->len }, at, &n, &end))
			break;
		reply_put(&w, DNS_ANSWER, DNS_PTR, h->ttl, n.wire, n.len);
	}
	reply_finish(r, &w, DNS_NOERROR, true, FROM_HOSTS);
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict hosts_ask(struct request *r, struct plugin_instance *i)
{
	struct hosts_run *run = i->started;
	const struct hosts *h = i->settings;
	const struct hosts_table *t = __atomic_load_n(&run->table, __ATOMIC_ACQUIRE);
	const struct hosts_addresses *a;
	struct dns_writer w;

	/* An address that is not here is the next one's, whatever falls through. */
	if (r->query.type == DNS_PTR)
		return answer_ptr(r, h, t);
	if (!zone_set_match(&h->zones, &r->query.name))
		return PLUGIN_NEXT;
	a = hosts_table_name(t, &r->query.name);
	if (!a && zone_set_match(&h->fall, &r->query.name))
		return PLUGIN_NEXT;
	if (!a) {
		/* A denial would need a SOA, which a hosts file has not: CoreDNS says SERVFAIL as well. */
		request_note(r, "hosts: has no such name, and nothing falls through");
		request_set_rcode(r, DNS_SERVFAIL, FROM_HOSTS);
		return PLUGIN_ANSWERED;
	}
	reply_start(r, &w);
	put_addresses(r, &w, h, a);
	reply_finish(r, &w, DNS_NOERROR, true, FROM_HOSTS);
	return PLUGIN_ANSWERED;
}

/* What the kubernetes plug-in does not know of this zone comes here all the same. */
static bool comes_back(const struct plugin_instance *i, const struct dns_name *zone)
{
	for (size_t k = 0; k < i->block->n_plugins; k++) {
		const struct plugin_instance *other = &i->block->plugins[k];
		struct zone_options o;
		if (strcmp(other->plugin->name, "kubernetes") != 0)
			continue;
		kubernetes_options(other, &o);
		for (size_t f = 0; f < o.n_fallthrough; f++)
			if (dns_name_under(zone, &o.fallthrough[f]))
				return true;
	}
	return false;
}

/* /etc/hosts has the machine's own address: that is no wish to answer for the cluster's. What was written down for us is. */
static bool has_address_in(const struct plugin_instance *i, const struct hosts_table *t, const struct dns_name *zone)
{
	const struct hosts *h = i->settings;

	if (!hosts_table_has_ip(t, zone))
		return false;
	if (!h->default_file || !comes_back(i, zone))
		return true;
	struct hosts_table *written = hosts_table_new(&h->zones, !h->no_reverse);
	hosts_table_read(written, buf_str(&h->inline_text));
	bool has = hosts_table_has_ip(written, zone);
	hosts_table_free(written);
	return has;
}

static bool table_touches(const struct plugin_instance *i, const struct hosts_table *t, const struct dns_name *zone)
{
	const struct hosts *h = i->settings;

	if (hosts_table_has_name(t, zone) || has_address_in(i, t, zone))
		return true;
	return zone_set_overlaps(&h->zones, zone) && !zone_set_match(&h->fall, zone);
}

static bool hosts_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct hosts *h = i->settings;
	struct hosts_run *run = i->started;
	struct err why = { 0 };

	if (!run) { /* only checking: a file that is not here may name anything */
		struct hosts_table *t = make_table(h, &why);
		bool touches = !t || (why.message[0] && !h->default_file) || table_touches(i, t, zone);
		hosts_table_free(t);
		return touches;
	}
	return table_touches(i, run->table, zone);
}

static const struct plugin_property properties[] = {
	{ "fallthrough", "[ZONES…]", "names that are not here go on to the next plug-in; without it they are SERVFAIL" },
	{ "no_reverse", "", "addresses have no names" },
	{ "ttl", "SECONDS", "of the records; 3600 unless given" },
	{ "reload", "DURATION", "how often the file is looked at; 5s unless given, 0s: never again" },
	{ "ADDRESS", "NAMES…", "an entry, as in the file" },
	{ NULL },
};
const struct plugin plugin_hosts = {
	.name = "hosts",
	.args = "[FILE [ZONES…]]",
	.doc = "answers A, AAAA and PTR from a file as /etc/hosts, which it watches, and from the lines in its braces",
	.properties = properties,
	.parse = hosts_parse,
	.free_settings = hosts_free,
	.start = hosts_start,
	.stop = hosts_stop,
	.ask = hosts_ask,
	.touches = hosts_touches,
};
