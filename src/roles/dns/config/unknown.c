/* What to do about a directive that is none of ours. */
#include "roles/dns/config/config_int.h"

#include "base/buf.h"

/* CoreDNS' own, and what serves instead. */
static const struct {
	const char *names, *instead;
} hints[] = {
	{ " file auto secondary transfer sign dnssec tsig ", "zone files are not served: forward the zone to a server that has it" },
	{ " etcd route53 azure clouddns nomad ", "names come from the Kubernetes API only: forward the zone to a server that has it" },
	{ " grpc ", "upstreams are asked by forward, over UDP, TCP or TLS (tls://ADDRESS)" },
	{ " grpc_server https https3 quic doh ", "questions come over UDP, TCP or TLS (tls://)" },
	{ " proxy ", "CoreDNS removed it as well: forward does its work" },
	{ " federation upstream ", "CoreDNS removed it as well: leave it out" },
	{ " pprof trace dnstap on root metadata cancel geoip shed proxyproto ", "leave it out; `portico dns top` and `portico dns log` show what is asked" },
	{ " k8s_external view erratic ", "leave it out" },
};

static const char *hint(const char *name)
{
	cleanup(freep) char *word = xasprintf(" %s ", name);

	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		if (strstr(hints[i].names, word))
			return hints[i].instead;
	return NULL;
}

int dns_config_unknown(struct err *e, const struct corefile_line *at)
{
	const char *name = at->words[0], *instead = hint(name);
	struct buf names;

	if (instead)
		return directive_error(e, at, NULL, "plug-in '%.64s' is not part of portico; %s", name, instead);
	buf_init(&names, ERR_MESSAGE_BYTES);
	for (size_t i = 0; dns_plugins[i]; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", dns_plugins[i]->name);
	directive_error(e, at, NULL, "plug-in '%.64s' is not part of portico; there are %s", name, names.ptr ? names.ptr : "none");
	buf_done(&names);
	return -1;
}
