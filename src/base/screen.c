#include "base/screen.h"

#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

void screen_begin(struct screen *s)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;

	if (!s->on || tcgetattr(STDIN_FILENO, &s->before_) == -1) {
		s->on = false;
		return;
	}
	raw = s->before_;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG); /* ^C is a key like q */
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	printf("\033[?1049h\033[?25l\033[2J");
}

void screen_end(struct screen *s)
{
	if (!s->on)
		return;
	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &s->before_);
}

void screen_frame(struct screen *s)
{
	struct winsize w;

	s->columns = s->lines = 1 << 20;
	if (!s->on)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0) {
		s->columns = w.ws_col;
		s->lines = w.ws_row;
	}
	printf("\033[H");
}

void screen_frame_end(struct screen *s)
{
	if (s->on)
		printf("\033[J");
	fflush(stdout);
}

void screen_harmless(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

bool screen_line(struct screen *s, const char *colour, const char *fmt, ...)
{
	cleanup(freep) char *text = NULL;
	va_list ap;

	if (s->on && s->lines <= 1)
		return false;
	s->lines--;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = xstrdup("");
	va_end(ap);
	screen_harmless(text);
	bool paint = colour && s->colour;
	printf("%s%.*s%s%s\n", paint ? colour : "", s->columns, text, paint ? "\033[0m" : "", s->on ? "\033[K" : "");
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool screen_pause(struct screen *s, uint64_t ms)
{
	uint64_t until = now_ms() + ms, now;
	struct pollfd p = { .fd = s->on ? STDIN_FILENO : -1, .events = POLLIN };

	while (!interrupted && (now = now_ms()) < until) {
		char key = 0;
		if (poll(&p, 1, (int)(until - now)) != 1)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			p.fd = -1;
		if (key == 'q' || key == 'Q' || key == 3)
			return false;
	}
	return !interrupted;
}

const char *number_scaled(double v, const char *unit, char out[16])
{
	static const char steps[] = " kMGT";
	size_t i = 0;

	for (; v >= 9999.5 && i < 4; i++)
		v /= 1000;
	if (i == 0)
		snprintf(out, 16, v >= 99.95 || v == 0 ? "%.0f%s" : "%.1f%s", v, unit);
	else
		snprintf(out, 16, "%.0f%c%s", v, steps[i], unit);
	return out;
}

const char *number_ms(double v, char out[16])
{
	if (v < 0)
		return "-";
	snprintf(out, 16, v < 10 ? "%.2f" : v < 100 ? "%.1f" : "%.0f", v);
	return out;
}

bool screen_colours(int fd)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fd) && !(no_color && no_color[0]);
}
