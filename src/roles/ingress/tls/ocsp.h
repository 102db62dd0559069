/* ocsp.h - answers of certificates' OCSP responders (RFC 6960), kept fresh and stapled to handshakes (RFC 6066 section 8).
 *
 * With enable-ocsp. The main thread asks over HTTP, one certificate after another, checks what it gets, and hands it to the
 * certificate; workers send along what is there. A certificate without a responder, or whose chain lacks its issuer, is
 * left alone; what cannot be got in time is not stapled, and clients ask themselves, if they care.
 */
#pragma once

#include "loop/loop.h"
#include "loop/quiesce.h"
#include "net/tls.h"

#define OCSP_TRY_AGAIN_MS (5u * 60 * 1000)	  /* after a failure */
#define OCSP_REFRESH_MAX_MS (24u * 60 * 60 * 1000) /* else at half of what is left until the answer's nextUpdate */
#define OCSP_REFRESH_MIN_MS OCSP_TRY_AGAIN_MS

struct ocsp;
struct ocsp *ocsp_new(struct loop *l, struct quiesce *q);
void ocsp_free(struct ocsp *o); /* NULL is nothing */
/* From now on this certificate's answer is kept fresh; it is borrowed until ocsp_forget or ocsp_free. */
void ocsp_watch(struct ocsp *o, struct tls *t);
void ocsp_forget(struct ocsp *o, const struct tls *t); /* one that is not watched is nothing */
/* Staples to handshakes of this context. */
void ocsp_use(SSL_CTX *ctx);

/* ---- one answer, for tests ---- */
/* Checks an answer about `leaf`: signed by its issuer or whom that allows, good, and of now. *ret_fresh_ms: how long it is.
 * 0; -1 with the reason. */
int ocsp_check(struct str der, X509 *leaf, X509 *issuer, uint64_t *ret_fresh_ms, struct err *e) must_check;
