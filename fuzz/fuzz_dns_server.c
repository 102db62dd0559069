/* The whole server: a question's bytes through a worker with every plug-in, an upstream's bytes where forward would be. */
#include "codec/dns_edns.h"
#include "kube/client/client.h"
#include "roles/config.h"
#include "roles/dns/config/config.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/resolve/wire.h"
#include "roles/dns/serve/request_int.h"
#include "roles/dns/serve/server.h"
#include "roles/dns/zone/cluster.h"

#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <unistd.h>

#define TURN_INPUTS 64

extern const struct plugin plugin_whoami; /* the last one of each block: `upstream` is put in its place */

static const char objects[] =
	"{kind: Namespace, apiVersion: v1, metadata: {name: d}}\n---\n"
	"{kind: Service, apiVersion: v1, metadata: {name: w, namespace: d}, spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'],"
	" ports: [{name: h, port: 80}]}}\n---\n"
	"{kind: Service, apiVersion: v1, metadata: {name: e, namespace: d}, spec: {type: ExternalName, externalName: x.y}}\n---\n"
	"{kind: Service, apiVersion: v1, metadata: {name: l, namespace: d}, spec: {type: ExternalName, externalName: l.d.svc.c}}\n---\n"
	"{kind: Service, apiVersion: v1, metadata: {name: h, namespace: d}, spec: {clusterIP: None, ports: [{name: h, port: 80}]}}\n---\n"
	"{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: h1, namespace: d, labels: {kubernetes.io/service-name: h}},"
	" addressType: IPv4, ports: [{name: h, port: 8, protocol: TCP}], endpoints: [%s]}\n---\n"
	"{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: d}, status: {podIP: 192.0.2.1, podIPs: [{ip: 192.0.2.1}]}}\n";

static const char corefile[] =
	".:53 {\n kubernetes c in-addr.arpa ip6.arpa {\n pods insecure\n fallthrough in-addr.arpa ip6.arpa\n }\n cache 30\n whoami\n}\n"
	".:54 {\n cookies\n nsid fuzz\n bufsize 700\n local\n dns64 {\n allow_ipv4\n }\n any\n chaos v a\n loadbalance\n"
	" rewrite continue name suffix .s .c answer auto\n rewrite name regex (.)x\\.(.*) {1}.{2} answer auto\n rewrite type MX A\n"
	" rewrite ttl suffix . 5-10\n rewrite cname suffix y z\n rewrite rcode suffix n NXDOMAIN NOERROR\n"
	" autopath @kubernetes\n acl t {\n block type TXT net *\n filter type A net 10.0.0.0/8\n drop type MX net *\n }\n"
	" cache 30 {\n serve_stale 1h verify\n prefetch 1\n }\n header {\n response set aa\n }\n minimal\n"
	" template IN ANY t {\n match (?P<a>.*)[.]t[.]$\n answer \"{{ .Name }} 60 IN TXT {{ .Group.a }} {{ .Type }}\"\n fallthrough\n }\n"
	" hosts {\n 10.0.0.9 host.x host2.x\n fd00::9 host.x\n fallthrough\n }\n"
	" kubernetes c in-addr.arpa ip6.arpa {\n pods verified\n fallthrough\n }\n whoami\n}\n"
	".:55 {\n cookies {\n require\n }\n rrl {\n responses-per-second 5\n slip-ratio 2\n }\n ratelimit 1000 {\n action truncate\n }\n"
	" kubernetes c {\n pods disabled\n }\n cache {\n servfail 5s\n }\n whoami\n}\n";

static struct dns_shared shared;
static struct dns_worker *worker;
static struct loop *loop;
static char dir[] = "/tmp/fuzz-dns-server-XXXXXX", file[64];

/* What this input says. */
static struct {
	struct str upstream; /* its records, behind a header of 12 bytes */
	bool late;
	struct request *waiting[REQUEST_CHILDREN_MAX + 2];
	size_t n_waiting;
	uint8_t answer[DNS_MESSAGE_BYTES_MAX];
	size_t len, n_answers, n_kept;
} now;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the upstream ---- */

