// SPDX-License-Identifier: GPL-2.0-only
/* Table lines of the target cbw. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lines/cbw-table.h"
#include "base/size.h"

#define SECTOR_BYTES 512u

#define NR_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

enum feature { CBW_FEATURES(DM_LIVE_NUMBER) };

static const char *const feature_names[] = { CBW_FEATURES(DM_LIVE_WORD) };
static const char *const on_error_names[] = { CBW_ON_ERROR(DM_LIVE_WORD) };
static const char *const on_cbw_error_names[] = { CBW_ON_CBW_ERROR(DM_LIVE_WORD) };
static const char *const on_meta_error_names[] = { CBW_ON_META_ERROR(DM_LIVE_WORD) };

static const char *on_error_name(enum cbw_on_error on_error)
{
	return on_error < NR_ELEMENTS(on_error_names) ?
	       on_error_names[on_error] : "unknown";
}

static int take_on_error(const char *name, enum cbw_on_error *on_error)
{
	int index = name_index(on_error_names, NR_ELEMENTS(on_error_names),
			      name);

	if (index < 0)
		return index;
	*on_error = index;
	return 0;
}

static int take_store(struct cbw_features *features, enum cbw_store store,
		      const char *value)
{
	features->store = store;
	snprintf(features->store_device, sizeof(features->store_device), "%s",
		 value);
	return 0;
}

static int take_on_cbw_error(struct cbw_features *features, const char *value)
{
	int index = name_index(on_cbw_error_names,
			      NR_ELEMENTS(on_cbw_error_names), value);

	features->break_snapshot = index == CBW_BREAK_SNAPSHOT;
	return index < 0 ? index : 0;
}

static int take_on_meta_error(struct cbw_features *features, const char *value)
{
	int index = name_index(on_meta_error_names,
			      NR_ELEMENTS(on_meta_error_names), value);

	features->break_tracking = index == CBW_BREAK_TRACKING;
	return index < 0 ? index : 0;
}

static int take_value(struct cbw_features *features, enum feature feature,
		      const char *value)
{
	switch (feature) {
	case TARGET:
		return take_store(features, CBW_STORE_TARGET, value);
	case FLEECE:
		return take_store(features, CBW_STORE_FLEECE, value);
	case BITMAP:
	case NEW_BITMAP:
		features->bitmap_is_new = feature == NEW_BITMAP;
		snprintf(features->bitmap, sizeof(features->bitmap), "%s",
			 value);
		return 0;
	case GENERATION:
		return number_parse(value, UINT64_MAX, &features->generation);
	case ON_META_ERROR:
		return take_on_meta_error(features, value);
	case ON_CBW_ERROR:
		return take_on_cbw_error(features, value);
	case CBW_TIMEOUT:
		return number_parse(value, UINT64_MAX, &features->timeout_ms);
	case JOB_SPEED:
		return number_parse(value, UINT64_MAX, &features->job_speed);
	case JOB_WORKERS:
		return number_parse(value, UINT64_MAX, &features->job_workers);
	case ON_SOURCE_ERROR:
		return take_on_error(value, &features->on_source_error);
	case ON_TARGET_ERROR:
		return take_on_error(value, &features->on_target_error);
	case FLEECE_LOW_WATER:
		features->has_low_water = true;
		return number_parse(value, 100, &features->low_water_percent);
	default:
		return -EINVAL;
	}
}

/* One feature and its value. Unknown ones come from a newer kernel. */
static int next_feature(const char **text, uint64_t *nr_words,
			struct cbw_features *features)
{
	char name[STATUS_WORD_BYTES], value[STATUS_WORD_BYTES];
	int feature;

	if (next_word(text, name, sizeof(name)))
		return -EINVAL;
	(*nr_words)--;
	feature = name_index(feature_names, NR_ELEMENTS(feature_names), name);
	if (feature < 0)
		return 0;
	if (feature == JOB) {
		features->job = true;
		return 0;
	}
	if (!*nr_words || next_word(text, value, sizeof(value)))
		return -EINVAL;
	(*nr_words)--;
	return take_value(features, feature, value);
}

