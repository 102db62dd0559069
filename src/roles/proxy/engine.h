/* engine.h - the data plane as a whole: tables, kernel side and interfaces on one loop.
 *
 * The caller feeds objects into the tables and says so; the maps follow at the end of the loop's turn.
 */
#pragma once

#include "loop/loop.h"
#include "roles/proxy/dp.h"
#include "roles/proxy/tables.h"

struct engine_options {
	struct dp_options dp;
	const char *node_name, *node_ip; /* node_ip NULL: the default route's source */
	const char *cluster_cidr, *service_cidr, *node_port_range;
	void (*ready)(void *ctx); /* once: everything is attached and the first state is in the maps */
	void (*failed)(void *ctx, const struct err *e); /* the maps could not be written: start anew */
	void *ctx;
};
struct engine;
struct engine *engine_new(struct loop *l, const struct engine_options *o, struct err *e) must_check;
void engine_free(struct engine *g); /* NULL is nothing; the data plane goes on */
struct tables *engine_tables(struct engine *g);
void engine_changed(struct engine *g); /* the tables were fed */
void engine_fed(struct engine *g);     /* for the first time completely: what nobody claims goes */
struct dp *engine_dp(struct engine *g);
