#include "roles/node/log_tail.h"

#include "roles/node/log_line.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX_ROOM 64 /* time stamp, stream and tag in front of each line */

void log_tail(const char *path, size_t max_lines, size_t max_bytes, struct buf *out)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t room = max_bytes + max_lines * PREFIX_ROOM;
	cleanup(freep) char *text = xmalloc(room + 1);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return;
	off_t from = st.st_size > (off_t)room ? st.st_size - (off_t)room : 0;
	ssize_t n = pread(fd, text, room, from);
	struct str rest = { text, n > 0 ? (size_t)n : 0 };
	if (from) /* the first line is cut */
		str_cut(rest, '\n', &rest);
	size_t lines = 0;
	for (size_t i = 0; i < rest.len; i++)
		lines += rest.ptr[i] == '\n';
	while (rest.ptr && rest.len) {
		struct str line = str_cut(rest, '\n', &rest);
		struct log_line l;
		if (lines-- > max_lines || log_line_parse(line, &l) < 0)
			continue;
		buf_put_str(out, l.content);
		if (!l.partial)
			buf_putc(out, '\n');
	}
	if (out->len > max_bytes)
		buf_consume(out, out->len - max_bytes);
}
