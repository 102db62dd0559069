#include "roles/node/cni.h"

#include "codec/jx.h"
#include "roles/node/cni_conf.h"
#include "roles/node/cni_ipam.h"
#include "roles/node/cni_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Error codes of the CNI specification, section 5. */
enum {
	CNI_ERR_VERSION = 1,
	CNI_ERR_UNKNOWN_CONTAINER = 3,
	CNI_ERR_ENV = 4,
	CNI_ERR_IO = 5,
	CNI_ERR_DECODE = 6,
	CNI_ERR_CONF = 7,
	CNI_ERR_TRY_LATER = 11,
	CNI_ERR_OTHER = 100,
};

static const struct {
	enum err_reason reason;
	int code;
} error_codes[] = {
	{ ERR_BAD_REQUEST, CNI_ERR_DECODE },	 { ERR_NOT_ACCEPTABLE, CNI_ERR_VERSION },
	{ ERR_INVALID, CNI_ERR_CONF },		 { ERR_NOT_FOUND, CNI_ERR_UNKNOWN_CONTAINER },
	{ ERR_METHOD_NOT_ALLOWED, CNI_ERR_ENV }, { ERR_UNAVAILABLE, CNI_ERR_TRY_LATER },
	{ ERR_TOO_LARGE, CNI_ERR_DECODE },
};

struct request {
	const char *container_id, *netns, *ifname;
	struct cni_conf conf;
};

static void print_json(json_t *v)
{
	cleanup(freep) char *text = jx_dump_text(v);

	puts(text);
	json_decref(v);
}

static int fail(const struct request *r, const struct err *e)
{
	int code = e->sys_errno ? CNI_ERR_IO : CNI_ERR_OTHER;

	for (size_t i = 0; i < ARRAY_LEN(error_codes); i++)
		if (error_codes[i].reason == e->reason)
			code = error_codes[i].code;
	print_json(json_pack("{s:s, s:i, s:s}", "cniVersion",
			     r->conf.version[0] ? r->conf.version : "1.0.0", "code", code, "msg",
			     e->message));
	return 1;
}

static void print_result(const struct request *r, const char *host_link, const char *cidr,
			 const char *mac)
{
	json_t *ip = json_pack("{s:s, s:i}", "address", cidr, "interface", host_link ? 1 : 0);
	json_t *interfaces = json_array();

	if (host_link)
		json_array_append_new(interfaces, json_pack("{s:s}", "name", host_link));
	json_array_append_new(interfaces, json_pack("{s:s, s:s, s:s}", "name", r->ifname, "mac",
						    mac, "sandbox", r->netns));
	/* Before 1.0.0 each address names its family. */
	if (strcmp(r->conf.version, "1.0.0") != 0)
		json_object_set_new(ip, "version", json_string("4"));
	print_json(json_pack("{s:s, s:o, s:[o], s:{}}", "cniVersion", r->conf.version, "interfaces",
			     interfaces, "ips", ip, "dns"));
}

static int need(const char *value, const char *name, struct err *e)
{
	return value && value[0] ? 0
				 : err_set(e, ERR_METHOD_NOT_ALLOWED,
					   "required env variable %s is missing", name);
}

static int loopback_add(const struct request *r, struct err *e)
{
	if (need(r->netns, "CNI_NETNS", e) < 0 || pod_loopback_up(r->netns, e) < 0)
		return -1;
	print_result(r, NULL, "127.0.0.1/8", "00:00:00:00:00:00");
	return 0;
}

