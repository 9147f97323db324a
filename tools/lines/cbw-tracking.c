// SPDX-License-Identifier: GPL-2.0-only
/* What a status line says about change tracking, see cbw-tracking.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lines/cbw-table.h"
#include "lines/cbw-tracking.h"

/* Words before the features. */
#define NR_SESSION_WORDS	9

/* A status line never has more. */
#define MAX_BITMAPS		65535u

static int skip_session(const char **text)
{
	struct cbw_features features;
	char word[STATUS_WORD_BYTES];
	int i, r = 0;

	for (i = 0; !r && i < NR_SESSION_WORDS; i++)
		r = next_word(text, word, sizeof(word));
	return r ? r : cbw_features_parse(text, &features);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Characters that would end the word are given as \ and three octal digits. */
static int take_name(const char **text, char **name)
{
	const char *at = *text + strspn(*text, " ");
	const char *end = at + strcspn(at, " ");
	char *to;

	*name = malloc(end - at + 1);
	if (!*name)
		return -ENOMEM;
	for (to = *name; at < end; at++) {
		if (*at != '\\') {
			*to++ = *at;
			continue;
		}
		if (end - at < 4 || !is_octal(at[1]) || !is_octal(at[2]) ||
		    !is_octal(at[3]))
			return -EINVAL;
		*to++ = (at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0');
		at += 3;
	}
	*to = 0;
	*text = end;
	return to > *name ? 0 : -EINVAL;
}

static int take_bitmap(const char **text, struct cbw_tracked_bitmap *bitmap)
{
	static const char *const states[] = {
		"disabled", "recording", "frozen",
	};
	unsigned int state = 0;
	int r;

	r = take_name(text, &bitmap->name) ?:
	    next_number(text, &bitmap->granularity) ?:
	    next_name(text, states, 3, &state) ?:
	    next_number(text, &bitmap->set_bits) ?:
	    next_number(text, &bitmap->generation);
	bitmap->recording = state > 0;
	bitmap->frozen = state == 2;
	return r;
}

int cbw_tracking_parse(const char *params, struct cbw_tracking *tracking)
{
	uint64_t i;
	int r;

	memset(tracking, 0, sizeof(*tracking));
	r = skip_session(&params) ?:
	    next_word(&params, tracking->state, sizeof(tracking->state));
	if (r || !strcmp(tracking->state, "-"))
		return r;
	r = next_fraction(&params, &tracking->open_regions,
			  &tracking->regions) ?:
	    next_number(&params, &tracking->recovered_bits) ?:
	    next_number(&params, &tracking->nr_bitmaps);
	if (r || tracking->nr_bitmaps > MAX_BITMAPS) {
		tracking->nr_bitmaps = 0;
		return -EINVAL;
	}
	tracking->bitmaps = calloc(tracking->nr_bitmaps + 1,
				   sizeof(*tracking->bitmaps));
	if (!tracking->bitmaps) {
		tracking->nr_bitmaps = 0;
		return -ENOMEM;
	}
	for (i = 0; !r && i < tracking->nr_bitmaps; i++)
		r = take_bitmap(&params, &tracking->bitmaps[i]);
	return r;
}

void cbw_tracking_free(struct cbw_tracking *tracking)
{
	uint64_t i;

	for (i = 0; tracking->bitmaps && i < tracking->nr_bitmaps; i++)
		free(tracking->bitmaps[i].name);
	free(tracking->bitmaps);
	tracking->bitmaps = NULL;
}
