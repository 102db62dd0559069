#include "roles/config.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/jx.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#define CONFIG_FILE_BYTES (64u << 10)

static const struct setting {
	const char *name;
	size_t offset;
	const char *dflt;
	const char *doc;
	const char *alias; /* a second name on the command line, or NULL */
	bool is_switch;	   /* "true" or "false"; alone it means true, as ingress-nginx's do */
} settings[] = {
#define ROW(field, name, dflt, doc, ...) { name, offsetof(struct config, field), dflt, doc, ##__VA_ARGS__ }
	ROW(data_dir, "data-dir", "/var/lib/portico", "State: the store, certificates, images, volumes."),
	ROW(run_dir, "run-dir", "/run/portico", "Sockets and generated configuration; empty after `portico down`."),
	ROW(node_name, "node-name", NULL, "Name of this machine's Node; the host name if not set."),
	ROW(node_ip, "node-ip", NULL, "Address of this machine; the default route's source address if not set."),
	ROW(api_address, "api-address", "0.0.0.0:6443", "Where the API server listens."),
	ROW(cluster_cidr, "cluster-cidr", "10.244.0.0/16", "Pod addresses of all nodes; each node gets a /24."),
	ROW(service_cidr, "service-cidr", "10.96.0.0/12", "ClusterIP addresses."),
	ROW(cluster_domain, "cluster-domain", "cluster.local", "DNS zone of the cluster."),
	ROW(dns_ip, "dns-ip", "10.96.0.10", "ClusterIP of the kube-dns Service."),
	ROW(dns_address, "dns-address", NULL, "Where the DNS role answers; the Corefile's ports on all addresses if not set.", "listen"),
	ROW(corefile, "corefile", NULL, "The DNS role's settings, in CoreDNS' format; kubeadm's if not set."),
	ROW(dns_configmap, "dns-configmap", NULL, "NAMESPACE/NAME of a ConfigMap whose key Corefile holds the DNS role's settings."),
	ROW(dns_admin_address, "dns-admin-address", "127.0.0.1:9154", "Where the DNS role explains answers, and serves metrics and health."),
	ROW(node_local, "node-local", NULL, "Link-local address (169.254.20.10) on which the DNS role answers this node's pods."),
	ROW(node_port_range, "node-port-range", "30000-32767", "Ports that NodePort Services are given."),
	ROW(relaxed_service_names, "relaxed-service-names", "false", "true: names of Services may begin with a digit (KEP-5311).", .is_switch = true),
	ROW(lb_pool, "lb-pool", "198.18.0.0/24", "LoadBalancer addresses: CIDRs and ranges, comma-separated; empty for none."),
	ROW(http_address, "http-address", ":80", "Where the ingress proxy serves HTTP; :PORT is all addresses, of IPv4 and IPv6.", "http"),
	ROW(https_address, "https-address", ":443", "Where the ingress proxy serves HTTPS.", "https"),
	ROW(ingress_admin_address, "ingress-admin-address", "127.0.0.1:10254", "Where the ingress proxy serves metrics and health."),
	ROW(workers, "workers", "0", "Threads of the ingress proxy and of DNS; 0 is one for each CPU, 8 at most."),
	ROW(ingress_class, "ingress-class", "nginx", "Value of kubernetes.io/ingress.class that the ingress proxy serves."),
	ROW(controller_class, "controller-class", "k8s.io/ingress-nginx", "IngressClasses with this spec.controller are the ingress proxy's."),
	ROW(watch_ingress_without_class, "watch-ingress-without-class", NULL, "true: Ingresses without a class are served as well; with --from they are.",
	    .is_switch = true),
	ROW(watch_namespace, "watch-namespace", NULL, "The only namespace whose Ingresses are served; all if not set."),
	ROW(configmap, "configmap", "ingress-nginx/ingress-nginx-controller", "ConfigMap with the ingress proxy's global settings."),
	ROW(tcp_services_configmap, "tcp-services-configmap", NULL, "NAMESPACE/NAME of the ConfigMap with TCP ports to pass on; ingress-nginx/tcp-services if not set."),
	ROW(udp_services_configmap, "udp-services-configmap", NULL, "The same for UDP; ingress-nginx/udp-services if not set."),
	ROW(default_backend_service, "default-backend-service", NULL, "NAMESPACE/NAME of the Service for requests that match nothing; 404 if not set."),
	ROW(default_ssl_certificate, "default-ssl-certificate", NULL, "NAMESPACE/NAME of the Secret for names without a certificate; a self-signed one if not set."),
	ROW(publish_status_address, "publish-status-address", NULL, "Addresses that Ingresses show as theirs, comma-separated."),
	ROW(publish_service, "publish-service", NULL, "NAMESPACE/NAME of the Service whose addresses Ingresses show as theirs."),
	ROW(handover, "handover", NULL, "Name by which an ingress proxy run by hand gives its sockets to the next one."),
	ROW(kubeconfig, "kubeconfig", NULL, "Run a single role against the cluster that this file names; in-cluster: as the ServiceAccount of its pod."),
	ROW(from, "from", NULL, "Run a single role without a cluster, from the manifests in this folder."),
	ROW(log_level, "log-level", "info", "error, warn, info or debug."),
#undef ROW
};