static int pod_add(const struct request *r, struct err *e)
{
	struct in_addr ip;
	char ip_text[INET_ADDRSTRLEN], cidr[INET_ADDRSTRLEN + 4], mac_text[18], link[IFNAMSIZ];
	uint8_t mac[MAC_BYTES];

	if (need(r->container_id, "CNI_CONTAINERID", e) < 0 || need(r->netns, "CNI_NETNS", e) < 0 ||
	    need(r->ifname, "CNI_IFNAME", e) < 0)
		return -1;
	if (strlen(r->ifname) >= IFNAMSIZ)
		return err_set(e, ERR_METHOD_NOT_ALLOWED,
			       "CNI_IFNAME is longer than an interface name may be");
	if (ipam_take(&r->conf, r->container_id, r->netns, &ip, e) < 0)
		return -1;
	if (pod_link_add(&r->conf, r->container_id, r->netns, r->ifname, ip, e) < 0) {
		struct err second;
		if (ipam_release(&r->conf, r->container_id, &second) < 0)
			err_wrap(e, "%s", second.message);
		return -1;
	}
	pod_link_mac(ip, mac);
	snprintf(mac_text, sizeof(mac_text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
	inet_ntop(AF_INET, &ip, ip_text, sizeof(ip_text));
	snprintf(cidr, sizeof(cidr), "%s/32", ip_text);
	print_result(r, pod_link_name(r->container_id, link), cidr, mac_text);
	return 0;
}

static int add(const struct request *r, struct err *e)
{
	return r->conf.kind == CNI_LOOPBACK ? loopback_add(r, e) : pod_add(r, e);
}

/* Whatever is gone already is success: the runtime repeats DEL until it is. */
static int del(const struct request *r, struct err *e)
{
	if (r->conf.kind == CNI_LOOPBACK)
		return 0;
	if (need(r->container_id, "CNI_CONTAINERID", e) < 0)
		return -1;
	int rc = pod_link_del(r->container_id, e);
	return ipam_release(&r->conf, r->container_id, e) < 0 ? -1 : rc;
}

static int check(const struct request *r, struct err *e)
{
	struct in_addr ip;
	char link[IFNAMSIZ];

	if (r->conf.kind == CNI_LOOPBACK)
		return 0;
	if (need(r->container_id, "CNI_CONTAINERID", e) < 0 ||
	    ipam_find(&r->conf, r->container_id, &ip, e) < 0)
		return -1;
	if (!if_nametoindex(pod_link_name(r->container_id, link)))
		return err_set(e, ERR_NOT_FOUND, "interface '%s' is missing", link);
	return 0;
}

static int version(void)
{
	json_t *versions = json_array();

	for (const char *const *v = cni_versions; *v; v++)
		json_array_append_new(versions, json_string(*v));
	print_json(json_pack("{s:s, s:o}", "cniVersion", "1.0.0", "supportedVersions", versions));
	return 0;
}

static int read_conf(struct cni_conf *ret_conf, struct err *e)
{
	struct buf text;
	char chunk[4096];
	ssize_t n;
	int rc = 0;

	buf_init(&text, CNI_CONF_BYTES);
	while (rc == 0 && (n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0)
		if ((n == -1 && errno != EINTR) || (n > 0 && buf_put(&text, chunk, (size_t)n) < 0))
			rc = err_set(e, ERR_TOO_LARGE, "cannot read the network configuration");
	if (rc == 0)
		rc = cni_conf_parse(buf_str(&text), ret_conf, e);
	buf_done(&text);
	return rc;
}

static const struct {
	const char *name;
	int (*run)(const struct request *r, struct err *e);
} commands[] = { { "ADD", add }, { "DEL", del }, { "CHECK", check } };

int cni_main(void)
{
	const char *command = getenv("CNI_COMMAND");
	struct request r = { .container_id = getenv("CNI_CONTAINERID"),
			     .netns = getenv("CNI_NETNS"),
			     .ifname = getenv("CNI_IFNAME") };
	struct err e = { 0 };

	if (c_eq(command, "VERSION"))
		return version();
	if (read_conf(&r.conf, &e) < 0)
		return fail(&r, &e);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (c_eq(command, commands[i].name))
			return commands[i].run(&r, &e) < 0 ? fail(&r, &e) : 0;
	err_set(&e, ERR_METHOD_NOT_ALLOWED, "CNI_COMMAND '%.32s' is unknown",
		command ? command : "");
	return fail(&r, &e);
}
