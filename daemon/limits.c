#include "limits.h"

#include <assert.h>
#include <stdio.h>

void limits_init(struct limits *l, const char *server, uint32_t max)
{
	assert(max > 0);
	*l = (struct limits){ .server = server, .max = max };
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

enum limits_door limits_door(const struct limits *l, uint64_t now)
{
	if (!l->down)
		return DOOR_OPEN;
	if (l->probing)
		return DOOR_BUSY;
	return now < l->down_until ? DOOR_DOWN : DOOR_PROBE;
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
