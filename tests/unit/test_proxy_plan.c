/* Which frontends and backends a Service wants: traffic policies, terminating endpoints, named ports. */
#include "roles/proxy/plan.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PORTS "\"ports\":[{\"name\":\"web\",\"port\":8080,\"protocol\":\"TCP\"},{\"name\":\"dns\",\"port\":5353,\"protocol\":\"UDP\"}]"
#define EP(ip, rest) "{\"addresses\":[\"" ip "\"]" rest "}"
#define HERE ",\"nodeName\":\"n1\""
#define AWAY ",\"nodeName\":\"n2\""
#define NOT_READY ",\"conditions\":{\"ready\":false}"
#define ENDING ",\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}"
#define WEB "\"ports\":[{\"name\":\"web\",\"port\":80}]"

static json_t *parse(const char *text)
{
	struct err e;
	json_t *v = jx_parse(str_of(text), 1 << 20, &e);

	assert_non_null(v);
	return v;
}

static struct service *service_of(const char *type, const char *spec, const char *status)
{
	char *text = xasprintf("{\"metadata\":{\"namespace\":\"d\",\"name\":\"s\"},\"spec\":{\"type\":\"%s\","
			       "\"clusterIP\":\"10.96.0.9\",%s},\"status\":{%s}}", type, spec, status);
	json_t *v = parse(text);
	struct service *s = model_service_parse(v);

	json_decref(v);
	free(text);
	return s;
}

static struct slice *slice_of(const char *endpoints)
{
	char *text = xasprintf("{\"metadata\":{\"namespace\":\"d\",\"name\":\"s-1\",\"labels\":{\"kubernetes.io/service-name\":"
			       "\"s\"}},\"addressType\":\"IPv4\"," PORTS ",\"endpoints\":[%s]}", endpoints);
	json_t *v = parse(text);
	struct slice *s = model_slice_parse(v, "n1");

	json_decref(v);
	free(text);
	assert_non_null(s);
	return s;
}

/* "10.96.0.9:80/6[f0] 10.0.0.1:8080 10.0.0.2:8080;…" */
static void plan_text(const struct plan *p, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < p->n_frontends; i++) {
		const struct plan_frontend *f = &p->frontends[i];
		struct in_addr a = { f->key.addr };

		if (f->flags & SVC_ADDRESS)
			continue;
		n += snprintf(out + n, size - n, "%s:%d/%d[%x]", inet_ntoa(a), ntohs(f->key.port), f->key.proto, f->flags);
		for (size_t k = 0; k < p->lists[f->list].n; k++) {
			struct in_addr b = { p->lists[f->list].at[k].addr };
			n += snprintf(out + n, size - n, " %s:%d", inet_ntoa(b), ntohs(p->lists[f->list].at[k].port));
		}
		n += snprintf(out + n, size - n, ";");
	}
}

