/* A Corefile with all that plug-ins read of it, but no files to import; then what is asked of it. */
#include "roles/dns/config/config_int.h"

static void ignore(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static void ask(const struct dns_config *c, const char *text)
{
	const struct dns_block *b;
	struct dns_name name;

	if (!dns_name_from_text(str_of(text), &name))
		abort();
	b = dns_config_block(c, DNS_PLAIN, DNS_PORT, &name);
	for (size_t i = 0; b && i < b->n_zones; i++)
		if (dns_name_under(&name, &b->zones[i]))
			return;
	if (b)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const own_ips[] = { "10.96.0.10", NULL };
	static const struct plugin_scope scope = {
		.cluster_domain = "cluster.local", .resolv_conf = "/dev/null", .own_ips = own_ips, .upstream_port = DNS_PORT,
	};
	const struct plugin_instance *obstacle;
	struct err e = { 0 };
	struct dns_config *c = dns_config_parse_in((struct str){ (const char *)data, size }, "Corefile", NULL, &scope, &e);

	if (!c) {
		if (strncmp(e.message, "Corefile:", 9) != 0)
			abort();
		return 0;
	}
	dns_config_warnings(c, ignore, NULL);
	for (size_t i = 0; i < c->n_blocks; i++)
		if (dns_block_is_direct(&c->blocks[i], &obstacle) && obstacle)
			abort();
	ask(c, ".");
	ask(c, "web.default.svc.cluster.local");
	ask(c, "4.3.2.10.in-addr.arpa");
	dns_config_free(c);
	return 0;
}
