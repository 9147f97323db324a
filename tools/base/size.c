// SPDX-License-Identifier: GPL-2.0-only
/* Sizes, numbers and durations: parsing and formatting. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"

static const char units[] = "KMGTP";

/* The digits at *@text as a number. */
static int parse_digits(const char **text, uint64_t max, uint64_t *number)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		unsigned int digit = *p - '0';

		if (digit > max || value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*number = value;
	*text = p;
	return 0;
}

int number_parse(const char *text, uint64_t max, uint64_t *number)
{
	return parse_digits(&text, max, number) || *text ? -EINVAL : 0;
}

/* The fraction after the point, in units of 1/1000000. */
static int parse_fraction(const char **text, uint64_t *millionths)
{
	uint64_t scale = 100000;

	*millionths = 0;
	if (**text != '.')
		return 0;
	(*text)++;
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	for (; isdigit((unsigned char)**text); (*text)++, scale /= 10)
		*millionths += (**text - '0') * scale;
	return 0;
}

/* Parse a unit as a shift: 0 when there is none. */
static int parse_unit(const char *text, unsigned int *shift)
{
	const char *unit;

	*shift = 0;
	if (!*text || !strcasecmp(text, "B"))
		return 0;
	unit = strchr(units, toupper((unsigned char)*text));
	if (!unit)
		return -EINVAL;
	text++;
	if (*text && strcasecmp(text, "B") && strcasecmp(text, "iB"))
		return -EINVAL;
	*shift = 10 * (unit - units + 1);
	return 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
	uint64_t number, millionths, part;
	unsigned int shift;
	int r;

	r = parse_digits(&text, UINT64_MAX, &number);
	if (r)
		return r;
	if (parse_fraction(&text, &millionths) || parse_unit(text, &shift))
		return -EINVAL;
	if (millionths && !shift)
		return -EINVAL;
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	part = (uint64_t)(((unsigned __int128)millionths << shift) / 1000000);
	number <<= shift;
	if (number > UINT64_MAX - part)
		return -ERANGE;
	*bytes = number + part;
	return 0;
}

const char *size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES])
{
	unsigned int shift = 0;

	while (shift < 50 && bytes >> shift >= 1024)
		shift += 10;
	if (!shift)
		snprintf(text, SIZE_TEXT_BYTES, "%" PRIu64 " B", bytes);
	else
		snprintf(text, SIZE_TEXT_BYTES, "%.1f %ciB",
			 (double)bytes / (double)(1ULL << shift),
			 units[shift / 10 - 1]);
	return text;
}

const char *duration_format(uint64_t seconds, char text[SIZE_TEXT_BYTES])
{
	if (seconds < 60)
		snprintf(text, SIZE_TEXT_BYTES, "%" PRIu64 " s", seconds);
	else if (seconds < 3600)
		snprintf(text, SIZE_TEXT_BYTES, "%" PRIu64 ":%02" PRIu64,
			 seconds / 60, seconds % 60);
	else
		snprintf(text, SIZE_TEXT_BYTES,
			 "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64,
			 seconds / 3600, seconds / 60 % 60, seconds % 60);
	return text;
}
