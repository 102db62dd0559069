/* resolve.c - getaddrinfo() of whichever libc it is built with: the addresses of a name, one a line, or the error.
 *
 * resolve NAME [loop]: "loop" asks again every 50 ms until it is killed, telling changes only.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(const char *name, char *out, size_t size)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *all, *a;
	int rc = getaddrinfo(name, NULL, &hints, &all);

	out[0] = '\0';
	if (rc) {
		snprintf(out, size, "%s\n", gai_strerror(rc));
		return 1;
	}
	for (a = all; a; a = a->ai_next) {
		char ip[INET_ADDRSTRLEN];
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr, ip, sizeof(ip));
		size_t n = strlen(out);
		snprintf(out + n, size - n, "%s\n", ip);
	}
	freeaddrinfo(all);
	return 0;
}

int main(int argc, char **argv)
{
	char now[1024], before[1024] = "";

	if (argc < 2)
		return 2;
	for (;;) {
		int rc = ask(argv[1], now, sizeof(now));
		if (strcmp(now, before) != 0) {
			fputs(now, stdout);
			fflush(stdout);
		}
		if (argc < 3)
			return rc;
		memcpy(before, now, sizeof(now));
		usleep(50000);
	}
}
