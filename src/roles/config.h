/* config.h - the settings of one portico, shared by its commands and roles.
 *
 * A setting is a row in config.c: name, default and sentence of documentation come from there,
 * and so do `--name value` on the command line, the configuration file and the man page.
 */
#pragma once

#include "base/err.h"

struct config {
	char *data_dir;	     /* state: the store, certificates, images, volumes */
	char *run_dir;	     /* sockets, pid files, generated configuration; gone after `portico down` */
	char *node_name;
	char *node_ip;
	char *api_address;   /* where the API server listens: "0.0.0.0:6443" */
	char *cluster_cidr;  /* pods of all nodes; each node gets a /24 */
	char *service_cidr;  /* ClusterIPs */
	char *cluster_domain;
	char *dns_ip;	     /* ClusterIP of kube-system/kube-dns */
	char *dns_address, *corefile, *dns_configmap, *dns_admin_address, *node_local; /* of the DNS role; NULL: not given */
	char *node_port_range; /* "30000-32767" */
	char *relaxed_service_names; /* "true" or "false" */
	char *lb_pool;	     /* LoadBalancer addresses: CIDRs and ranges, comma-separated; may be empty */
	char *http_address, *https_address; /* the ingress proxy's; also --http, --https. As addr_parse_pair has them */
	char *ingress_admin_address; /* where it serves metrics and health */
	char *workers;	     /* of the ingress proxy and of DNS: threads; "0": see config_workers() */
	char *kubeconfig;    /* for a role that is run against another cluster; NULL in standalone */
	/* The ingress proxy's, by ingress-nginx's names and with its meaning; NULL: not given */
	char *ingress_class, *controller_class, *watch_namespace, *watch_ingress_without_class, *configmap;
	char *default_backend_service, *default_ssl_certificate, *publish_status_address, *publish_service;
	char *tcp_services_configmap, *udp_services_configmap;
	char *handover;	     /* of the ingress proxy: see roles/ingress/handover.h; NULL: none */
	char *from;	     /* for a role that is run without a cluster: a folder of manifests; NULL otherwise */
	char *log_level;
	bool standalone;     /* roles create what a cluster's add-ons would (kube-dns Service, IngressClass) */
};
void config_defaults(struct config *c);
void config_done(struct config *c);
/* Consumes "--name value" and "--name=value" from argv; what is left stays, in order, and *argc shrinks. */
int config_parse_args(struct config *c, int *argc, char **argv, struct err *e) must_check;
int config_load(struct config *c, const char *path, struct err *e) must_check; /* JSON, written by config_save */
int config_save(const struct config *c, const char *path, struct err *e) must_check;
void config_print_help(void);
void config_print_names(void); /* " --data-dir --run-dir …", for shell completion */
#define CONFIG_WORKERS_MAX 128 /* --workers: more threads than this want several processes */
#define CONFIG_WORKERS_AUTO_MAX 8 /* what 0 means on a machine with more CPUs: the rest belongs to the pods */
#define CONFIG_DNS_SOCKETS_MAX 8 /* UDP sockets that the supervisor opens for DNS' threads */
unsigned config_workers(const struct config *c); /* how many threads `workers` asks for: at least 1 */
int config_check(const struct config *c, struct err *e) must_check; /* names the setting and the way out */