static char **setting_of(const struct config *c, const struct setting *s)
{
	return (char **)((char *)c + s->offset);
}

static const struct setting *setting_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (str_eq_c(name, settings[i].name) || (settings[i].alias && str_eq_c(name, settings[i].alias)))
			return &settings[i];
	return NULL;
}

static void setting_set(struct config *c, const struct setting *s, const char *value)
{
	char **at = setting_of(c, s);

	free(*at);
	*at = xstrdup(value);
}

void config_defaults(struct config *c)
{
	*c = (struct config){ .standalone = true };
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		setting_set(c, &settings[i], settings[i].dflt);
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		free(*setting_of(c, &settings[i]));
	*c = (struct config){ 0 };
}

static bool is_bool(const char *word)
{
	return strcmp(word, "true") == 0 || strcmp(word, "false") == 0;
}

int config_parse_args(struct config *c, int *argc, char **argv, struct err *e)
{
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		struct str value, name;

		if (strncmp(argv[i], "--", 2) != 0) {
			argv[kept++] = argv[i];
			continue;
		}
		name = str_cut(str_of(argv[i] + 2), '=', &value);
		const struct setting *s = setting_find(name);
		if (!s) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!value.ptr && s->is_switch && !is_bool(i + 1 < *argc ? argv[i + 1] : "")) {
			setting_set(c, s, "true");
			continue;
		}
		if (!value.ptr && i + 1 >= *argc)
			return err_set(e, ERR_BAD_REQUEST, "--%s needs a value: %s", s->name, s->doc);
		setting_set(c, s, value.ptr ? value.ptr : argv[++i]);
	}
	*argc = kept;
	argv[kept] = NULL;
	c->standalone = !c->kubeconfig && !c->from;
	return 0;
}

int config_load(struct config *c, const char *path, struct err *e)
{
	struct buf text;

	buf_init(&text, CONFIG_FILE_BYTES);
	json_t *root = file_read(path, &text, e) < 0 ? NULL : jx_parse(buf_str(&text), CONFIG_FILE_BYTES, e);
	buf_done(&text);
	if (!root)
		return err_wrap(e, "configuration");
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const char *v = json_string_value(json_object_get(root, settings[i].name));
		if (v)
			setting_set(c, &settings[i], v);
	}
	c->standalone = !c->kubeconfig && !c->from;
	json_decref(root);
	return 0;
}

int config_save(const struct config *c, const char *path, struct err *e)
{
	cleanup(json_decrefp) json_t *root = json_object();

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (*setting_of(c, &settings[i]))
			json_object_set_new(root, settings[i].name, json_string(*setting_of(c, &settings[i])));
	cleanup(freep) char *text = jx_dump_text(root);
	return file_write(path, str_of(text), 0644, e);
}

void config_print_help(void)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		printf("  --%-21s %s%s%s%s\n", settings[i].name, settings[i].doc,
		       settings[i].dflt && settings[i].dflt[0] ? " [" : "",
		       settings[i].dflt ? settings[i].dflt : "",
		       settings[i].dflt && settings[i].dflt[0] ? "]" : "");
}

