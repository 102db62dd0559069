/* Exposition of what belongs to no location: the workers' counters, the process, the controller, certificates. */
#include "roles/ingress/observe/metrics_int.h"

#include "base/version.h"
#include "roles/ingress/upstream/upstream.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const struct counter {
	const char *name, *labels, *help;
} counters[] = {
#define X(id, name, labels, help) { name, labels, help },
	METRIC_MAP(X)
#undef X
};

static void gauge(const struct metrics *m, struct buf *out, const char *type, const char *name, const char *help, double value)
{
	metrics_put_head(out, name, type, help);
	buf_printf(out, "%s{%s} %.15g\n", name, m->labels, value);
}

static void put_counters(const struct metrics *m, struct buf *out)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct counter *c = &counters[i];
		if (c->help)
			metrics_put_head(out, c->name, "counter", c->help);
		buf_printf(out, "%s{%s%s%s} %llu\n", c->name, m->labels, c->labels[0] ? "," : "", c->labels,
			   (unsigned long long)metrics_total(m, i));
	}
}

static void put_connections(const struct metrics *m, struct buf *out)
{
	static const char name[] = "nginx_ingress_controller_nginx_process_connections";
	struct metrics_connections c = metrics_connections(m);
	const struct {
		const char *state;
		uint64_t n;
	} rows[] = {
		/* nginx tells reading from writing; here a connection is busy with a request, or it waits. */
		{ "active", c.active }, { "reading", 0 }, { "writing", c.active - c.waiting }, { "waiting", c.waiting },
	};

	metrics_put_head(out, name, "gauge", "Client connections, by state: active, reading, writing, waiting.");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		buf_printf(out, "%s{%s,state=\"%s\"} %llu\n", name, m->labels, rows[i].state, (unsigned long long)rows[i].n);
}

struct memory {
	double virtual_bytes, resident_bytes;
};

static struct memory memory_now(void)
{
	unsigned long long all = 0, resident = 0;
	double page = (double)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");

	if (f) {
		if (fscanf(f, "%llu %llu", &all, &resident) != 2)
			all = resident = 0;
		fclose(f);
	}
	return (struct memory){ (double)all * page, (double)resident * page };
}

/* ingress-nginx's dashboards find controllers by config_hash: without it they show nothing. */
static void put_controller(const struct metrics *m, struct buf *out)
{
	static const char build[] = "nginx_ingress_controller_build_info";

	metrics_put_head(out, build, "gauge", "Always 1; which program this is.");
	buf_printf(out, "%s{%s,release=\"" PORTICO_VERSION "\",build=\"\",repository=\"portico\"} 1\n", build, m->labels);
	gauge(m, out, "gauge", "nginx_ingress_controller_config_hash", "Another number after each change that was put into effect.",
	      (double)m->applied);
}

