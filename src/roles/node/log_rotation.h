/* log_rotation.h - container logs above a size are renamed and begun anew; old ones are removed. */
#pragma once

#include "roles/node/node.h"

void log_rotation_start(struct node *n);
void log_rotation_stop(struct node *n);
