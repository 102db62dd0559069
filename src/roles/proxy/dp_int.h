/* dp_int.h - shared by dp.c (loading, maps), dp_attach.c (links) and dp_pins.c (the pin directory). */
#pragma once

#include "roles/proxy/dp.h"

struct dataplane; /* the generated skeleton */
struct dp {
	struct dataplane *skel;
	char *pin_dir, *links_dir;
	char *cgroup;
	bool clsact;
};

/* The directory that holds the maps of this layout. */
char *dp_maps_dir(const char *pin_dir);
int dp_pins_prepare(const char *pin_dir, struct err *e) must_check;
/* Maps of other layouts, once nothing uses them. */
void dp_pins_drop_old(const char *pin_dir);
/* Removes a clsact filter whose marker has this name; false when it is no such marker. */
bool dp_clsact_remove(const char *marker);