static void upstream_answer(struct request *r)
{
	static uint8_t in[DNS_MESSAGE_BYTES_MAX], out[DNS_MESSAGE_BYTES_MAX];
	static const struct dns_name root = { .len = 1 };
	struct str u = now.upstream;
	struct upstream_query sent;
	struct dns_message m;
	size_t len = 0;

	upstream_query_write(&sent, &r->query, 1, false, NULL);
	if (u.len >= DNS_HEADER_BYTES && sent.len + u.len < sizeof(in)) {
		memcpy(in, sent.framed + 2, sent.len);
		in[2] = 0x80 | (u.ptr[2] & 7);
		in[3] = (uint8_t)u.ptr[3];
		memcpy(in + 6, u.ptr + 6, 6);
		memcpy(in + sent.len, u.ptr + DNS_HEADER_BYTES, u.len - DNS_HEADER_BYTES);
		struct str bytes = { (char *)in, sent.len + u.len - DNS_HEADER_BYTES };
		if (upstream_reply_check(&sent, bytes, &m) == REPLY_OURS)
			len = upstream_reply_clean(&r->query, &root, &m, out);
	}
	if (!len) {
		request_set_rcode(r, DNS_SERVFAIL, FROM_UPSTREAM);
		return;
	}
	request_set_answer(r, out, len, FROM_UPSTREAM);
	r->upstream = r->client.addr;
}

static enum plugin_verdict upstream_ask(struct request *r, struct plugin_instance *i)
{
	(void)i;
	if (now.late && now.n_waiting < ARRAY_LEN(now.waiting)) {
		now.waiting[now.n_waiting++] = r;
		return PLUGIN_LATER;
	}
	upstream_answer(r);
	return PLUGIN_ANSWERED;
}

static bool touches_nothing(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i, (void)zone;
	return false;
}

static const struct plugin upstream = { .name = "upstream", .ask = upstream_ask, .touches = touches_nothing };

/* ---- the role, by hand ---- */

static void stop(void *ctx)
{
	loop_stop(ctx);
}

/* So that time goes on: what is kept expires, and who asked too much may ask again. */
static void stop_timer(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

static void turn(void)
{
	static struct timer t = { .fire = stop_timer };

	timer_start(loop, &t, 0);
	loop_run(loop);
}

static void write_objects(void)
{
	char endpoints[8192] = "";
	size_t n = 0;

	for (int i = 1; i <= 90; i++)
		n += (size_t)snprintf(endpoints + n, sizeof(endpoints) - n, "%s{addresses: [10.1.0.%d], conditions: {ready: true}}", i > 1 ? "," : "", i);
	snprintf(file, sizeof(file), "%s/all.yaml", dir);
	FILE *f = fopen(file, "w");
	must(f);
	fprintf(f, objects, endpoints);
	fclose(f);
}

static void publish(const struct plugin_scope *scope)
{
	struct err e = { 0 };
	struct dns_config *c = dns_config_parse(str_of(corefile), "Corefile", scope, &e);

	if (!c)
		fprintf(stderr, "%s\n", e.message);
	must(c);
	for (size_t b = 0; b < c->n_blocks; b++) {
		struct plugin_instance *last = &c->blocks[b].plugins[c->blocks[b].n_plugins - 1];
		must(last->plugin == &plugin_whoami);
		last->plugin = &upstream;
	}
	must(dns_config_start(&shared, c, &e) == 0);
	dns_config_use(&shared, c);
}

static void end(void)
{
	struct dns_config *c = shared.config;

	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t n = 0; n < c->blocks[b].n_plugins; n++) {
			struct plugin_instance *i = &c->blocks[b].plugins[n];
			if (i->worker_states[0])
				i->plugin->worker_stop(i, worker, i->worker_states[0]);
			if (i->started && i->plugin->stop)
				i->plugin->stop(i, &shared);
			free(i->worker_states);
		}
	for (size_t b = 0; b < c->n_blocks; b++) {
		free(c->blocks[b].guards);
		free(c->blocks[b].leaves);
	}
	dns_config_free(c);
	requests_done(worker);
	free(worker);
	cluster_free(shared.cluster);
	kube_client_free(shared.kube);
	dns_metrics_free(shared.metrics);
	loop_free(loop);
	unlink(file);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct config settings;
	static const char *const zones[] = { ".", NULL };
	const struct plugin_scope scope = {
		.cluster_domain = "c", .resolv_conf = "/dev/null", .block_zones = zones, .shared = &shared, .upstream_port = DNS_PORT,
	};
	struct err e;

	(void)argc, (void)argv;
	must(mkdtemp(dir) != NULL);
	write_objects();
	loop = loop_new(&e);
	worker = xcalloc(1, sizeof(*worker));
	list_init(&worker->free_requests);
	worker->loop = shared.main_loop = loop;
	worker->shared = &shared;
	shared.settings = &settings;
	shared.workers = &worker;
	shared.n_workers = 1;
	shared.metrics = dns_metrics_new(1);
	worker->metrics = dns_metrics_shard(shared.metrics, 0);
	shared.kube = kube_client_from_files(loop, dir, &e);
	must(shared.kube);
	/* The zone's tables hold pointers in a form that leak checkers do not see; libFuzzer lets them look between inputs, too. */
	__lsan_disable();
	shared.cluster = cluster_new(loop, shared.kube, NULL);
	publish(&scope);
	cluster_on_synced(shared.cluster, stop, loop);
	loop_run(loop);
	__lsan_enable();
	for (size_t b = 0; b < shared.config->n_blocks; b++)
		dns_block_find_direct(&shared.config->blocks[b]);
	atexit(end);
	return 0;
}

