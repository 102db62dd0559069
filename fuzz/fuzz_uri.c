/* The path of every request: what comes out is absolute, has no "//", "/./", "/../", and stays as it is when normalised
 * once more unless it still holds a '%', '?' or '#' that was escaped. */
#include "roles/ingress/route/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct buf out, again;

	buf_init(&out, 1u << 16);
	buf_init(&again, 1u << 16);
	if (uri_normalise(in, &out) == 0) {
		if (out.len == 0 || out.ptr[0] != '/' || out.len > size || memchr(out.ptr, '\0', out.len))
			__builtin_trap();
		for (const char *p = out.ptr; (p = strchr(p, '/')); p++)
			if (p[1] == '/' || strncmp(p, "/./", 3) == 0 || strncmp(p, "/../", 4) == 0 || strcmp(p, "/.") == 0 ||
			    strcmp(p, "/..") == 0)
				__builtin_trap();
		if (!strpbrk(out.ptr, "%?#") && (uri_normalise(buf_str(&out), &again) < 0 || !str_eq(buf_str(&out), buf_str(&again))))
			__builtin_trap();
		if (uri_is_normal(in) != str_eq(in, buf_str(&out)) && uri_is_normal(in))
			__builtin_trap();
	}
	buf_done(&out);
	buf_done(&again);
	return 0;
}
