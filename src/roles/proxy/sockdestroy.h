/* sockdestroy.h - ends UDP sockets connected to backends that are gone, here and in pods (bpf_sock_destroy).
 *
 * Works on a thread: loading the iterator reads the kernel's whole type information. Requests that come
 * meanwhile are served together afterwards.
 */
#pragma once

#include "loop/loop.h"
#include "svc_maps.h"

struct sockdestroy;
/* `origins_fd`: the data plane's sock_origins map. `told` gets what went wrong, once: on kernels before 6.5
 * nothing can be done, and it is not tried again. */
struct sockdestroy *sockdestroy_new(struct loop *l, int origins_fd, void (*told)(void *ctx, const struct err *e),
				    void *ctx);
void sockdestroy_free(struct sockdestroy *s); /* waits for the thread; NULL is nothing */
/* `nsids`: the pods' namespaces. Both arrays are copied. */
void sockdestroy_request(struct sockdestroy *s, const struct svc_backend *gone, size_t n, const int32_t *nsids,
			 size_t n_nsids);
