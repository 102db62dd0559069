/* h2_mem.h - memory for nghttp2's sessions: many small pieces that live as long as a request, taken and given back in bursts.
 *
 * Lists of free pieces by size, of one worker; above some kept of each size they go back to malloc(3). Not for other threads.
 */
#pragma once

#include <nghttp2/nghttp2.h>

struct h2_mem;
struct h2_mem *h2_mem_new(void);
struct h2_mem *h2_mem_ref(struct h2_mem *m); /* each session holds one */
void h2_mem_unref(struct h2_mem *m);	     /* NULL is nothing; the last one gives back all that is kept */
nghttp2_mem *h2_mem_functions(struct h2_mem *m);
