/* Names of loaded images, as CRI looks them up. */
#include "roles/cli/containerd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_normalised(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: stays */
	} rows[] = {
		{ "my-app:1.0.0", "docker.io/library/my-app:1.0.0" },
		{ "team/app:1", "docker.io/team/app:1" },
		{ "docker.io/library/my-app:1", NULL },
		{ "registry.k8s.io/pause:3", NULL },
		{ "localhost/app:1", NULL },
		{ "host:5000/app:1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = image_name_normalised(str_of(rows[i].name));
		if (!c_eq(got, rows[i].want))
			fail_msg("%s became %s", rows[i].name, got);
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_normalised) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
