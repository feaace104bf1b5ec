#include "utf7.h"

#include "err.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* ASCII that stands for itself, '&' included. */
static bool is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool is_high_surrogate(uint32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(uint32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static int put_utf8(struct buf *out, uint32_t c)
{
	char p[4];

	if (c < 0x80)
		return buf_add_char(out, (char)c);
	if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 0x3f));
		return buf_append(out, span_of(p, 2));
	}
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		return buf_append(out, span_of(p, 3));
	}
	p[0] = (char)(0xf0 | c >> 18);
	p[1] = (char)(0x80 | (c >> 12 & 0x3f));
	p[2] = (char)(0x80 | (c >> 6 & 0x3f));
	p[3] = (char)(0x80 | (c & 0x3f));
	return buf_append(out, span_of(p, 4));
}

size_t utf8_take(struct span s, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first;
	size_t n;
	uint32_t c;

	if (s.n == 0)
		return 0;
	first = (unsigned char)s.p[0];
	n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
	if (n == 0 || n > s.n)
		return 0;
	c = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)s.p[i] & 0x3fu);
	}
	if (c < smallest[n] || c > 0x10ffff || is_high_surrogate(c) || is_low_surrogate(c))
		return 0;
	*ret = c;
	return n;
}

bool utf8_is_valid(struct span s)
{
	uint32_t c;

	while (s.n != 0) {
		size_t n = utf8_take(s, &c);

		if (n == 0)
			return false;
		s = span_from(s, n);
	}
	return true;
}

/* One shift while it is read: bits that do not make a unit yet, and a high surrogate that waits for its other half. */
struct shift {
	uint32_t bits, high;
	unsigned bit_n;
};

static int take_unit(struct buf *out, struct shift *shift, uint32_t unit)
{
	uint32_t high = shift->high;

	if ((high != 0) != is_low_surrogate(unit) || is_direct(unit))
		return PROTO_ERR_SYNTAX;
	shift->high = is_high_surrogate(unit) ? unit : 0;
	if (shift->high != 0)
		return 0;
	return put_utf8(out, high != 0 ? 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff) : unit);
}

/* The base64 between '&' and '-'. What is left over must be the padding of the last unit and nothing else. */
static int decode_shift(struct buf *out, struct span digits)
{
	struct shift shift = { 0 };

	for (size_t i = 0; i < digits.n; i++) {
		size_t value = span_find(span_of(base64, 64), digits.p[i]);
		int err = 0;

		if (value == SIZE_MAX)
			return PROTO_ERR_SYNTAX;
		shift.bits = shift.bits << 6 | (uint32_t)value;
		shift.bit_n += 6;
		if (shift.bit_n >= 16) {
			shift.bit_n -= 16;
			err = take_unit(out, &shift, shift.bits >> shift.bit_n);
			shift.bits &= (1u << shift.bit_n) - 1;
		}
		if (err != 0)
			return err;
	}
	return shift.high != 0 || shift.bit_n >= 6 || shift.bits != 0 ? PROTO_ERR_SYNTAX : 0;
}

static int decode(struct buf *out, struct span in)
{
	bool was_shift = false;

	while (in.n != 0) {
		int err;
		size_t end;

		if (*in.p != '&') {
			if (!is_direct((unsigned char)*in.p))
				return PROTO_ERR_SYNTAX;
			err = buf_add_char(out, *in.p);
			end = 0;
			was_shift = false;
		} else {
			end = span_find(in, '-');
			if (end == SIZE_MAX || (was_shift && end > 1))
				return PROTO_ERR_SYNTAX;
			was_shift = end > 1;
			err = was_shift ? decode_shift(out, span_of(in.p + 1, end - 1)) : buf_add_char(out, '&');
		}
		if (err != 0)
			return err;
		in = span_from(in, end + 1);
	}
	return 0;
}

int utf7_decode(struct buf *out, struct span in)
{
	size_t before = out->n;
	int err = decode(out, in);

	if (err != 0)
		buf_truncate(out, before);
	return err;
}

static int put_unit(struct buf *out, struct shift *shift, uint32_t unit)
{
	int err = 0;

	shift->bits = shift->bits << 16 | unit;
	for (shift->bit_n += 16; err == 0 && shift->bit_n >= 6; shift->bit_n -= 6)
		err = buf_add_char(out, base64[shift->bits >> (shift->bit_n - 6) & 0x3f]);
	return err;
}

static int end_shift(struct buf *out, const struct shift *shift)
{
	int err = 0;

	if (shift->bit_n != 0)
		err = buf_add_char(out, base64[shift->bits << (6 - shift->bit_n) & 0x3f]);
	return err != 0 ? err : buf_add_char(out, '-');
}

static int put_direct(struct buf *out, char c)
{
	return c == '&' ? buf_add_str(out, "&-") : buf_add_char(out, c);
}

static int encode(struct buf *out, struct span utf8)
{
	struct shift shift = { 0 };
	bool in_shift = false;
	int err = 0;

	while (err == 0 && utf8.n != 0) {
		uint32_t c;
		size_t n = utf8_take(utf8, &c);

		if (n == 0)
			return PROTO_ERR_SYNTAX;
		utf8 = span_from(utf8, n);
		if (in_shift == is_direct(c)) {
			err = in_shift ? end_shift(out, &shift) : buf_add_char(out, '&');
			in_shift = !in_shift;
			shift = (struct shift){ 0 };
		}
		if (err == 0 && !in_shift) {
			err = put_direct(out, (char)c);
		} else if (err == 0 && c < 0x10000) {
			err = put_unit(out, &shift, c);
		} else if (err == 0) {
			err = put_unit(out, &shift, 0xd800 | (c - 0x10000) >> 10);
			if (err == 0)
				err = put_unit(out, &shift, 0xdc00 | (c & 0x3ff));
		}
	}
	return err == 0 && in_shift ? end_shift(out, &shift) : err;
}

int utf7_encode(struct buf *out, struct span utf8)
{
	size_t before = out->n;
	int err = encode(out, utf8);

	if (err != 0)
		buf_truncate(out, before);
	return err;
}
