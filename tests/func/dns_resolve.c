/* dns_resolve NAME… - what getaddrinfo() says of each: "NAME: ADDRESS…", or its error; built with every libc that pods have. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void print_address(const struct addrinfo *a)
{
	char text[INET6_ADDRSTRLEN];
	const void *ip = a->ai_family == AF_INET ? (const void *)&((const struct sockaddr_in *)a->ai_addr)->sin_addr :
						   &((const struct sockaddr_in6 *)a->ai_addr)->sin6_addr;

	printf(" %s", inet_ntop(a->ai_family, ip, text, sizeof(text)));
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;

	for (int i = 1; i < argc; i++) {
		int rc = getaddrinfo(argv[i], NULL, &hints, &list);
		printf("%s:", argv[i]);
		if (rc) {
			printf(" %s\n", rc == EAI_NONAME ? "no such name" : rc == EAI_AGAIN ? "try again" : gai_strerror(rc));
			continue;
		}
		for (const struct addrinfo *a = list; a; a = a->ai_next)
			print_address(a);
		printf("\n");
		freeaddrinfo(list);
	}
	return 0;
}
