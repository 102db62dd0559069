/* tls_int.h - what a struct tls is made of: tls.c (contexts) and tls_name.c (certificates that share one). */
#pragma once

#include "net/tls.h"

#define ALPN_BYTES_MAX 64

struct tls {
	SSL_CTX *ctx;
	bool own_records;
	size_t refs; /* atomic: workers share certificates */
	/* Presented instead of what the context itself has; NULL: the context's. */
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
	struct tls_staple *staple; /* atomic */
	unsigned int alpn_len;
	unsigned char alpn[ALPN_BYTES_MAX]; /* wire format: length, name, length, name */
};
int tls_no_password(char *out, int size, int writing, void *ctx); /* PEM call-back */
