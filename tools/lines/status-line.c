// SPDX-License-Identifier: GPL-2.0-only
/* Table and status lines of the target alloctrack, word by word. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "lines/status-line.h"
#include "base/words.h"
#include "dm-live-words.h"

#define NR_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static const char *const state_names[] = { ALLOCTRACK_STATES(DM_LIVE_WORD) };
static const char *const on_error_names[] = { ALLOCTRACK_ON_ERROR(DM_LIVE_WORD) };

enum feature { ALLOCTRACK_FEATURES(DM_LIVE_NUMBER) };

static const char *const feature_names[] = { ALLOCTRACK_FEATURES(DM_LIVE_WORD) };

const char *state_name(enum dm_alloctrack_state state)
{
	return state < NR_ELEMENTS(state_names) ? state_names[state] :
						  "unknown";
}

const char *on_error_name(enum dm_alloctrack_on_error on_error)
{
	return on_error < NR_ELEMENTS(on_error_names) ?
	       on_error_names[on_error] : "unknown";
}

int on_error_parse(const char *name, enum dm_alloctrack_on_error *on_error)
{
	int index = name_index(on_error_names, NR_ELEMENTS(on_error_names),
			      name);

	if (index < 0)
		return index;
	*on_error = index;
	return 0;
}

static int next_state(const char **text, enum dm_alloctrack_state *state)
{
	unsigned int index;

	if (next_name(text, state_names, NR_ELEMENTS(state_names), &index))
		return -EINVAL;
	*state = index;
	return 0;
}

static void take_flag(struct alloctrack_features *features, const char *name)
{
	features->copy_on_read |= !strcmp(name, "copy_on_read");
	features->target_is_zero |= !strcmp(name, "target_is_zero");
	features->no_detect_zeroes |= !strcmp(name, "no_detect_zeroes");
}

/* One feature and its value. Unknown ones come from a newer kernel. */
static int next_feature(const char **params, uint64_t *nr_words,
			struct alloctrack_features *features)
{
	char name[STATUS_WORD_BYTES], value[STATUS_WORD_BYTES];
	int feature;

	if (next_word(params, name, sizeof(name)))
		return -EINVAL;
	(*nr_words)--;
	feature = name_index(feature_names, NR_ELEMENTS(feature_names), name);
	if (feature < STREAM_SPEED) {
		take_flag(features, name);
		return 0;
	}

	if (!*nr_words || next_word(params, value, sizeof(value)))
		return -EINVAL;
	(*nr_words)--;
	if (feature == STREAM_SPEED)
		return number_parse(value, UINT64_MAX, &features->stream_speed);
	if (feature == ON_ERROR)
		return on_error_parse(value, &features->on_error);
	return number_parse(value, UINT64_MAX, &features->user_timeout_s);
}

/* [<#words> <feature>...] */
static int next_features(const char **params,
			 struct alloctrack_features *features)
{
	uint64_t nr_words;

	if (!*(*params + strspn(*params, " ")))
		return 0;
	if (next_number(params, &nr_words))
		return -EINVAL;
	while (nr_words)
		if (next_feature(params, &nr_words, features))
			return -EINVAL;
	return 0;
}

int status_line_parse(const char *params, struct alloctrack_status *status)
{
	memset(status, 0, sizeof(*status));
	if (next_word(&params, status->meta, sizeof(status->meta)) ||
	    next_state(&params, &status->state) ||
	    next_fraction(&params, &status->allocated_blocks,
			  &status->total_blocks) || !status->total_blocks ||
	    next_block_size(&params, &status->block_bytes) ||
	    next_number(&params, &status->streamed_bytes) ||
	    next_number(&params, &status->read_errors) ||
	    next_number(&params, &status->write_errors))
		return -EINVAL;
	return next_features(&params, &status->features);
}

int table_line_parse(const char *params, struct alloctrack_table *table)
{
	memset(table, 0, sizeof(*table));
	if (next_word(&params, table->file, sizeof(table->file)) ||
	    next_word(&params, table->backing, sizeof(table->backing)) ||
	    next_word(&params, table->meta, sizeof(table->meta)) ||
	    next_block_size(&params, &table->block_bytes))
		return -EINVAL;
	return next_features(&params, &table->features);
}

uint64_t status_allocated_bytes(const struct alloctrack_status *status,
				uint64_t device_bytes)
{
	uint64_t bytes = status->allocated_blocks * status->block_bytes;

	/* The last block may be short. */
	if (status->allocated_blocks == status->total_blocks ||
	    bytes > device_bytes)
		return device_bytes;
	return bytes;
}
