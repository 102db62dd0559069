/* sys_call.h - the calls that every request makes, without being places where a thread can be cancelled (pthread_cancel(3)): nobody
 * cancels threads here, and glibc's wrappers say before and after each call of a process with threads, by an atomic operation,
 * that now would be the time. Results and errno are those of the man pages.
 */
#pragma once

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline ssize_t sys_recv(int fd, void *to, size_t max, int flags)
{
	return syscall(SYS_recvfrom, fd, to, max, flags, NULL, NULL);
}

static inline ssize_t sys_send(int fd, const void *from, size_t len, int flags)
{
	return syscall(SYS_sendto, fd, from, len, flags, NULL, 0);
}

static inline ssize_t sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return syscall(SYS_sendmsg, fd, m, flags);
}

static inline int sys_accept4(int fd, struct sockaddr *peer, socklen_t *len, int flags)
{
	return (int)syscall(SYS_accept4, fd, peer, len, flags);
}

static inline int sys_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	return (int)syscall(SYS_epoll_pwait, fd, events, max, timeout_ms, NULL, 0);
}

static inline int sys_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}