static void plans(void **state)
{
	static const struct {
		const char *name, *type, *spec, *status, *endpoints, *want;
	} rows[] = {
		{ "ClusterIP", "ClusterIP", WEB, "", EP("10.0.0.2", HERE) "," EP("10.0.0.1", AWAY),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080 10.0.0.2:8080;" },
		{ "only ready ones", "ClusterIP", WEB, "", EP("10.0.0.1", NOT_READY) "," EP("10.0.0.2", ""),
		  "10.96.0.9:80/6[0] 10.0.0.2:8080;" },
		{ "terminating ones give way", "ClusterIP", WEB, "", EP("10.0.0.1", ENDING) "," EP("10.0.0.2", ""),
		  "10.96.0.9:80/6[0] 10.0.0.2:8080;" },
		{ "terminating ones, if nothing is ready", "ClusterIP", WEB, "",
		  EP("10.0.0.1", ENDING) "," EP("10.0.0.2", NOT_READY), "10.96.0.9:80/6[0] 10.0.0.1:8080;" },
		{ "nothing", "ClusterIP", WEB, "", EP("10.0.0.1", NOT_READY), "10.96.0.9:80/6[0];" },
		{ "the same endpoint twice", "ClusterIP", WEB, "", EP("10.0.0.1", "") "," EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;" },
		{ "ports by name and protocol", "ClusterIP",
		  "\"ports\":[{\"name\":\"web\",\"port\":80},{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\"},"
		  "{\"name\":\"other\",\"port\":81},{\"name\":\"sctp\",\"port\":82,\"protocol\":\"SCTP\"}]", "",
		  EP("10.0.0.1", ""), "10.96.0.9:80/6[0] 10.0.0.1:8080;10.96.0.9:53/17[0] 10.0.0.1:5353;10.96.0.9:81/6[0];" },
		{ "NodePort", "NodePort", "\"ports\":[{\"name\":\"web\",\"port\":80,\"nodePort\":30000}]", "", EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;0.0.0.0:30000/6[1] 10.0.0.1:8080;" },
		{ "a nodePort of a ClusterIP Service counts for nothing", "ClusterIP",
		  "\"ports\":[{\"name\":\"web\",\"port\":80,\"nodePort\":30000}]", "", EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;" },
		{ "LoadBalancer", "LoadBalancer", WEB ",\"externalIPs\":[\"192.0.2.7\"]",
		  "\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.18.0.1\"},{\"ip\":\"198.18.0.2\",\"ipMode\":\"Proxy\"},"
		  "{\"hostname\":\"x\"}]}", EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;192.0.2.7:80/6[1] 10.0.0.1:8080;198.18.0.1:80/6[1] 10.0.0.1:8080;" },
		{ "a stale status of a ClusterIP Service", "ClusterIP", WEB,
		  "\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.18.0.1\"}]}", EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;" },
		{ "external policy Local", "NodePort",
		  "\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"name\":\"web\",\"port\":80,\"nodePort\":30000}]", "",
		  EP("10.0.0.1", HERE) "," EP("10.0.0.2", AWAY),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080 10.0.0.2:8080;0.0.0.0:30000/6[3] 10.0.0.1:8080;" },
		{ "external policy Local falls back to local terminating ones", "NodePort",
		  "\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"name\":\"web\",\"port\":80,\"nodePort\":30000}]", "",
		  EP("10.0.0.1", HERE ENDING) "," EP("10.0.0.2", AWAY),
		  "10.96.0.9:80/6[0] 10.0.0.2:8080;0.0.0.0:30000/6[3] 10.0.0.1:8080;" },
		{ "internal policy Local", "ClusterIP", "\"internalTrafficPolicy\":\"Local\"," WEB, "",
		  EP("10.0.0.1", AWAY), "10.96.0.9:80/6[2];" },
		{ "source ranges", "LoadBalancer", WEB ",\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"]",
		  "\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.18.0.1\"}]}", EP("10.0.0.1", ""),
		  "10.96.0.9:80/6[0] 10.0.0.1:8080;198.18.0.1:80/6[5] 10.0.0.1:8080;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct service *s = service_of(rows[i].type, rows[i].spec, rows[i].status);
		struct slice *sl = slice_of(rows[i].endpoints);
		const struct slice *slices[] = { sl };
		struct plan p;
		char text[1024];

		print_message("%s\n", rows[i].name);
		proxy_plan_build(s, slices, 1, &p);
		plan_text(&p, text, sizeof(text));
		assert_string_equal(text, rows[i].want);
		proxy_plan_done(&p);
		model_service_free(s);
		model_slice_free(sl);
	}
}

static void not_served(void **state)
{
	static const char *const rows[] = {
		"{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x\"}}",
		"{\"spec\":{\"clusterIP\":\"None\"}}",
		"{\"spec\":{\"clusterIP\":\"\"}}",
		"{\"spec\":{}}",
		"{}",
		"[]",
		"{\"metadata\":{\"labels\":{\"service.kubernetes.io/service-proxy-name\":\"x\"}},\"spec\":{\"clusterIP\":\"10.0.0.1\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *v = parse(rows[i]);

		assert_null(model_service_parse(v));
		assert_null(model_slice_parse(v, "n1"));
		json_decref(v);
	}
}

/* Wrong types and values out of range are left out, the rest is served. */
static void odd_values(void **state)
{
	struct service *s = service_of("NodePort",
				       "\"clusterIPs\":[\"10.96.0.9\",\"fd00::1\",7],\"externalIPs\":\"x\",\"ports\":[{\"port\":0},"
				       "{\"port\":70000},{\"port\":\"80\"},7,{\"port\":80,\"name\":\"web\",\"nodePort\":-1}]", "");

	(void)state;
	assert_non_null(s);
	assert_int_equal(s->n_ports, 1);
	assert_int_equal(s->ports[0].node_port, 0);
	assert_int_equal(s->cluster_ips.n, 1);
	assert_int_equal(s->external_ips.n, 0);
	model_service_free(s);
}

static void affinity(void **state)
{
	struct service *s = service_of("ClusterIP", "\"sessionAffinity\":\"ClientIP\"," WEB, "");

	(void)state;
	assert_int_equal(s->affinity_s, 10800);
	model_service_free(s);
	s = service_of("ClusterIP", "\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":5}},"
				    WEB, "");
	assert_int_equal(s->affinity_s, 5);
	model_service_free(s);
}

static void ip_ranges(void **state)
{
	static const struct {
		const char *text, *net;
		int len; /* -1: refused */
	} rows[] = {
		{ "10.1.2.3/8", "10.0.0.0", 8 },   { " 10.1.2.3/32 ", "10.1.2.3", 32 }, { "0.0.0.0/0", "0.0.0.0", 0 },
		{ "10.1.2.3", "10.1.2.3", 32 },	   { "10.1.2.3/33", NULL, -1 },	       { "fd00::/8", NULL, -1 },
		{ "10.1.2.3/", NULL, -1 },	   { "", NULL, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_range r;

		assert_int_equal(model_ip_range_parse(rows[i].text, &r), rows[i].len < 0 ? -1 : 0);
		if (rows[i].len < 0)
			continue;
		assert_int_equal(r.prefix_len, rows[i].len);
		assert_int_equal(r.addr, inet_addr(rows[i].net));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),	cmocka_unit_test(not_served), cmocka_unit_test(odd_values),
		cmocka_unit_test(affinity), cmocka_unit_test(ip_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
