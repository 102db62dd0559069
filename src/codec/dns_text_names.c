#include "codec/dns_text_int.h"

#include <stdio.h>

/* IANA's registry of resource record types: those that are met, with the format of their data (NULL: RFC 3597's). */
static const struct {
	uint16_t type;
	const char *name, *format;
} types[] = {
	{ 1, "A", "a" },	     { 2, "NS", "n" },		{ 5, "CNAME", "n" },	  { 6, "SOA", "nnlllll" },
	{ 12, "PTR", "n" },	     { 13, "HINFO", "tt" },	{ 15, "MX", "sn" },	  { 16, "TXT", "T" },
	{ 17, "RP", "nn" },	     { 18, "AFSDB", "sn" },	{ 28, "AAAA", "6" },	  { 29, "LOC", NULL },
	{ 33, "SRV", "sssn" },	     { 35, "NAPTR", "sstttn" }, { 37, "CERT", NULL },	  { 39, "DNAME", "n" },
	{ 41, "OPT", NULL },	     { 43, "DS", "sbbx" },	{ 44, "SSHFP", "bbx" },	  { 46, "RRSIG", NULL },
	{ 47, "NSEC", NULL },	     { 48, "DNSKEY", NULL },	{ 50, "NSEC3", NULL },	  { 51, "NSEC3PARAM", NULL },
	{ 52, "TLSA", "bbbx" },	     { 53, "SMIMEA", "bbbx" },	{ 59, "CDS", "sbbx" },	  { 60, "CDNSKEY", NULL },
	{ 61, "OPENPGPKEY", NULL },  { 62, "CSYNC", NULL },	{ 63, "ZONEMD", "lbbx" }, { 64, "SVCB", "snp" },
	{ 65, "HTTPS", "snp" },	     { 99, "SPF", "T" },	{ 108, "EUI48", NULL },	  { 109, "EUI64", NULL },
	{ 249, "TKEY", NULL },	     { 250, "TSIG", NULL },	{ 251, "IXFR", NULL },	  { 252, "AXFR", NULL },
	{ 253, "MAILB", NULL },	     { 254, "MAILA", NULL },	{ 255, "ANY", NULL },	  { 256, "URI", "ssr" },
	{ 257, "CAA", "bgr" },
};
static const struct {
	uint16_t value;
	const char *name;
} classes[] = { { 1, "IN" }, { 3, "CH" }, { 4, "HS" }, { 254, "NONE" }, { 255, "ANY" } },
  rcodes[] = {
	  { 0, "NOERROR" },  { 1, "FORMERR" }, { 2, "SERVFAIL" }, { 3, "NXDOMAIN" }, { 4, "NOTIMP" },  { 5, "REFUSED" },
	  { 6, "YXDOMAIN" }, { 7, "YXRRSET" }, { 8, "NXRRSET" },  { 9, "NOTAUTH" },  { 10, "NOTZONE" }, { 16, "BADVERS" },
	  { 17, "BADKEY" },  { 18, "BADTIME" }, { 19, "BADMODE" }, { 20, "BADNAME" }, { 21, "BADALG" },	 { 22, "BADTRUNC" },
	  { 23, "BADCOOKIE" },
};
const char *const dns_svc_keys[SVC_KEYS] = { "mandatory", "alpn", "no-default-alpn", "port", "ipv4hint",
					     "ech",	  "ipv6hint", "dohpath",	 "ohttp" };

const char *dns_text_format(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return types[i].format;
	return NULL;
}

/* "TYPE123" with the prefix "TYPE". */
static bool number_behind(struct str text, const char *prefix, uint64_t max, uint16_t *ret)
{
	size_t n = strlen(prefix);
	uint64_t v;

	if (text.len <= n || !str_ieq((struct str){ text.ptr, n }, str_of(prefix)) ||
	    !str_to_u64((struct str){ text.ptr + n, text.len - n }, max, &v))
		return false;
	*ret = (uint16_t)v;
	return true;
}

bool dns_type_from_text(struct str text, uint16_t *ret_type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_ieq(text, str_of(types[i].name))) {
			*ret_type = types[i].type;
			return true;
		}
	return number_behind(text, "TYPE", UINT16_MAX, ret_type);
}

const char *dns_type_text(uint16_t type, char out[DNS_TEXT_TYPE_BYTES])
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(out, DNS_TEXT_TYPE_BYTES, "TYPE%u", type);
	return out;
}

bool dns_class_from_text(struct str text, uint16_t *ret_class)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (str_ieq(text, str_of(classes[i].name))) {
			*ret_class = classes[i].value;
			return true;
		}
	return number_behind(text, "CLASS", UINT16_MAX, ret_class);
}

const char *dns_class_text(uint16_t class, char out[DNS_TEXT_TYPE_BYTES])
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (classes[i].value == class)
			return classes[i].name;
	snprintf(out, DNS_TEXT_TYPE_BYTES, "CLASS%u", class);
	return out;
}

#define RCODE_MAX 0xfff /* with OPT's upper bits: RFC 6891, 6.1.3 */

bool dns_rcode_from_text(struct str text, uint16_t *ret_rcode)
{
	for (size_t i = 0; i < ARRAY_LEN(rcodes); i++)
		if (str_ieq(text, str_of(rcodes[i].name))) {
			*ret_rcode = rcodes[i].value;
			return true;
		}
	return number_behind(text, "", RCODE_MAX, ret_rcode);
}

const char *dns_rcode_text(uint16_t rcode, char out[DNS_TEXT_TYPE_BYTES])
{
	for (size_t i = 0; i < ARRAY_LEN(rcodes); i++)
		if (rcodes[i].value == rcode)
			return rcodes[i].name;
	snprintf(out, DNS_TEXT_TYPE_BYTES, "RCODE%u", rcode);
	return out;
}
