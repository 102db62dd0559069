/* alloc_int.h - the two pools behind alloc.h, for alloc.c and the rules in alloc_service.c. */
#pragma once

#include "roles/apiserver/alloc.h"

#define PORT_MAX 65535
#define ADDRESS_TEXT_BYTES 16

/* Values are addresses in host order or ports; nothing below 0.1.0.0 is an address here. */
struct alloc_pool {
	uint64_t *used; /* a bit per value; owned */
	uint32_t first, n;
	uint32_t dynamic_from; /* index: values below are the last that are given without being asked for */
};
struct alloc {
	struct alloc_pool addresses, ports;
	uint32_t base; /* the network's own address */
};

struct alloc_op {
	struct alloc *a;
	struct alloc_change *change;
	bool dry_run;
};
enum alloc_result { ALLOC_OK, ALLOC_OUT_OF_RANGE, ALLOC_TAKEN, ALLOC_FULL };
enum alloc_result alloc_take(struct alloc_op *op, uint32_t v);
enum alloc_result alloc_take_any(struct alloc_op *op, struct alloc_pool *p, uint32_t *ret_value);
uint32_t alloc_dummy_port(struct alloc_op *op);
void alloc_drop(struct alloc_op *op, uint32_t v); /* 0 is nothing */

uint32_t alloc_address_of(const char *ip); /* 0 when it is no IPv4 address */
void alloc_address_text(uint32_t v, char out[ADDRESS_TEXT_BYTES]);
