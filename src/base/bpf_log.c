#include "base/bpf_log.h"

#include <stdio.h>

static char last_line[256];

static int keep_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN)
		vsnprintf(last_line, sizeof(last_line), fmt, ap);
	return 0;
}

libbpf_print_fn_t bpf_log_keep(void)
{
	last_line[0] = '\0';
	return libbpf_set_print(keep_line);
}

void bpf_log_end(libbpf_print_fn_t before)
{
	libbpf_set_print(before);
}

int bpf_log_error(struct err *e, int sys_errno, const char *what)
{
	last_line[strcspn(last_line, "\n")] = '\0';
	return err_errno(e, sys_errno, "%s (%s)", what, last_line[0] ? last_line : "no details");
}
