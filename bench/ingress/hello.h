/* hello.h - asks a TLS server for its certificate, and for nothing else: one ClientHello of TLS 1.2, which has the certificate in
 * the clear in its answer, so that no key is exchanged on this side and no handshake is finished.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Threads that ask again and again, each time over a new connection: while one waits for its answer, another asks. */
struct hello_watch;
/* `der`: the certificate that is waited for. Watching begins at once. */
struct hello_watch *hello_watch_start(const struct sockaddr_in *to, const char *server_name, const uint8_t *der, size_t len, unsigned pause_us);
/* Waits until each thread has seen the certificate `settled` times in a row. Returns when the first one was asked for since when
 * nobody saw another (now_ns of http.h); 0: it never came. Frees `w`. */
uint64_t hello_watch_end(struct hello_watch *w, int settled, uint64_t limit_ns);
