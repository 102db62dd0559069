/* What to do about a directive that is none of ours. */
#include "roles/dns/config/config_int.h"

#define NAME_BYTES_MAX 32 /* longer than any */
#define SLIPS_MAX 2

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

/* How many letters must be added, dropped or changed (Levenshtein 1966). Names are short: others are far from all of ours. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_BYTES_MAX + 1], n = strlen(a), m = strlen(b);

	if (n > NAME_BYTES_MAX || m > NAME_BYTES_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t changed = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[m];
}

static const char *similar(const char *name)
{
	const char *best = NULL;
	size_t least = SLIPS_MAX + 1;

	for (size_t i = 0; dns_plugins[i]; i++) {
		size_t d = distance(name, dns_plugins[i]->name);
		if (d < least && d < strlen(name)) {
			least = d;
			best = dns_plugins[i]->name;
		}
	}
	return best;
}

int dns_config_unknown(struct err *e, const struct corefile_line *at)
{
	const char *name = at->words[0], *instead = hint(name), *meant = similar(name);

	if (instead)
		return directive_error(e, at, NULL, "plug-in '%.64s' is not part of portico; %s", name, instead);
	if (meant)
		return directive_error(e, at, NULL, "plug-in '%.64s' is not part of portico; is %s meant?", name, meant);
	return directive_error(e, at, NULL, "plug-in '%.64s' is not part of portico; `portico dns plugins` lists what is", name);
}
