#include "failmalloc.h"

#include <errno.h>
#include <stdlib.h>

/* The names that the linker's --wrap gives. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool armed, fired;
static size_t count, fail_at;

void failmalloc_arm(size_t n)
{
	armed = true;
	fired = false;
	count = 0;
	fail_at = n;
}

void failmalloc_disarm(void)
{
	armed = false;
}

size_t failmalloc_count(void)
{
	return count;
}

bool failmalloc_fired(void)
{
	return fired;
}

static bool is_to_fail(void)
{
	if (!armed || ++count != fail_at)
		return false;
	fired = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_to_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return is_to_fail() ? NULL : __real_realloc(p, size);
}
