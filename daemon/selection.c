#include "selection.h"

#include <stdio.h>

bool selection_is_any(const struct selection *s, uint64_t limit)
{
	return s->max_size != 0 || s->since != 0 || s->before != 0 || s->skip_deleted || limit != UINT64_MAX;
}

enum selection_why selection_judge_size(const struct selection *s, uint64_t limit, uint64_t size)
{
	if (size > limit)
		return SELECTION_LIMIT;
	return s->max_size != 0 && size > s->max_size ? SELECTION_MAX_SIZE : SELECTION_WANTED;
}

enum selection_why selection_judge(const struct selection *s, uint64_t limit, const struct resp_fetch *m)
{
	struct date date;

	if (s->skip_deleted && (m->flags.system & FLAG_DELETED) != 0)
		return SELECTION_DELETED;
	if ((s->since != 0 || s->before != 0) && date_parse(m->internaldate, &date)) {
		uint32_t day = date_day(date);

		if (s->since != 0 && day < s->since)
			return SELECTION_SINCE;
		if (s->before != 0 && day >= s->before)
			return SELECTION_BEFORE;
	}
	return (m->has & FETCH_SIZE) != 0 ? selection_judge_size(s, limit, m->announced_size) : SELECTION_WANTED;
}

static void print_day(const char *before, uint32_t day, const char *behind, char ret[SELECTION_TEXT])
{
	snprintf(ret, SELECTION_TEXT, "%s %04u-%02u-%02u %s", before, day / 10000, day / 100 % 100, day % 100, behind);
}

void selection_reason(const struct selection *s, uint64_t limit, enum selection_why why, uint64_t size, char ret[SELECTION_TEXT])
{
	switch (why) {
	case SELECTION_DELETED:
		snprintf(ret, SELECTION_TEXT, "it has the flag \\Deleted (skip_deleted)");
		break;
	case SELECTION_SINCE:
		print_day("it arrived before", s->since, "(since)", ret);
		break;
	case SELECTION_BEFORE:
		print_day("it did not arrive before", s->before, "(before)", ret);
		break;
	case SELECTION_MAX_SIZE:
		snprintf(ret, SELECTION_TEXT, "it has %llu bytes, more than the %llu of max_size", (unsigned long long)size,
			(unsigned long long)s->max_size);
		break;
	case SELECTION_LIMIT:
		snprintf(ret, SELECTION_TEXT, "it has %llu bytes, more than the %llu that the target takes (APPENDLIMIT)",
			(unsigned long long)size, (unsigned long long)limit);
		break;
	case SELECTION_WANTED:
	case SELECTION_WHY_N:
		ret[0] = '\0';
		break;
	}
}

void selection_print(const struct selection *s, uint64_t limit, char ret[SELECTION_TEXT])
{
	int n = 0;

	ret[0] = '\0';
	if (s->max_size != 0)
		n += snprintf(ret + n, SELECTION_TEXT - (size_t)n, " max_size=%llu", (unsigned long long)s->max_size);
	if (s->since != 0)
		n += snprintf(ret + n, SELECTION_TEXT - (size_t)n, " since=%u", s->since);
	if (s->before != 0)
		n += snprintf(ret + n, SELECTION_TEXT - (size_t)n, " before=%u", s->before);
	if (s->skip_deleted)
		n += snprintf(ret + n, SELECTION_TEXT - (size_t)n, " skip_deleted");
	if (limit != UINT64_MAX)
		snprintf(ret + n, SELECTION_TEXT - (size_t)n, " limit=%llu", (unsigned long long)limit);
}
