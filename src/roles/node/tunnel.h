/* tunnel.h - bytes copied between two connections until both sides have ended.
 *
 * Each direction closes on its own (half-close), and a slow reader stops the writer opposite.
 */
#pragma once

#include "net/conn.h"

struct tunnel;
/* Takes over `far`, a connection that is already switched. `near` follows by tunnel_join. */
struct tunnel *tunnel_new(struct loop *l, struct conn *far);
extern const struct conn_ops tunnel_near_ops;	       /* ctx: the tunnel; for http_upgrade */
void tunnel_join(struct tunnel *t, struct conn *near); /* NULL: ends the tunnel */