void config_print_names(void)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		printf(" --%s", settings[i].name);
}

/* "a.b.c.d/n" with no bits behind the prefix. */
static bool is_cidr(const char *text)
{
	struct str bits, ip = str_cut(str_of(text), '/', &bits);
	char buf[INET_ADDRSTRLEN];
	struct in_addr a;
	uint64_t n;

	if (ip.len >= sizeof(buf) || !str_to_u64(bits, 32, &n))
		return false;
	memcpy(buf, ip.ptr, ip.len);
	buf[ip.len] = '\0';
	return inet_pton(AF_INET, buf, &a) == 1 && (n == 32 || (ntohl(a.s_addr) << n) == 0);
}

static bool is_ip(const char *text)
{
	struct in_addr a;

	return inet_pton(AF_INET, text, &a) == 1;
}

unsigned config_workers(const struct config *c)
{
	uint64_t n = 0;

	if (str_to_u64(str_of(c->workers), CONFIG_WORKERS_MAX, &n) && n)
		return (unsigned)n;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	return (unsigned)MIN(MAX(cpus, 1), CONFIG_WORKERS_AUTO_MAX);
}

int config_check(const struct config *c, struct err *e)
{
	enum log_level level;
	unsigned from, to;
	uint64_t n;
	char behind;

	if (!is_cidr(c->cluster_cidr))
		return err_set(e, ERR_INVALID, "--cluster-cidr '%s' must be an IPv4 CIDR such as 10.244.0.0/16", c->cluster_cidr);
	if (!is_cidr(c->service_cidr))
		return err_set(e, ERR_INVALID, "--service-cidr '%s' must be an IPv4 CIDR such as 10.96.0.0/12", c->service_cidr);
	if (!is_ip(c->dns_ip))
		return err_set(e, ERR_INVALID, "--dns-ip '%s' must be an IPv4 address within --service-cidr", c->dns_ip);
	if (c->node_ip && !is_ip(c->node_ip))
		return err_set(e, ERR_INVALID, "--node-ip '%s' must be an IPv4 address of this machine", c->node_ip);
	if (sscanf(c->node_port_range, "%5u-%5u%c", &from, &to, &behind) != 2 || from < 1 || from > to || to > 65535)
		return err_set(e, ERR_INVALID, "--node-port-range '%s' must be FROM-TO, such as 30000-32767", c->node_port_range);
	if (!str_to_u64(str_of(c->workers), CONFIG_WORKERS_MAX, &n))
		return err_set(e, ERR_INVALID, "--workers '%s' must be a number from 0 to %d", c->workers, CONFIG_WORKERS_MAX);
	if (c->watch_ingress_without_class && strcmp(c->watch_ingress_without_class, "true") != 0 &&
	    strcmp(c->watch_ingress_without_class, "false") != 0)
		return err_set(e, ERR_INVALID, "--watch-ingress-without-class '%s' must be true or false", c->watch_ingress_without_class);
	if (strcmp(c->relaxed_service_names, "true") != 0 && strcmp(c->relaxed_service_names, "false") != 0)
		return err_set(e, ERR_INVALID, "--relaxed-service-names '%s' must be true or false", c->relaxed_service_names);
	const struct { const char *name, *value; } objects[] = { { "configmap", c->configmap },
		{ "default-backend-service", c->default_backend_service }, { "default-ssl-certificate", c->default_ssl_certificate },
		{ "publish-service", c->publish_service }, { "tcp-services-configmap", c->tcp_services_configmap },
		{ "udp-services-configmap", c->udp_services_configmap } };
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		if (objects[i].value && !strchr(objects[i].value, '/'))
			return err_set(e, ERR_INVALID, "--%s '%s' must be NAMESPACE/NAME", objects[i].name, objects[i].value);
	if (c->kubeconfig && c->from)
		return err_set(e, ERR_INVALID, "--from and --kubeconfig are two sources of objects: give one");
	if (!log_level_parse(c->log_level, &level))
		return err_set(e, ERR_INVALID, "--log-level '%s' must be error, warn, info or debug", c->log_level);
	return 0;
}
