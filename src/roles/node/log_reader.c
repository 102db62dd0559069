#include "roles/node/log_reader.h"

#include "roles/node/log_line.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (32u << 10)

/* Where the last n lines begin. */
static off_t tail_offset(int fd, int64_t lines, struct err *e)
{
	char chunk[CHUNK_BYTES];
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "log file");
	/* The newline at the very end closes the last line: it begins no other. */
	for (off_t end = st.st_size; end > 0 && lines > 0;) {
		size_t len = (size_t)MIN(end, (off_t)sizeof(chunk));
		off_t at = end - (off_t)len;
		if (pread(fd, chunk, len, at) != (ssize_t)len)
			return err_errno(e, errno, "read log file");
		for (size_t i = len; i > 0; i--)
			if (chunk[i - 1] == '\n' && at + (off_t)i != st.st_size && --lines == 0)
				return at + (off_t)i;
		end = at;
	}
	return lines > 0 ? 0 : st.st_size;
}

int log_reader_open(struct log_reader *r, const char *path, const struct log_options *o,
		    struct err *e)
{
	*r = (struct log_reader){ .options = *o, .left_bytes = o->limit_bytes };
	r->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r->fd == -1)
		return err_errno(e, errno, "open log '%s'", path);
	buf_init(&r->line, LOG_LINE_BYTES);
	if (o->tail_lines < 0)
		return 0;
	off_t at = tail_offset(r->fd, o->tail_lines, e);
	if (at < 0 || lseek(r->fd, at, SEEK_SET) == -1) {
		log_reader_done(r);
		return -1;
	}
	return 0;
}

void log_reader_done(struct log_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_done(&r->line);
}

static void put(struct log_reader *r, struct buf *out, struct str text)
{
	if (r->left_bytes >= 0) {
		text.len = MIN(text.len, (size_t)r->left_bytes);
		r->left_bytes -= (int64_t)text.len;
	}
	buf_put_str(out, text);
}

static void put_line(struct log_reader *r, struct buf *out, struct str line)
{
	struct log_line l;
	int64_t at_ns;

	if (log_line_parse(line, &l) < 0)
		return;
	if (r->options.since_unix_ns &&
	    (log_time_parse(l.time, &at_ns) < 0 || at_ns < r->options.since_unix_ns))
		return;
	if (r->options.timestamps) {
		put(r, out, l.time);
		put(r, out, STR(" "));
	}
	put(r, out, l.content);
	if (!l.partial)
		put(r, out, STR("\n"));
}

enum log_more log_reader_next(struct log_reader *r, struct buf *out)
{
	char chunk[CHUNK_BYTES];
	ssize_t n = read(r->fd, chunk, sizeof(chunk));
	struct str rest = { chunk, n > 0 ? (size_t)n : 0 };

	if (r->left_bytes == 0)
		return LOG_LIMIT;
	if (n <= 0)
		return LOG_END;
	while (rest.len) {
		const char *newline = memchr(rest.ptr, '\n', rest.len);
		size_t len = newline ? (size_t)(newline - rest.ptr) : rest.len;
		/* A line longer than the limit is none of the runtime's: it is dropped. */
		if (buf_put(&r->line, rest.ptr, len) == 0 && newline && !r->line.overflow)
			put_line(r, out, buf_str(&r->line));
		if (newline) {
			buf_clear(&r->line);
			r->line.overflow = false;
			len++;
		}
		rest = (struct str){ rest.ptr + len, rest.len - len };
		if (r->left_bytes == 0)
			return LOG_LIMIT;
	}
	return LOG_MORE;
}
