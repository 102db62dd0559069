#include "roles/dns/zone/zone.h"

#include <sanitizer/lsan_interface.h>

static const char objects[] =
	"[{\"kind\":\"n\",\"metadata\":{\"name\":\"d\"}},"
	"{\"kind\":\"s\",\"metadata\":{\"namespace\":\"d\",\"name\":\"w\"},\"spec\":{\"clusterIP\":\"10.0.0.1\",\"ports\":[{\"name\":\"h\",\"port\":80}]}},"
	"{\"kind\":\"s\",\"metadata\":{\"namespace\":\"d\",\"name\":\"h\"},\"spec\":{\"clusterIP\":\"None\"}},"
	"{\"kind\":\"s\",\"metadata\":{\"namespace\":\"d\",\"name\":\"e\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"w.d.svc.c\"}},"
	"{\"kind\":\"s\",\"metadata\":{\"namespace\":\"d\",\"name\":\"x\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x.y\"}},"
	"{\"kind\":\"p\",\"metadata\":{\"namespace\":\"d\",\"name\":\"h1\",\"labels\":{\"kubernetes.io/service-name\":\"h\"}},"
	"\"endpoints\":[{\"addresses\":[\"10.1.0.1\",\"fd00::1\"],\"hostname\":\"a\"}],\"ports\":[{\"name\":\"h\",\"port\":8}]}]";

static struct zone *make(void)
{
	struct zone_options opt = { .ttl = 30, .pods = ZONE_PODS_INSECURE, .n_reverse = 1 };
	if (!dns_name_from_text(STR("c"), &opt.domain) || !dns_name_from_text(STR("in-addr.arpa"), &opt.reverse[0]))
		abort();
	struct zone *z = zone_new(&opt, 1, NULL);
	json_t *all = json_loads(objects, 0, NULL), *o;
	size_t i;

	json_array_foreach(all, i, o) {
		const char *kind = jx_str(o, "kind");
		(kind[0] == 'n' ? zone_put_namespace : kind[0] == 's' ? zone_put_service : zone_put_slice)(z, o);
	}
	json_decref(all);
	zone_set_synced(z);
	return z;
}

static struct zone *z;

static void end(void)
{
	zone_free(z);
}

/* Not with the first input: its tables hold pointers in a form that leak checkers do not see. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	__lsan_disable();
	z = make();
	__lsan_enable();
	atexit(end);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[DNS_UDP_BYTES_MAX];
	struct str in = { (const char *)data, size };
	struct dns_message m;
	struct dns_query q;
	struct zone_answer a;

	if (dns_query_parse(in, &q) != 0)
		return 0;
	char text[512];
	zone_explain(z, &q, text, sizeof(text));
	if (zone_answer(z, &q, out, q.udp_bytes, (uint32_t)size, &a) == ZONE_ANSWERED &&
	    (a.len > q.udp_bytes || !dns_message_parse((struct str){ (char *)out, a.len }, &m)))
		abort();
	if (zone_answer_chased(z, &q, out, q.udp_bytes, &(struct dns_message){ 0 }, (uint32_t)size, &a) == ZONE_ANSWERED &&
	    a.len > q.udp_bytes)
		abort();
	return 0;
}