int cbw_features_parse(const char **text, struct cbw_features *features)
{
	uint64_t nr_words;

	if (!*(*text + strspn(*text, " ")))
		return 0;
	if (next_number(text, &nr_words))
		return -EINVAL;
	while (nr_words)
		if (next_feature(text, &nr_words, features))
			return -EINVAL;
	return 0;
}

/* A number of sectors, or "-". */
static int next_block_bytes(const char **params, uint64_t *block_bytes)
{
	char word[STATUS_WORD_BYTES];
	const char *rest = *params;

	*block_bytes = 0;
	if (!next_word(&rest, word, sizeof(word)) && !strcmp(word, "-")) {
		*params = rest;
		return 0;
	}
	return next_block_size(params, block_bytes);
}

int cbw_table_parse(const char *params, struct cbw_table *table)
{
	memset(table, 0, sizeof(*table));
	if (next_word(&params, table->origin, sizeof(table->origin)) ||
	    next_word(&params, table->meta, sizeof(table->meta)) ||
	    next_block_bytes(&params, &table->block_bytes))
		return -EINVAL;
	return cbw_features_parse(&params, &table->features);
}

/* Words that are being composed, and their number. */
struct words {
	char text[CBW_PARAMS_BYTES];
	size_t length;
	unsigned int nr;
};

static void add(struct words *words, enum feature feature, const char *value)
{
	size_t room = sizeof(words->text) - words->length;
	int length;

	length = snprintf(words->text + words->length, room, " %s%s%s",
			  feature_names[feature], value ? " " : "",
			  value ? value : "");
	words->length += (size_t)length < room ? (size_t)length : room - 1;
	words->nr += value ? 2 : 1;
}

static void add_number(struct words *words, enum feature feature,
		       uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	add(words, feature, text);
}

static void add_job(struct words *words, const struct cbw_features *features)
{
	if (features->job)
		add(words, JOB, NULL);
	if (features->job_speed)
		add_number(words, JOB_SPEED, features->job_speed);
	if (features->job_workers)
		add_number(words, JOB_WORKERS, features->job_workers);
	if (features->on_source_error)
		add(words, ON_SOURCE_ERROR,
		    on_error_name(features->on_source_error));
	if (features->on_target_error)
		add(words, ON_TARGET_ERROR,
		    on_error_name(features->on_target_error));
}

/* Without a session, the target refuses the features of one. */
static void add_session(struct words *words,
			const struct cbw_features *features)
{
	if (features->store == CBW_STORE_NONE)
		return;
	add(words, features->store == CBW_STORE_TARGET ? TARGET : FLEECE,
	    features->store_device);
	if (features->bitmap[0])
		add(words, features->bitmap_is_new ? NEW_BITMAP : BITMAP,
		    features->bitmap);
	if (features->generation)
		add_number(words, GENERATION, features->generation);
	if (features->break_snapshot)
		add(words, ON_CBW_ERROR, on_cbw_error_names[CBW_BREAK_SNAPSHOT]);
	if (features->timeout_ms)
		add_number(words, CBW_TIMEOUT, features->timeout_ms);
	if (features->store == CBW_STORE_TARGET)
		add_job(words, features);
	else if (features->has_low_water)
		add_number(words, FLEECE_LOW_WATER,
			   features->low_water_percent);
}

int cbw_table_format(const struct cbw_table *table, char *params,
		     size_t params_bytes)
{
	struct words words = { .text = "" };
	char block_size[24] = "-";
	int length;

	if (table->features.break_tracking)
		add(&words, ON_META_ERROR, on_meta_error_names[CBW_BREAK_TRACKING]);
	add_session(&words, &table->features);
	if (table->block_bytes)
		snprintf(block_size, sizeof(block_size), "%" PRIu64,
			 table->block_bytes / SECTOR_BYTES);
	length = snprintf(params, params_bytes, "%s %s %s %u%s", table->origin,
			  table->meta, block_size, words.nr, words.text);
	return length > 0 && (size_t)length < params_bytes &&
	       words.length + 1 < sizeof(words.text) ? 0 : -EINVAL;
}
