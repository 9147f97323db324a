// SPDX-License-Identifier: GPL-2.0-only
/* What is UTF-8: RFC 3629, without surrogates and overlong forms. */
#include <stdint.h>

#include "base/utf8.h"

#define MAX_VALUE	0x10ffffu
#define FIRST_SURROGATE	0xd800u
#define LAST_SURROGATE	0xdfffu

size_t utf8_character_bytes(const char *text)
{
	/* The least value that needs that many bytes after the first. */
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)text;
	unsigned int more, i;
	uint32_t value;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc0 || at[0] > 0xf7)
		return 0;
	more = at[0] < 0xe0 ? 1 : at[0] < 0xf0 ? 2 : 3;
	value = at[0] & (0x3f >> more);
	for (i = 1; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3f);
	}
	if (value < least[more] || value > MAX_VALUE ||
	    (value >= FIRST_SURROGATE && value <= LAST_SURROGATE))
		return 0;
	return 1 + more;
}