static void put_process(const struct metrics *m, struct buf *out)
{
	struct timespec cpu = { 0 };
	struct memory memory = memory_now();

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	gauge(m, out, "gauge", "nginx_ingress_controller_nginx_process_num_procs", "Processes.", 1);
	gauge(m, out, "counter", "nginx_ingress_controller_nginx_process_cpu_seconds_total", "CPU time of the process.",
	      (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	gauge(m, out, "gauge", "nginx_ingress_controller_nginx_process_resident_memory_bytes", "Resident memory of the process.",
	      memory.resident_bytes);
	gauge(m, out, "gauge", "nginx_ingress_controller_nginx_process_virtual_memory_bytes", "Address space of the process.",
	      memory.virtual_bytes);
	gauge(m, out, "gauge", "nginx_ingress_controller_nginx_process_oldest_start_time_seconds", "When the process began.",
	      (double)(m->began_at_ms / 1000));
	put_controller(m, out);
	gauge(m, out, "gauge", "nginx_ingress_controller_config_last_reload_successful",
	      "Whether the last change could be put into effect as a whole.", m->last_ok);
	gauge(m, out, "gauge", "nginx_ingress_controller_config_last_reload_successful_timestamp_seconds",
	      "When a change was last put into effect.", (double)(m->applied_at_ms / 1000));
	gauge(m, out, "counter", "nginx_ingress_controller_success", "Changes put into effect.", (double)m->applied);
	gauge(m, out, "counter", "nginx_ingress_controller_errors", "Changes that could not be put into effect as a whole.",
	      (double)m->failed);
	if (m->routes) {
		gauge(m, out, "gauge", "portico_hosts", "Hosts that are routed.", (double)routes_host_count(m->routes));
		gauge(m, out, "gauge", "portico_locations", "Paths of hosts that are routed.",
		      (double)routes_location_count(m->routes));
	}
}

/* ---- Ingresses that lead nowhere, or that something is wrong with ---- */
struct flagged {
	struct buf *out;
	const char *name, *label, *labels;
	struct map seen; /* "ns/ingress/why": of an Ingress with several paths one line */
};

static void flag(struct flagged *o, struct str ns, struct str ingress, const char *why)
{
	cleanup(freep) char *key = xasprintf(STR_FMT "/" STR_FMT "/%s", STR_ARG(ns), STR_ARG(ingress), why);

	if (map_get_c(&o->seen, key))
		return;
	map_put_c(&o->seen, key, o);
	buf_printf(o->out, "%s{%s,namespace=\"" STR_FMT "\",ingress=\"" STR_FMT "\",%s=\"%s\"} 1\n", o->name, o->labels,
		   STR_ARG(ns), STR_ARG(ingress), o->label, why);
}

static void orphan(struct flagged *o, const struct location *loc, const char *type)
{
	flag(o, str_of(loc->ns), str_of(loc->ingress), type);
}

static void problem(void *ctx, const char *object, const char *reason, const char *message)
{
	struct str ingress, ns = str_cut(str_of(object), '/', &ingress);

	(void)message;
	flag(ctx, ns, ingress.ptr ? ingress : STR(""), reason);
}

static void put_problems(const struct metrics *m, struct buf *out)
{
	struct flagged o = { .out = out, .name = "portico_ingress_problem", .label = "reason", .labels = m->labels };

	if (!m->each_problem)
		return;
	metrics_put_head(out, o.name, "gauge", "1 for an Ingress that something is wrong with, for each reason; the events on it tell more.");
	map_init(&o.seen);
	m->each_problem(m->problems, problem, &o);
	map_done(&o.seen, NULL);
}

static void host_orphans(void *ctx, const struct host *h)
{
	for (size_t i = 0; i < h->n_all; i++) {
		const struct location *loc = h->all[i];
		if (!loc->backend)
			continue;
		if (loc->backend->service_missing)
			orphan(ctx, loc, "no-service");
		else if (backend_endpoints(loc->backend)->n == 0)
			orphan(ctx, loc, "no-endpoint");
	}
}

static void put_orphans(const struct metrics *m, struct buf *out)
{
	struct flagged o = { .out = out, .name = "nginx_ingress_controller_orphan_ingress", .label = "type",
			     .labels = m->labels };

	if (!m->routes)
		return;
	metrics_put_head(out, o.name, "gauge",
	     "1 for an Ingress whose Service does not exist (no-service) or has no endpoint (no-endpoint).");
	map_init(&o.seen);
	routes_each_host(m->routes, host_orphans, &o);
	map_done(&o.seen, NULL);
}

/* ---- certificates ---- */
static void name_text(const X509_NAME *n, int nid, char out[128])
{
	out[0] = '\0';
	X509_NAME_get_text_by_NID((X509_NAME *)n, nid, out, 128);
}

static void cert_labels(const struct metrics *m, struct buf *out, const struct cert_info *c)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(c->cert);
	BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
	char *decimal = bn ? BN_bn2dec(bn) : NULL;

	buf_printf(out, "{%s,", m->labels);
	metrics_put_pair(out, "host", c->host[0] ? c->host : "_");
	metrics_put_pair(out, ",namespace", c->ns ? c->ns : "");
	metrics_put_pair(out, ",secret_name", c->secret ? c->secret : "");
	metrics_put_pair(out, ",identifier", c->host);
	buf_printf(out, ",class=\"k8s.io/ingress-nginx\",serial_number=\"%s\"", decimal ? decimal : "");
	OPENSSL_free(decimal);
	BN_free(bn);
}

static void cert_expiry(const struct metrics *m, struct buf *out, const struct cert_info *c)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(c->cert), &tm) != 1)
		return;
	buf_puts(out, "nginx_ingress_controller_ssl_expire_time_seconds");
	cert_labels(m, out, c);
	buf_printf(out, "} %lld\n", (long long)timegm(&tm));
}

/* As Go's x509.PublicKeyAlgorithm writes it. */
static const char *key_algorithm(X509 *cert)
{
	switch (EVP_PKEY_get_base_id(X509_get0_pubkey(cert))) {
	case EVP_PKEY_RSA:
		return "RSA";
	case EVP_PKEY_EC:
		return "ECDSA";
	case EVP_PKEY_ED25519:
		return "Ed25519";
	default:
		return "0";
	}
}

static void cert_issuer(const struct metrics *m, struct buf *out, const struct cert_info *c)
{
	const X509_NAME *n = X509_get_issuer_name(c->cert);
	char text[128];

	buf_puts(out, "nginx_ingress_controller_ssl_certificate_info");
	cert_labels(m, out, c);
	name_text(n, NID_commonName, text);
	metrics_put_pair(out, ",issuer_common_name", text);
	name_text(n, NID_organizationName, text);
	metrics_put_pair(out, ",issuer_organization", text);
	buf_printf(out, ",public_key_algorithm=\"%s\"} 1\n", key_algorithm(c->cert));
}

bool metrics_put_certs(const struct metrics *m, struct buf *out, bool expiry, uint32_t *next, size_t until)
{
	if (*next == 0 && expiry)
		metrics_put_head(out, "nginx_ingress_controller_ssl_expire_time_seconds", "gauge",
				 "When the certificate served for a name expires, in seconds since 1970.");
	else if (*next == 0)
		metrics_put_head(out, "nginx_ingress_controller_ssl_certificate_info", "gauge",
				 "Always 1: who issued the certificate.");
	for (; *next < m->n_certs; ++*next) {
		if (out->len >= until)
			return false;
		(expiry ? cert_expiry : cert_issuer)(m, out, m->certs[*next]);
	}
	return true;
}

void metrics_put_own(const struct metrics *m, struct buf *out)
{
	put_counters(m, out);
	put_connections(m, out);
	put_process(m, out);
	put_orphans(m, out);
	put_problems(m, out);
}
