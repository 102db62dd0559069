/* screen.h - pictures that commands draw on a terminal and renew until q is pressed; elsewhere they are plain lines.
 */
#pragma once

#include "base/base.h"

#include <termios.h>

struct screen {
	bool on;	    /* a picture is renewed in place; else what is printed stays */
	bool colour;
	int columns, lines; /* what is left of this picture */
	struct termios before_;
};
void screen_begin(struct screen *s); /* `on` is set; it is false afterwards when this is no terminal */
void screen_end(struct screen *s);
void screen_frame(struct screen *s); /* a picture begins, and ends */
void screen_frame_end(struct screen *s);
/* A line, at most as wide as the terminal; false: there is no room for it. `colour` is an escape sequence, or NULL. */
bool screen_line(struct screen *s, const char *colour, const char *fmt, ...) printf_like(3, 4);
/* False: q was pressed, or a signal came. */
bool screen_pause(struct screen *s, uint64_t ms);
/* Text that a terminal must not obey: control characters become '?'. */
void screen_harmless(char *text);

bool screen_colours(int fd); /* a terminal, and NO_COLOR is not set (no-color.org) */

const char *number_scaled(double v, const char *unit, char out[16]); /* "12k", "3.4MB" */
const char *number_ms(double v, char out[16]);			     /* below 0: "-" */
