// SPDX-License-Identifier: GPL-2.0-only
/* Who holds a block device, see holder.h. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "block/dm.h"
#include "block/dm-uuid.h"
#include "block/holder.h"
#include "block/sysfs.h"

/* Devices can be stacked higher, but a message must end somewhere. */
#define MAX_DEPTH 4

struct holder {
	const char *device;		/* in sysfs */
	char name[DM_NAME_BYTES];	/* of a mapped device, or "" */
	char uuid[129];
	char target[32];
	char group[DM_NAME_BYTES], volume[DM_NAME_BYTES];	/* or "" */
};

static void read_word(const char *device, const char *attribute, char *word,
		      size_t word_bytes)
{
	if (!sysfs_read(word, word_bytes, "/sys/block/%.64s/dm/%s", device,
			attribute))
		word[0] = '\0';
}

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static void look_at(const char *device, struct holder *holder)
{
	struct dm_line line = { 0 };

	memset(holder, 0, sizeof(*holder));
	holder->device = device;
	read_word(device, "name", holder->name, sizeof(holder->name));
	read_word(device, "uuid", holder->uuid, sizeof(holder->uuid));
	if (!holder->name[0])
		return;
	if (!dm_get_line(holder->name, DM_LINE_TABLE, &line, NULL))
		snprintf(holder->target, sizeof(holder->target), "%s",
			 line.target);
	dm_line_free(&line);
	if (!dm_uuid_is_lv(holder->uuid) || dm_uuid_is_inner(holder->uuid) ||
	    !dm_split_lv_name(holder->name, holder->group,
			      sizeof(holder->group), holder->volume,
			      sizeof(holder->volume)))
		holder->volume[0] = '\0';
}

static bool is_cbw(const struct holder *holder)
{
	return !strcmp(holder->target, "cbw");
}

static bool is_restored(const struct holder *holder)
{
	return holder && !strcmp(holder->target, "alloctrack");
}

static const char *role_of(const struct holder *holder)
{
	if (is_restored(holder))
		return ", which is being restored";
	if (is_cbw(holder))
		return ", which is attached for backups";
	if (!strcmp(holder->target, "cbw-snapshot"))
		return ", a view for a backup";
	if (dm_uuid_is_inner(holder->uuid))
		return ", which is the inner device of an attached one";
	return "";
}

static void add(char *text, size_t text_bytes, const char *what,
		const char *name)
{
	size_t length = strlen(text);

	snprintf(text + length, text_bytes - length, "%s%s %s",
		 length ? "; " : "", what, name);
}

/* The command that removes it when nothing uses it and it is not attached any more. */
static void add_removal(const struct holder *holder, char *text,
			size_t text_bytes)
{
	char name[2 * DM_NAME_BYTES];

	if (holder->volume[0]) {
		snprintf(name, sizeof(name), "%s/%s", holder->group,
			 holder->volume);
		add(text, text_bytes, "lvchange -an", name);
	} else if (has_prefix(holder->uuid, "CRYPT-")) {
		add(text, text_bytes, "cryptsetup close", holder->name);
	} else if (has_prefix(holder->uuid, "mpath-")) {
		add(text, text_bytes, "multipath -f", holder->name);
	} else if (holder->name[0]) {
		add(text, text_bytes, "dmsetup remove", holder->name);
	} else if (has_prefix(holder->device, "md")) {
		snprintf(name, sizeof(name), "/dev/%.64s", holder->device);
		add(text, text_bytes, "mdadm --stop", name);
	}
}

static void add_commands(const struct holder *holder,
			 const struct holder *lower, unsigned int depth,
			 char *text, size_t text_bytes);

/* Devices that lie on it come first; @upper is the last of them. */
static bool add_upper(const struct holder *holder, unsigned int depth,
		      char *text, size_t text_bytes, struct holder *upper)
{
	glob_t list;
	size_t i;

	if (depth == MAX_DEPTH)
		return false;
	sysfs_list(&list, "/sys/block/%.64s/holders/*", holder->device);
	for (i = 0; i < list.gl_pathc; i++) {
		look_at(basename(list.gl_pathv[i]), upper);
		add_commands(upper, holder, depth + 1, text, text_bytes);
	}
	globfree(&list);
	upper->device = NULL;
	return i;
}

/* @lower: what it lies on, NULL: the device in question */
static void add_commands(const struct holder *holder,
			 const struct holder *lower, unsigned int depth,
			 char *text, size_t text_bytes)
{
	struct holder upper = { 0 };
	bool found = add_upper(holder, depth, text, text_bytes, &upper);

	/* Under a restore, cbw cannot be detached: both are removed. */
	if (is_restored(lower) || is_restored(holder))
		add_removal(holder, text, text_bytes);
	else if (is_cbw(holder))
		add(text, text_bytes, "dmlive detach", holder->name);
	else if (!dm_uuid_is_inner(holder->uuid) || !found)
		add_removal(holder, text, text_bytes);
	else if (is_cbw(&upper))
		/* After the detach the upper one has the inner one's table again. */
		add_removal(&upper, text, text_bytes);
}

const char *holder_describe(const char *device, char *text, size_t text_bytes)
{
	char who[2 * DM_NAME_BYTES + 64], commands[1024] = "";
	struct holder holder;

	look_at(device, &holder);
	if (holder.volume[0])
		snprintf(who, sizeof(who), "the logical volume %s/%s",
			 holder.group, holder.volume);
	else if (holder.name[0])
		snprintf(who, sizeof(who), "the mapped device %s", holder.name);
	else
		snprintf(who, sizeof(who), "the block device %.64s", device);
	add_commands(&holder, NULL, 0, commands, sizeof(commands));
	if (commands[0])
		snprintf(text, text_bytes, "%s%s; to %s: %s", who,
			 role_of(&holder),
			 is_restored(&holder) ? "give the restore up" :
						"free it",
			 commands);
	else
		snprintf(text, text_bytes, "%s; remove that first", who);
	return text;
}
