#include "roles/cli/logs.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_FILE_BYTES (8 << 20) /* with its predecessor: at most 16 MiB a role */

void log_rotate(const char *path)
{
	cleanup(freep) char *old = xasprintf("%s.1", path);
	cleanup(closep) int from = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (from == -1 || fstat(from, &st) == -1 || st.st_size < LOG_FILE_BYTES)
		return;
	cleanup(closep) int to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	off_t at = 0;
	while (to >= 0 && at < st.st_size && sendfile(to, from, &at, (size_t)(st.st_size - at)) > 0)
		;
	if (ftruncate(from, 0) == -1)
		return; /* tried again at the next turn */
}
