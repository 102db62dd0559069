#include "roles/proxy/netns.h"

#include "net/rtnl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

#define NETNS_DIR "/run/netns"

int netns_cookie_own(uint64_t *ret_cookie, struct err *e)
{
	cleanup(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret_cookie);

	if (fd == -1 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len) == -1)
		return err_errno(e, errno, "cookie of a network namespace");
	return 0;
}

struct search {
	const int32_t *nsids;
	bool *visited;
	size_t n, missing, looked;
	int (*fn)(void *ctx, size_t i, struct err *e);
	void *ctx;
	int home; /* our own namespace */
	ino_t seen[NETNS_SEARCH_MAX];
};

static int visit(struct search *s, int fd, size_t i, struct err *e)
{
	if (setns(fd, CLONE_NEWNET) == -1)
		return err_errno(e, errno, "enter a pod's network namespace");
	int rc = s->fn(s->ctx, i, e);
	/* Going on in a pod's namespace would break everything else this process does. */
	if (setns(s->home, CLONE_NEWNET) == -1)
		abort();
	return rc;
}

static int namespace_try(struct search *s, const char *path, struct err *e)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int32_t nsid;

	/* Gone, or a plain file that a mount was to cover. */
	if (fd == -1 || fstat(fd, &st) == -1 || rtnl_nsid_of(fd, &nsid, e) < 0 || nsid < 0)
		return 0;
	for (size_t i = 0; i < s->looked; i++)
		if (s->seen[i] == st.st_ino)
			return 0;
	if (s->looked < NETNS_SEARCH_MAX)
		s->seen[s->looked++] = st.st_ino;
	for (size_t i = 0; i < s->n; i++) {
		if (s->nsids[i] != nsid || s->visited[i])
			continue;
		if (visit(s, fd, i, e) < 0)
			return -1;
		s->visited[i] = true;
		s->missing--;
	}
	return 0;
}

static int search_dir(struct search *s, const char *dir, const char *suffix, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	int rc = 0;

	while (d && rc == 0 && s->missing > 0 && s->looked < NETNS_SEARCH_MAX && (de = readdir(d))) {
		cleanup(freep) char *path = xasprintf("%s/%s%s", dir, de->d_name, suffix);

		if (de->d_name[0] != '.' && (!suffix[0] || (de->d_name[0] >= '0' && de->d_name[0] <= '9')))
			rc = namespace_try(s, path, e);
	}
	if (d)
		closedir(d);
	return rc;
}

int netns_visit(const int32_t *nsids, size_t n, int (*fn)(void *ctx, size_t i, struct err *e), void *ctx,
		struct err *e)
{
	cleanup(closep) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cleanup(freep) struct search *s = xcalloc(1, sizeof(*s));
	cleanup(freep) bool *visited = xcalloc(MAX(n, 1), sizeof(*visited));

	if (home == -1)
		return err_errno(e, errno, "open the own network namespace");
	s->nsids = nsids;
	s->visited = visited;
	s->n = s->missing = n;
	s->fn = fn;
	s->ctx = ctx;
	s->home = home;
	if (search_dir(s, NETNS_DIR, "", e) < 0)
		return -1;
	return search_dir(s, "/proc", "/ns/net", e);
}

static int cookie_read(void *ctx, size_t i, struct err *e)
{
	uint64_t *cookies = ctx;

	return netns_cookie_own(&cookies[i], e);
}

int netns_cookies(const int32_t *nsids, size_t n, uint64_t *ret_cookies, struct err *e)
{
	memset(ret_cookies, 0, n * sizeof(*ret_cookies));
	return netns_visit(nsids, n, cookie_read, ret_cookies, e);
}
