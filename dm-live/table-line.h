/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_TABLE_LINE_H
#define DM_LIVE_TABLE_LINE_H

/*
 * What the targets' constructors share: how an argument of a table line is refused,
 * and the list of features that a line ends with.
 *
 * In a header, since the log names the target by its DM_MSG_PREFIX.
 *
 * Context: a constructor; may sleep.
 */

#include <linux/device-mapper.h>
#include <linux/string.h>

/**
 * dm_live_refuse - refuse an argument
 * @argument: what it stands for
 * @value: as it was given; the log has both
 * @error: why; device mapper logs it
 * Return: @r
 */
static inline int dm_live_refuse(struct dm_target *ti, const char *argument,
				 const char *value, char *error, int r)
{
	DMERR("%s: %s '%s' is refused", dm_table_device_name(ti->table),
	      argument, value);
	ti->error = error;
	return r;
}

/**
 * struct dm_live_features - the features that a target has
 * @names: their names
 * @nr: how many there are; at most 32
 * @first_with_value: this one and all behind it have a value
 * @set: takes one, with its value or NULL; 0 or an error, which it has refused
 */
struct dm_live_features {
	const char *const *names;
	unsigned int nr;
	unsigned int first_with_value;
	int (*set)(void *context, unsigned int feature, const char *value);
};

/* Takes the name of one feature, and its value, from @args. */
static inline int dm_live_parse_feature(struct dm_target *ti,
					const struct dm_live_features *features,
					struct dm_arg_set *args, void *context,
					u32 *seen)
{
	const char *name = dm_shift_arg(args);
	const char *value = NULL;
	int feature = match_string(features->names, features->nr, name);

	if (feature < 0)
		return dm_live_refuse(ti, "feature", name, "Unknown feature",
				      -EINVAL);
	if (*seen & BIT(feature))
		return dm_live_refuse(ti, "feature", name,
				      "A feature is given twice", -EINVAL);
	*seen |= BIT(feature);
	if (feature >= features->first_with_value) {
		value = dm_shift_arg(args);
		if (!value)
			return dm_live_refuse(ti, "feature", name,
					      "The value of the last feature is missing",
					      -EINVAL);
	}
	return features->set(context, feature, value);
}

/**
 * dm_live_parse_features - take [<#features> <feature>...], all that is left
 * @context: for features->set()
 * @seen: out: a bit for each feature that was given
 */
static inline int dm_live_parse_features(struct dm_target *ti,
					 const struct dm_live_features *features,
					 struct dm_arg_set *args, void *context,
					 u32 *seen)
{
	const char *count = dm_shift_arg(args);
	unsigned int nr;
	int r = 0;

	*seen = 0;
	if (!count)
		return 0;
	/* Not dm_read_arg_group(): there 2^32 is a zero. */
	if (kstrtouint(count, 10, &nr))
		return dm_live_refuse(ti, "number of features", count,
				      "The number of features is not a number",
				      -EINVAL);
	if (nr != args->argc)
		return dm_live_refuse(ti, "number of features", count,
				      "The number of features is not that of the words after it",
				      -EINVAL);
	while (args->argc && !r)
		r = dm_live_parse_feature(ti, features, args, context, seen);
	return r;
}

#endif /* DM_LIVE_TABLE_LINE_H */
