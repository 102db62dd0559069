#include "roles/node/dns_config.h"

#include <stdio.h>

#define HOSTNAME_MAX 63

void pod_hostname(const json_t *pod, char out[64])
{
	snprintf(out, HOSTNAME_MAX + 1, "%s", jx_str_or(pod, "spec.hostname", jx_name(pod)));
	/* A host name may not end in a separator after it was cut. */
	for (size_t n = strlen(out); n && (out[n - 1] == '-' || out[n - 1] == '.'); n--)
		out[n - 1] = '\0';
}

static void hosts_print_own(const json_t *pod, const char *ip, const char *domain, struct buf *out)
{
	const char *subdomain = jx_str_or(pod, "spec.subdomain", "");
	char hostname[64];

	pod_hostname(pod, hostname);
	buf_puts(out, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
		      "::1\tlocalhost ip6-localhost "
		      "ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n"
		      "fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
	if (!ip || !ip[0])
		return;
	if (subdomain[0])
		buf_printf(out, "%s\t%s.%s.%s.svc.%s\t%s\n", ip, hostname, subdomain,
			   jx_namespace(pod), domain, hostname);
	else
		buf_printf(out, "%s\t%s\n", ip, hostname);
}

void hosts_file_print(const json_t *pod, const char *pod_ip, const char *cluster_domain,
		      const char *base, struct buf *out)
{
	const json_t *aliases = jx_at(pod, "spec.hostAliases"), *alias, *name;
	size_t i, n;

	if (base)
		buf_printf(out, "# Kubernetes-managed hosts file (host network).\n%s", base);
	else
		hosts_print_own(pod, pod_ip, cluster_domain, out);
	if (json_array_size(aliases))
		buf_puts(out, "\n# Entries added by HostAliases.\n");
	json_array_foreach(aliases, i, alias)
	{
		buf_puts(out, jx_str_or(alias, "ip", ""));
		json_array_foreach(json_object_get(alias, "hostnames"), n, name)
			buf_printf(out, "\t%s", json_string_value(name));
		buf_putc(out, '\n');
	}
}
