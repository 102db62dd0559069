#include "roles/node/cni_ipam.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_BYTES 4096 /* container id and netns path */
#define RESERVED_FIRST 2 /* the network's own address, and .1, which gateways have by custom */

struct ipam {
	const struct cni_conf *conf;
	int dir_fd, lock_fd;
};

static void ipam_close(struct ipam *i)
{
	if (i->lock_fd >= 0)
		close(i->lock_fd);
	if (i->dir_fd >= 0)
		close(i->dir_fd);
}

static int ipam_open(struct ipam *i, const struct cni_conf *c, struct err *e)
{
	*i = (struct ipam){ .conf = c, .dir_fd = -1, .lock_fd = -1 };
	if (dir_make(c->ipam_dir, 0700, e) < 0)
		return -1;
	i->dir_fd = open(c->ipam_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (i->dir_fd == -1)
		return err_errno(e, errno, "open '%s'", c->ipam_dir);
	i->lock_fd = openat(i->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (i->lock_fd == -1 || flock(i->lock_fd, LOCK_EX) == -1)
		return err_errno(e, errno, "lock '%s'", c->ipam_dir);
	return 0;
}

static uint32_t range_size(const struct cni_conf *c)
{
	return 1u << (32 - c->prefix_bits);
}

static struct in_addr range_at(const struct cni_conf *c, uint32_t offset)
{
	return (struct in_addr){ htonl(ntohl(c->range.s_addr) + offset) };
}

/* Reads an entry into text; *ret_netns points into it. False: no such entry. */
static bool entry_read(const struct ipam *i, const char *name, char text[ENTRY_BYTES],
		       char **ret_netns)
{
	cleanup(closep) int fd = openat(i->dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, ENTRY_BYTES - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	*ret_netns = text + strcspn(text, "\n");
	if (**ret_netns)
		*(*ret_netns)++ = '\0';
	(*ret_netns)[strcspn(*ret_netns, "\n")] = '\0';
	return true;
}

static int entry_write(const struct ipam *i, const char *name, const char *id, const char *netns,
		       struct err *e)
{
	char text[ENTRY_BYTES];
	int len = snprintf(text, sizeof(text), "%s\n%s\n", id, netns);
	cleanup(closep) int fd =
		openat(i->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (len >= (int)sizeof(text))
		return err_set(e, ERR_INVALID, "container id and namespace path are too long");
	if (fd == -1 || write(fd, text, (size_t)len) != len)
		return err_errno(e, errno, "write address entry '%s'", name);
	return 0;
}

/* Calls for every entry; the text buffers are the walk's. */
static bool entry_find(const struct ipam *i, const char *id, struct in_addr *ret_ip)
{
	int fd = openat(i->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	char text[ENTRY_BYTES], *netns;
	bool found = false;

	for (const struct dirent *de; d && !found && (de = readdir(d));)
		found = inet_pton(AF_INET, de->d_name, ret_ip) == 1 &&
			entry_read(i, de->d_name, text, &netns) && strcmp(text, id) == 0;
	if (d)
		closedir(d);
	return found;
}

static uint32_t last_read(const struct ipam *i)
{
	char text[32] = "";
	struct str s;
	uint64_t v;

	if (pread(i->lock_fd, text, sizeof(text) - 1, 0) <= 0)
		return RESERVED_FIRST - 1;
	s = str_of(text);
	return str_to_u64(s, range_size(i->conf) - 1, &v) ? (uint32_t)v : RESERVED_FIRST - 1;
}

static void last_write(const struct ipam *i, uint32_t offset)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%u", offset);

	/* Only the order of hand-out depends on it: a failure is not worth failing a pod for. */
	if (ftruncate(i->lock_fd, 0) == 0 && pwrite(i->lock_fd, text, (size_t)len, 0) != len)
		errno = 0;
}

static bool entry_is_free(const struct ipam *i, const char *name)
{
	char text[ENTRY_BYTES], *netns;

	return !entry_read(i, name, text, &netns) || access(netns, F_OK) == -1;
}

static int take_next(const struct ipam *i, const char *id, const char *netns,
		     struct in_addr *ret_ip, struct err *e)
{
	uint32_t usable = range_size(i->conf) - RESERVED_FIRST - 1;
	uint32_t last = last_read(i);
	char name[INET_ADDRSTRLEN];

	for (uint32_t n = 0; n < usable; n++) {
		uint32_t offset = RESERVED_FIRST + (last - RESERVED_FIRST + 1 + n) % usable;
		struct in_addr ip = range_at(i->conf, offset);
		inet_ntop(AF_INET, &ip, name, sizeof(name));
		if (!entry_is_free(i, name))
			continue;
		if (entry_write(i, name, id, netns, e) < 0)
			return -1;
		last_write(i, offset);
		*ret_ip = ip;
		return 0;
	}
	inet_ntop(AF_INET, &i->conf->range, name, sizeof(name));
	return err_set(e, ERR_UNAVAILABLE, "no address is left in %s/%u", name,
		       i->conf->prefix_bits);
}

int ipam_take(const struct cni_conf *c, const char *container_id, const char *netns,
	      struct in_addr *ret_ip, struct err *e)
{
	struct ipam i;
	int rc = ipam_open(&i, c, e);

	if (rc == 0 && !entry_find(&i, container_id, ret_ip))
		rc = take_next(&i, container_id, netns, ret_ip, e);
	ipam_close(&i);
	return rc;
}

int ipam_find(const struct cni_conf *c, const char *container_id, struct in_addr *ret_ip,
	      struct err *e)
{
	struct ipam i;
	int rc = ipam_open(&i, c, e);

	if (rc == 0 && !entry_find(&i, container_id, ret_ip))
		rc = err_set(e, ERR_NOT_FOUND, "container '%.64s' has no address", container_id);
	ipam_close(&i);
	return rc;
}

int ipam_release(const struct cni_conf *c, const char *container_id, struct err *e)
{
	struct ipam i;
	struct in_addr ip;
	char name[INET_ADDRSTRLEN];
	int rc = ipam_open(&i, c, e);

	while (rc == 0 && entry_find(&i, container_id, &ip)) {
		inet_ntop(AF_INET, &ip, name, sizeof(name));
		if (unlinkat(i.dir_fd, name, 0) == -1 && errno != ENOENT)
			rc = err_errno(e, errno, "remove address entry '%s'", name);
	}
	ipam_close(&i);
	return rc;
}
