/* cni_conf.h - the network configuration that a CNI plugin gets on standard input.
 *
 * The node role writes it (conflist), the runtime hands it to the plugin; both forms are here.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <net/if.h>
#include <netinet/in.h>

#define CNI_CONF_BYTES (64u << 10) /* ours is under 1 KiB; prevResult of a chain may be longer */
#define CNI_PATH_BYTES 256
#define CNI_VERSION_BYTES 16

enum cni_kind { CNI_POD, CNI_LOOPBACK };

struct cni_conf {
	enum cni_kind kind;
	char version[CNI_VERSION_BYTES];
	struct in_addr range; /* first address of the node's podCIDR */
	unsigned prefix_bits;
	struct in_addr
		node_ip; /* source of the host's own traffic to pods; 0 = the kernel's choice */
	uint32_t mtu;
	char ipam_dir[CNI_PATH_BYTES];
};
/* ERR_BAD_REQUEST: no JSON; ERR_NOT_ACCEPTABLE: a version we do not speak; ERR_INVALID: a wrong
 * field. */
int cni_conf_parse(struct str text, struct cni_conf *ret_conf, struct err *e) must_check;
/* The conflist for the runtime's conf_dir. */
int cni_conf_print(const struct cni_conf *c, struct buf *out) must_check;

/* "10.244.3.0/24"; host bits are cleared. */
int cni_cidr_parse(const char *text, struct in_addr *ret_base, unsigned *ret_prefix_bits,
	       struct err *e) must_check;
extern const char *const cni_versions[]; /* NULL-terminated */
