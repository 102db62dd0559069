/* bpf_log.h - what libbpf prints on standard error by itself: kept, for its last line explains a failure.
 *
 * libbpf has one print function for all threads, so these belong to the thread that loads programs, usually the first.
 */
#pragma once

#include "base/err.h"

#include <bpf/libbpf.h>

libbpf_print_fn_t bpf_log_keep(void); /* nothing is printed until bpf_log_end() gets the result */
void bpf_log_end(libbpf_print_fn_t before);
/* "WHAT (the last line that was kept): the error's text". Returns -1. */
int bpf_log_error(struct err *e, int sys_errno, const char *what);
