#include "limits.h"

#include <assert.h>
#include <stdio.h>

/* A login is quick, or slow, when it takes so many times as long as the quickest one and so much more. What lies between changes nothing. */
#define QUICK_TIMES 2
#define QUICK_US 50000
#define SLOW_TIMES 4
#define SLOW_US 200000
/* Of how much a login is slower than the quickest, so small a part is added to that: the way to a server may become longer. */
#define FORGET 1024

void limits_init(struct limits *l, const char *server, uint32_t max)
{
	assert(max > 0);
	*l = (struct limits){ .server = server, .max = max, .window = LOGINS_FIRST };
}

bool limits_take(struct limits *l, uint32_t n)
{
	assert(l->used <= l->max);
	if (n > l->max - l->used)
		return false;
	l->used += n;
	return true;
}

void limits_give(struct limits *l)
{
	assert(l->used > 0);
	l->used--;
}

bool limits_may_log_in(const struct limits *l, uint32_t n)
{
	/* Who needs more than the window has gets it when it is empty. */
	return l->logins == 0 || (l->logins <= l->window && n <= l->window - l->logins);
}

void limits_login(struct limits *l)
{
	l->logins++;
}

void limits_login_over(struct limits *l)
{
	assert(l->logins > 0);
	l->logins--;
}

void limits_login_took(struct limits *l, uint64_t ms)
{
	uint64_t took = ms * 1000 + 1;
	if (l->quickest == 0 || took < l->quickest)
		l->quickest = took;
	else
		l->quickest += (took - l->quickest) / FORGET;
	/* A window that is not used up says nothing about a larger one. */
	if (took <= QUICK_TIMES * l->quickest + QUICK_US) {
		if (l->logins + 1 >= l->window / 2 && l->window < l->max)
			l->window++;
	} else if (took > SLOW_TIMES * l->quickest + SLOW_US && l->window > LOGINS_LEAST) {
		l->window--;
	}
}

enum limits_door limits_door(const struct limits *l, uint64_t now)
{
	if (!l->down)
		return DOOR_OPEN;
	if (l->probing)
		return DOOR_BUSY;
	return now < l->down_until ? DOOR_DOWN : DOOR_PROBE;
}

void limits_doubt(struct limits *l)
{
	l->down = true;
	l->down_until = 0;
}

void limits_hurry(struct limits *l)
{
	l->down_until = 0;
}

void limits_probe(struct limits *l)
{
	assert(l->down && !l->probing);
	l->probing = true;
}

void limits_probe_void(struct limits *l)
{
	l->probing = false;
}

bool limits_failed(struct limits *l, bool probe, uint64_t now, uint64_t interval, const char *words)
{
	if (l->failures < LIMITS_FAILURES)
		l->failures++;
	snprintf(l->words, sizeof(l->words), "%s", words);
	if (l->down) {
		/* Others that were dialling when it went down do not begin a new interval. */
		if (probe) {
			l->probing = false;
			l->down_until = now + interval;
		}
		return false;
	}
	if (l->failures < LIMITS_FAILURES)
		return false;
	l->down = true;
	l->probing = false;
	l->down_until = now + interval;
	return true;
}

bool limits_succeeded(struct limits *l)
{
	bool was_down = l->down;
	l->failures = 0;
	l->down = false;
	l->probing = false;
	return was_down;
}