/* ---- a question ---- */

static void *keep(void *ctx)
{
	now.n_kept++;
	return ctx;
}

static void answer(void *kept, struct str bytes)
{
	(void)kept;
	must(bytes.len <= sizeof(now.answer));
	if (bytes.len)
		memcpy(now.answer, bytes.ptr, bytes.len);
	now.len = bytes.len;
	now.n_answers++;
}

static uint16_t be16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static void check_answer(struct str in, const uint8_t *out, size_t len, bool udp)
{
	struct dns_query q = { 0 };
	int parsed = dns_query_parse(in, &q);
	struct dns_message m;
	bool opt = false;

	must(parsed >= 0 && len >= DNS_HEADER_BYTES);
	must(be16(out) == q.id && be16(out + 2) & DNS_FLAG_QR);
	must((be16(out + 2) & DNS_FLAGS_OPCODE) == (q.flags & DNS_FLAGS_OPCODE));
	must(!udp || len <= (parsed == 0 || q.edns ? q.udp_bytes : DNS_UDP_BYTES_MIN));
	if (!be16(out + 4)) {
		must(parsed > 0 && !be16(out + 6) && !be16(out + 8));
		return;
	}
	must(dns_message_parse((struct str){ (char *)out, len }, &m));
	must(q.question.len && memcmp(out + DNS_HEADER_BYTES, q.question.ptr, q.question.len) == 0);
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);) {
		must(!(r.type == DNS_OPT && (opt || r.section != DNS_ADDITIONAL)));
		opt = opt || r.type == DNS_OPT;
		must(r.type != DNS_OPT || dns_edns_valid((struct str){ (char *)out + r.rdata_at, r.rdata_len }));
	}
	must(opt == q.edns);
}

static void ask(struct str in, uint8_t how)
{
	static uint8_t out[DNS_MESSAGE_BYTES_MAX];
	static const uint16_t ports[] = { 53, 54, 55, 54 };
	static const char *const ips[] = { "192.0.2.1", "2001:db8::1" };
	const struct dns_entrance en = { DNS_PLAIN, ports[how >> 3 & 3] };
	const struct dns_asker asker = { NULL, keep, answer };
	struct dns_client c = { .proto = how & 3 ? DNS_TCP : DNS_UDP };
	struct err e;
	ssize_t n;

	must(addr_from_ip(ips[how >> 2 & 1], 4242, &c.addr, &e) == 0);
	now.late = how & 0x20;
	now.len = now.n_answers = now.n_kept = now.n_waiting = 0;
	/* As from a socket: gone when the call is over. */
	char *lent = xmalloc(MAX(in.len, (size_t)1));
	if (in.len)
		memcpy(lent, in.ptr, in.len);
	n = dns_server_ask(worker, &en, &c, (struct str){ lent, in.len }, out, c.proto == DNS_UDP ? DNS_UDP_BYTES_MAX : sizeof(out), &asker);
	memset(lent, 0xa5, in.len);
	free(lent);
	while (now.n_waiting) {
		struct request *r = now.waiting[--now.n_waiting];
		upstream_answer(r);
		request_resume(r, PLUGIN_ANSWERED);
	}
	must(now.n_answers <= 1 && worker->n_requests == 0);
	if (n > 0)
		check_answer(in, out, (size_t)n, c.proto == DNS_UDP);
	else if (n == DNS_LATER && now.len)
		check_answer(in, now.answer, now.len, c.proto == DNS_UDP);
}

/* How, the question's length, the question, and what the upstream says. The question is asked twice: of the cache as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned inputs;

	if (size < 3 || size > DNS_MESSAGE_BYTES_MAX)
		return 0;
	if (++inputs % TURN_INPUTS == 0)
		turn();
	size_t n = MIN((size_t)data[1] << 1, size - 2);
	struct str in = { (const char *)data + 2, n };
	now.upstream = (struct str){ (const char *)data + 2 + n, size - 2 - n };
	ask(in, data[0]);
	ask(in, data[0] ^ 0x20);
	return 0;
}
