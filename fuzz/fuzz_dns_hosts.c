#include "roles/dns/plugin/hosts_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_name root = { .len = 1 }, zone;
	struct zone_set all = { &root, 1 };
	struct hosts_table *t = hosts_table_new(&all, true);

	if (dns_name_from_text(STR("test"), &zone)) {
		hosts_table_read(t, (struct str){ (const char *)data, size });
		hosts_table_has_name(t, &zone);
		hosts_table_has_ip(t, &zone);
		hosts_table_name(t, &zone);
		hosts_table_count(t);
	}
	hosts_table_free(t);
	return 0;
}
