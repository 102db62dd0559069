#include "roles/apiserver/alloc.h"

#include "roles/apiserver/alloc_int.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *bits, uint32_t i, bool on)
{
	uint64_t mask = 1ULL << (i % 64);

	bits[i / 64] = on ? bits[i / 64] | mask : bits[i / 64] & ~mask;
}

/* The lower part is for those who ask for a value of their own: a quarter at the most (KEP-3070, KEP-3668).
 */
static uint32_t static_part(uint32_t n, uint32_t step, uint32_t max)
{
	uint32_t part = MIN(MAX(16u, n / step), max);

	return n > 16 ? MIN(part, n - 1) : 0;
}

static void pool_init(struct alloc_pool *p, uint32_t first, uint32_t n, uint32_t offset)
{
	p->first = first;
	p->n = n;
	p->dynamic_from = offset;
	p->used = xcalloc((n + 63) / 64, sizeof(*p->used));
}

static bool in_pool(const struct alloc_pool *p, uint32_t v)
{
	return v >= p->first && v - p->first < p->n;
}

/* The first free value from a random start, within [from, to). */
static bool find_free(const struct alloc_pool *p, uint32_t from, uint32_t to, uint32_t *ret_value)
{
	uint32_t n = to - from;

	if (from >= to)
		return false;
	for (uint32_t i = 0, start = arc4random_uniform(n); i < n; i++) {
		uint32_t at = from + (start + i) % n;

		if (!bit_get(p->used, at)) {
			*ret_value = p->first + at;
			return true;
		}
	}
	return false;
}

static struct alloc_pool *pool_of(struct alloc *a, uint32_t v)
{
	return v <= PORT_MAX ? &a->ports : &a->addresses;
}

static void mark(struct alloc *a, uint32_t v, bool used)
{
	struct alloc_pool *p = pool_of(a, v);

	if (in_pool(p, v))
		bit_set(p->used, v - p->first, used);
}

static bool listed(const uint32_t *list, size_t n, uint32_t v)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static void append(uint32_t **list, size_t *n, uint32_t v)
{
	*list = xrealloc(*list, (*n + 1) * sizeof(**list));
	(*list)[(*n)++] = v;
}

enum alloc_result alloc_take(struct alloc_op *op, uint32_t v)
{
	struct alloc_pool *p = pool_of(op->a, v);

	if (!in_pool(p, v))
		return ALLOC_OUT_OF_RANGE;
	if (bit_get(p->used, v - p->first) || listed(op->change->take, op->change->n_take, v))
		return ALLOC_TAKEN;
	append(&op->change->take, &op->change->n_take, v);
	if (!op->dry_run)
		mark(op->a, v, true);
	return ALLOC_OK;
}

enum alloc_result alloc_take_any(struct alloc_op *op, struct alloc_pool *p, uint32_t *ret_value)
{
	if (!find_free(p, p->dynamic_from, p->n, ret_value) && !find_free(p, 0, p->dynamic_from, ret_value))
		return ALLOC_FULL;
	return alloc_take(op, *ret_value);
}

/* A dry run shows a port that looks like one: upstream counts up from the range's end. */
uint32_t alloc_dummy_port(struct alloc_op *op)
{
	uint32_t last = 0;

	for (size_t i = 0; i < op->change->n_take; i++)
		if (op->change->take[i] <= PORT_MAX)
			last = MAX(last, op->change->take[i]);
	last = last ? last + 1 : 32768;
	append(&op->change->take, &op->change->n_take, last);
	return last;
}

void alloc_drop(struct alloc_op *op, uint32_t v)
{
	if (v)
		append(&op->change->drop, &op->change->n_drop, v);
}

static void change_done(struct alloc_change *c)
{
	free(c->take);
	free(c->drop);
	*c = (struct alloc_change){ 0 };
}

void alloc_commit(struct alloc *a, struct alloc_change *c)
{
	for (size_t i = 0; i < c->n_drop; i++)
		if (!listed(c->take, c->n_take, c->drop[i]))
			mark(a, c->drop[i], false);
	change_done(c);
}

