#include "roles/node/host_net.h"

#include "base/buf.h"
#include "roles/node/cni_link.h"
#include "roles/node/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define RULES_BYTES 4096
#define LISTING_BYTES (4u << 20) /* a FORWARD chain with thousands of rules of others */
#define MTU_DEFAULT 1500
#define COMMENT "portico pods"

static const char *const nft_stdin[] = { "nft", "-f", "-", NULL };

static int write_sysctl(const char *path, const char *value, struct err *e)
{
	cleanup(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, value, strlen(value)) == -1)
		return err_errno(e, errno, "write '%s'", path);
	return 0;
}

/* A chain "FORWARD" of iptables whose policy or rules drop (Docker's do) judges pods' packets, too:
 * it has to be told. Without such a chain there is nothing to do. */
static void forward_listing(struct buf *out)
{
	static const char *const list[] = { "nft", "-a",     "list",	"chain",
					    "ip",  "filter", "FORWARD", NULL };
	struct err none;

	if (program_run(list, STR_NONE, out, &none) < 0)
		buf_clear(out);
}

static int forward_accept(struct err *e)
{
	static const char rules[] = "insert rule ip filter FORWARD iifname \"" POD_LINK_PREFIX
				    "*\" counter accept comment \"" COMMENT "\"\n"
				    "insert rule ip filter FORWARD oifname \"" POD_LINK_PREFIX
				    "*\" counter accept comment \"" COMMENT "\"\n";
	struct buf listing;
	int rc = 0;

	buf_init(&listing, LISTING_BYTES);
	forward_listing(&listing);
	if (listing.len && !strstr(listing.ptr, COMMENT))
		rc = program_run(nft_stdin, str_of(rules), NULL, e);
	buf_done(&listing);
	return rc;
}

int host_net_setup(const struct host_net *h, struct err *e)
{
	struct buf rules;

	if (write_sysctl("/proc/sys/net/ipv4/ip_forward", "1", e) < 0)
		return -1;
	buf_init(&rules, RULES_BYTES);
	/* Declared and deleted first: the file then replaces whatever an earlier run left, in one
	 * transaction. */
	buf_printf(&rules,
		   "table ip portico\ndelete table ip portico\ntable ip portico {\n"
		   "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy "
		   "accept;\n"
		   "\t\tip saddr %s ip daddr != %s ip daddr != 224.0.0.0/4 counter "
		   "masquerade\n\t}\n}\n",
		   h->pod_cidr, h->cluster_cidr);
	int rc = program_run(nft_stdin, buf_str(&rules), NULL, e);
	buf_done(&rules);
	return rc < 0 ? err_wrap(e, "masquerade") : forward_accept(e);
}

/* Deletes our rules from the FORWARD chain of others: the listing has "… comment "portico pods" #
 * handle N". */
static int forward_forget(struct err *e)
{
	struct buf listing, rules;
	int rc = 0;

	buf_init(&listing, LISTING_BYTES);
	buf_init(&rules, RULES_BYTES);
	forward_listing(&listing);
	for (struct str rest = buf_str(&listing); rest.ptr && rest.len;) {
		struct str line = str_cut(rest, '\n', &rest);
		cleanup(freep) char *text = str_dup(line);
		const char *handle = strstr(text, "# handle ");
		if (strstr(text, COMMENT) && handle)
			buf_printf(&rules, "delete rule ip filter FORWARD handle %s\n", handle + 9);
	}
	if (rules.len)
		rc = program_run(nft_stdin, buf_str(&rules), NULL, e);
	buf_done(&listing);
	buf_done(&rules);
	return rc;
}

int host_net_teardown(struct err *e)
{
	int rc =
		program_run(nft_stdin, STR("table ip portico\ndelete table ip portico\n"), NULL, e);

	return forward_forget(e) < 0 ? -1 : rc;
}

/* /proc/net/route: the line whose destination and mask are zero. */
static bool default_link(char out[IFNAMSIZ])
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], name[64];
	unsigned long dst, gateway, mask;
	unsigned flags;
	int refs, use, metric;
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %lx %lx %x %d %d %d %lx", name, &dst, &gateway, &flags,
			   &refs, &use, &metric, &mask) != 8)
			continue;
		found = dst == 0 && mask == 0;
		snprintf(out, IFNAMSIZ, "%.15s", name);
	}
	if (f)
		fclose(f);
	return found;
}

unsigned host_net_mtu(void)
{
	char link[IFNAMSIZ];
	unsigned mtu = MTU_DEFAULT;

	if (!default_link(link))
		return MTU_DEFAULT;
	cleanup(freep) char *path = xasprintf("/sys/class/net/%s/mtu", link);
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%u", &mtu) != 1)
		mtu = MTU_DEFAULT;
	if (f)
		fclose(f);
	return mtu;
}
