// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of a volume that is restored in place, but for that of the restore: see
 * in-place.h. The steps of a fence, and what a process that is killed after each of them
 * leaves behind:
 *
 *  1. the inner device gets the table of the volume: the volume as it was
 *  2. the table that fails all I/O is loaded: the same, and an inactive table
 *  3. the tables are swapped: done
 *
 * The way back is the same, with the inner device removed last.
 */
#include <stdio.h>
#include <string.h>

#include "attach/in-place.h"
#include "attach/swap.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"

#define FENCE_TARGET "error"

bool in_place_is_fenced(const struct volume *volume)
{
	return volume->table.nr_lines == 1 &&
	       !strcmp(volume->table.lines[0].target, FENCE_TARGET);
}

bool in_place_is_loaded_by_other(const struct volume *volume)
{
	struct volume loaded = { 0 };
	bool found;

	if (!volume->dm.has_inactive_table ||
	    dm_get_table(volume->name, true, &loaded.table, NULL))
		return false;
	found = !in_place_is_fenced(&loaded) &&
		strcmp(loaded.table.lines[0].target, "alloctrack");
	dm_table_free(&loaded.table);
	return found;
}

int in_place_refuse_loaded(const struct volume *volume)
{
	error("%s has an inactive table: someone else is changing it; if not: dmsetup clear %s",
	      volume->name, volume->name);
	return EXIT_REFUSED;
}

bool in_place_is_inner_of_other(const struct volume *volume,
				const struct inner *inner)
{
	struct dm_device device;

	return !dm_uuid_is_lv(volume->dm.uuid) &&
	       !dm_get_device(inner->name, &device) && device.open_count > 0;
}

/* LVM may have given the volume another table since the inner device was made. */
static int renew(const struct volume *volume, const struct inner *inner)
{
	struct dm_table present;
	uint32_t cookie = 0;
	bool same;
	int r = dm_get_table(inner->name, false, &present, NULL);

	same = !r && dm_table_equal(&present, &volume->table);
	if (!r)
		dm_table_free(&present);
	if (same)
		return EXIT_OK;
	if (in_place_is_inner_of_other(volume, inner)) {
		error("%s is in use, perhaps by another volume that had the name %s; see dmsetup ls --tree",
		      inner->name, volume->name);
		return EXIT_REFUSED;
	}
	r = dm_load_table(inner->name, &volume->table, volume->dm.read_only) ?:
	    dm_swap_private(inner->name, &cookie);
	dm_wait_for_udev(cookie);
	return r ? EXIT_ERROR : EXIT_OK;
}

int in_place_fill_inner(const struct volume *volume, struct inner *inner)
{
	int status = inner_find(volume, inner);

	if (status)
		return status;
	movable_hide_keys(&volume->table);
	status = inner->exists ? renew(volume, inner) :
				 inner_make(volume, MOVABLE_SHARED, inner);
	if (!status && dm_get_device(inner->name, &inner->dm))
		status = EXIT_ERROR;
	return status;
}

/* How large was the volume when it was fenced last? 0: not known. */
static uint64_t kept_sectors(const struct volume *volume, struct inner *inner)
{
	struct dm_table kept;
	uint64_t nr_sectors;

	if (inner_find(volume, inner) || !inner->exists ||
	    dm_get_table(inner->name, false, &kept, NULL))
		return 0;
	nr_sectors = dm_table_sectors(&kept);
	dm_table_free(&kept);
	return nr_sectors;
}

/*
 * What the inner device maps may belong to another volume by now. It keeps its size, which
 * shows whether the volume is reduced.
 */
static void void_inner(const struct volume *volume, struct inner *inner)
{
	const uint64_t nr_sectors = kept_sectors(volume, inner);
	uint32_t cookie = 0;

	if (nr_sectors && !in_place_is_inner_of_other(volume, inner) &&
	    !dm_load(inner->name, nr_sectors, FENCE_TARGET, "",
		     volume->dm.read_only))
		dm_swap_private(inner->name, &cookie);
	dm_wait_for_udev(cookie);
}

/* Of a volume that fails all I/O, the inner device may be left when that is removed. */
static const char *find_reason(const struct dm_table *table)
{
	unsigned int i;

	if (movable_how(table) != MOVABLE_SHARED)
		return "its table must not be active twice";
	for (i = 0; i < table->nr_lines; i++)
		if (!strcmp(table->lines[i].target, "crypt"))
			return "its key could stay in the kernel when it is closed";
	if (!movable_may_be_left(table))
		return "while its I/O fails, its inner device would keep lvm2 from removing it";
	return NULL;
}

int in_place_check_table(const struct volume *volume)
{
	const char *reason;
	enum movable how;
	int status = movable_check(volume, &how);

	if (status)
		return status;
	reason = find_reason(&volume->table);
	if (!reason)
		return EXIT_OK;
	error("%s has the target %s, and is not restored in place: %s; while it is not in use, a new device can be made over it: --name NAME",
	      volume->name, volume->table.lines[0].target, reason);
	return EXIT_REFUSED;
}

static void move_table(const struct volume *volume, struct inner *inner,
		       bool is_stable)
{
	const bool is_reduced = kept_sectors(volume, inner) >
				dm_table_sectors(&volume->table);

	if ((is_reduced && in_place_note_reduced(volume->dm.uuid)) ||
	    !is_stable || in_place_check_table(volume) ||
	    in_place_fill_inner(volume, inner))
		void_inner(volume, inner);
}

int in_place_let_fail(struct volume *volume)
{
	if (dm_load(volume->name, dm_table_sectors(&volume->table), FENCE_TARGET,
		    "", volume->dm.read_only) ||
	    swap_loaded(volume->name))
		return EXIT_ERROR;
	return volume_refresh(volume);
}

int in_place_fence(struct volume *volume, struct inner *inner, bool is_stable)
{
	int status = EXIT_OK;

	if (!in_place_is_fenced(volume) && !in_place_is_live(volume, inner)) {
		move_table(volume, inner, is_stable);
		status = in_place_let_fail(volume);
	}
	if (!status)
		status = inner_find(volume, inner);
	if (!status && in_place_is_fenced(volume) &&
	    in_place_is_inner_of_other(volume, inner))
		inner->exists = false;
	return status;
}

int in_place_give_back(struct volume *volume, const struct inner *inner)
{
	struct dm_table table;
	int r = dm_get_table(inner->name, false, &table, NULL);

	if (r) {
		error_errno(r, "%s: cannot get its table", inner->name);
		return EXIT_ERROR;
	}
	movable_hide_keys(&table);
	r = dm_load_table(volume->name, &table, volume->dm.read_only);
	if (r)
		movable_explain(&table, volume->name);
	else
		r = swap_loaded(volume->name);
	dm_table_free(&table);
	if (r)
		return EXIT_ERROR;
	if (!dm_remove(inner->name))
		return volume_refresh(volume);
	error("%s has its own table again, but its inner device %s is left; remove it: dmsetup remove %s",
	      volume->name, inner->name, inner->name);
	return EXIT_ERROR;
}