void alloc_rollback(struct alloc *a, struct alloc_change *c)
{
	for (size_t i = 0; i < c->n_take; i++)
		mark(a, c->take[i], false);
	change_done(c);
}

static int parse_cidr(const char *cidr, uint32_t *ret_base, unsigned *ret_prefix)
{
	struct in_addr address;
	struct str rest, ip = str_cut(str_of(cidr), '/', &rest);
	cleanup(freep) char *text = str_dup(ip);
	uint64_t prefix;

	if (!rest.ptr || inet_pton(AF_INET, text ? text : "", &address) != 1 ||
	    !str_to_u64(rest, 30, &prefix) || prefix < 8)
		return -1;
	*ret_prefix = (unsigned)prefix;
	*ret_base = ntohl(address.s_addr) & (uint32_t)(UINT64_C(0xffffffff) << (32 - prefix));
	return 0;
}

struct alloc *alloc_new(const struct config *c, struct err *e)
{
	unsigned prefix, from, to;
	uint32_t base;

	if (parse_cidr(c->service_cidr, &base, &prefix) < 0) {
		err_set(e, ERR_INVALID, "--service-cidr '%s' must be an IPv4 CIDR of a length from 8 to 30",
			c->service_cidr);
		return NULL;
	}
	if (sscanf(c->node_port_range, "%5u-%5u", &from, &to) != 2 || from < 1 || from > to ||
	    to > PORT_MAX) {
		err_set(e, ERR_INVALID, "--node-port-range '%s' must be FROM-TO, such as 30000-32767",
			c->node_port_range);
		return NULL;
	}
	struct alloc *a = xcalloc(1, sizeof(*a));
	uint32_t n =
		(uint32_t)((UINT64_C(1) << (32 - prefix)) - 2); /* not the network's and not the last one */
	a->base = base;
	pool_init(&a->addresses, base + 1, n, static_part(n, 16, 256));
	pool_init(&a->ports, from, to - from + 1, static_part(to - from + 1, 32, 128));
	return a;
}

void alloc_free(struct alloc *a)
{
	if (!a)
		return;
	free(a->addresses.used);
	free(a->ports.used);
	free(a);
}

uint32_t alloc_address_of(const char *ip)
{
	struct in_addr address;

	return ip && inet_pton(AF_INET, ip, &address) == 1 ? ntohl(address.s_addr) : 0;
}

void alloc_address_text(uint32_t v, char out[ADDRESS_TEXT_BYTES])
{
	struct in_addr address = { htonl(v) };

	inet_ntop(AF_INET, &address, out, ADDRESS_TEXT_BYTES);
}

/* Calls fn for each address and port that a Service has. */
static void each_value(const json_t *service, void (*fn)(struct alloc_op *op, uint32_t v),
		       struct alloc_op *op)
{
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(service, "spec.clusterIPs"), i, v)
		if (alloc_address_of(json_string_value(v)))
			fn(op, alloc_address_of(json_string_value(v)));
	json_array_foreach(jx_at(service, "spec.ports"), i, v)
		if (jx_int(v, "nodePort", 0) > 0)
			fn(op, (uint32_t)jx_int(v, "nodePort", 0));
	if (jx_int(service, "spec.healthCheckNodePort", 0) > 0)
		fn(op, (uint32_t)jx_int(service, "spec.healthCheckNodePort", 0));
}

static void mark_used(struct alloc_op *op, uint32_t v)
{
	mark(op->a, v, true);
}

void alloc_load(struct alloc *a, const json_t *service)
{
	struct alloc_op op = { .a = a };

	each_value(service, mark_used, &op);
}

void alloc_delete(struct alloc *a, const json_t *service, struct alloc_change *ret_change)
{
	struct alloc_op op = { .a = a, .change = ret_change };

	*ret_change = (struct alloc_change){ 0 };
	each_value(service, alloc_drop, &op);
}
