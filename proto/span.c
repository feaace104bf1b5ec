#include "span.h"

static unsigned char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool span_eq_nocase(struct span a, struct span b)
{
	return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool span_starts_nocase(struct span s, struct span prefix)
{
	return s.n >= prefix.n && same_nocase(s.p, prefix.p, prefix.n);
}

int span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n != 0 ? memcmp(a.p, b.p, n) : 0;

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

struct span span_from(struct span s, size_t from)
{
	if (from == 0)
		return s;
	return from < s.n ? span_of(s.p + from, s.n - from) : SPAN_NONE;
}

struct span span_first(struct span s, size_t n)
{
	return span_of(s.p, n < s.n ? n : s.n);
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_blank(*s.p)) {
		s.p++;
		s.n--;
	}
	return s;
}

size_t span_find(struct span s, char c)
{
	const char *at = s.n != 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t span_search_nocase(struct span s, struct span what)
{
	for (size_t i = 0; what.n <= s.n && i <= s.n - what.n; i++)
		if (what.n == 0 || same_nocase(s.p + i, what.p, what.n))
			return i;
	return SIZE_MAX;
}

static bool to_number(struct span s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

		if (digit > 9 || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

bool span_to_u32(struct span s, uint32_t *ret)
{
	uint64_t v;

	if (!to_number(s, UINT32_MAX, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool span_to_u64(struct span s, uint64_t *ret)
{
	return to_number(s, UINT64_MAX, ret);
}
