#include "roles/node/cni_conf.h"

#include "codec/jx.h"

#include <arpa/inet.h>
#include <stdio.h>

#define MTU_MIN 576 /* RFC 791: what every host must accept */
#define MTU_MAX 65535
#define MTU_DEFAULT 1500

const char *const cni_versions[] = { "0.3.0", "0.3.1", "0.4.0", "1.0.0", NULL };

int cni_cidr_parse(const char *text, struct in_addr *ret_base, unsigned *ret_prefix_bits, struct err *e)
{
	struct str bits, ip = str_cut(str_of(text), '/', &bits);
	char ip_text[INET_ADDRSTRLEN];
	struct in_addr base;
	uint64_t n;

	if (ip.len >= sizeof(ip_text) || !bits.ptr || !str_to_u64(bits, 32, &n))
		return err_set(e, ERR_INVALID, "'%.64s' is no IPv4 network", text ? text : "");
	memcpy(ip_text, ip.ptr, ip.len);
	ip_text[ip.len] = '\0';
	if (inet_pton(AF_INET, ip_text, &base) != 1)
		return err_set(e, ERR_INVALID, "'%.64s' is no IPv4 network", text);
	uint32_t mask = n ? ~0u << (32 - n) : 0;
	ret_base->s_addr = htonl(ntohl(base.s_addr) & mask);
	*ret_prefix_bits = (unsigned)n;
	return 0;
}

static bool version_known(const char *v)
{
	for (const char *const *p = cni_versions; *p; p++)
		if (c_eq(*p, v))
			return true;
	return false;
}

static int parse_pod_fields(const json_t *root, struct cni_conf *c, struct err *e)
{
	const char *node_ip = jx_str(root, "nodeIP");
	const char *dir = jx_str(root, "ipamDir");
	int64_t mtu = jx_int(root, "mtu", MTU_DEFAULT);

	if (cni_cidr_parse(jx_str(root, "podCIDR"), &c->range, &c->prefix_bits, e) < 0)
		return err_wrap(e, "podCIDR");
	/* .0 and .1 and the last one are never given out; a /30 has a single pod address left. */
	if (c->prefix_bits < 8 || c->prefix_bits > 30)
		return err_set(e, ERR_INVALID, "podCIDR: /%u is not between /8 and /30",
			       c->prefix_bits);
	if (node_ip && inet_pton(AF_INET, node_ip, &c->node_ip) != 1)
		return err_set(e, ERR_INVALID, "nodeIP: '%.64s' is no IPv4 address", node_ip);
	if (mtu < MTU_MIN || mtu > MTU_MAX)
		return err_set(e, ERR_INVALID, "mtu: %lld is not between %d and %d", (long long)mtu,
			       MTU_MIN, MTU_MAX);
	c->mtu = (uint32_t)mtu;
	if (!dir || dir[0] != '/' || strlen(dir) >= sizeof(c->ipam_dir))
		return err_set(e, ERR_INVALID,
			       "ipamDir: an absolute path under %zu bytes is needed",
			       sizeof(c->ipam_dir));
	snprintf(c->ipam_dir, sizeof(c->ipam_dir), "%s", dir);
	return 0;
}

int cni_conf_parse(struct str text, struct cni_conf *ret_conf, struct err *e)
{
	cleanup(json_decrefp) json_t *root = jx_parse(text, CNI_CONF_BYTES, e);
	const char *version = jx_str_or(root, "cniVersion", "0.1.0");
	struct cni_conf c = { 0 };

	if (!root)
		return -1;
	if (!version_known(version))
		return err_set(e, ERR_NOT_ACCEPTABLE, "incompatible CNI version '%.32s'", version);
	snprintf(c.version, sizeof(c.version), "%s", version);
	if (c_eq(jx_str(root, "type"), "loopback"))
		c.kind = CNI_LOOPBACK;
	else if (parse_pod_fields(root, &c, e) < 0)
		return -1;
	*ret_conf = c;
	return 0;
}

int cni_conf_print(const struct cni_conf *c, struct buf *out)
{
	char range[INET_ADDRSTRLEN], node[INET_ADDRSTRLEN];
	char cidr[INET_ADDRSTRLEN + 4];

	inet_ntop(AF_INET, &c->range, range, sizeof(range));
	inet_ntop(AF_INET, &c->node_ip, node, sizeof(node));
	snprintf(cidr, sizeof(cidr), "%s/%u", range, c->prefix_bits);
	json_t *plugin = json_pack("{s:s, s:s, s:i, s:s}", "type", "portico-cni", "podCIDR", cidr,
				   "mtu", (int)c->mtu, "ipamDir", c->ipam_dir);
	if (c->node_ip.s_addr)
		json_object_set_new(plugin, "nodeIP", json_string(node));
	cleanup(json_decrefp) json_t *list =
		json_pack("{s:s, s:s, s:[o]}", "cniVersion", c->version, "name", "portico",
			  "plugins", plugin);
	return list ? jx_dump(list, out) : -1;
}
