/* lookups: getaddrinfo() in place of the system's, in programs that include this: names in .test are answered here, everything is counted. */
#ifndef GODWIT_TESTS_LOOKUPS_H
#define GODWIT_TESTS_LOOKUPS_H

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int lookups;
static const char *lookup_addresses; /* of every name in .test: up to eight, separated by blanks; NULL: there is none */
static bool lookup_without_files;    /* names in .test: no descriptor left */
static sem_t *lookup_gate;           /* who asks waits for it; NULL: nobody waits */

static int lookup_test(const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo **last = ret;
	char copy[256], *at = copy, *one;
	if (lookup_without_files) {
		errno = EMFILE;
		return EAI_SYSTEM;
	}
	snprintf(copy, sizeof(copy), "%s", lookup_addresses != NULL ? lookup_addresses : "");
	*ret = NULL;
	while ((one = strsep(&at, " ")) != NULL && *one != '\0') {
		if (real(one, NULL, hints, last) != 0)
			abort();
		last = &(*last)->ai_next;
	}
	return *ret != NULL ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	lookups++;
	if (lookup_gate != NULL)
		sem_wait(lookup_gate);
	size_t n = host != NULL ? strlen(host) : 0;
	if (n > 0 && host[n - 1] == '.')
		n--;
	if (n < 5 || strncmp(host + n - 5, ".test", 5) != 0)
		return real(host, service, hints, ret);
	return lookup_test(hints, ret);
}

#endif
