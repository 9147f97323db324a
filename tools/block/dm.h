/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DM_H
#define DMLIVE_DM_H

/*
 * Mapped devices: the only place that talks to libdevmapper.
 *
 * Names are as people write them; libdevmapper mangles what a file name may not
 * hold. A device may be renamed at any time: a command pins the names that it works
 * with (dm_pin()), and then means these devices, by UUID or number.
 *
 * Works with udev (waits for its rules) and without (DM_DISABLE_UDEV is set, or no
 * udev runs: makes the nodes itself).
 *
 * Functions return 0 or a negative errno. Those that change something print why they
 * failed; those that only look return -ENXIO without a message when there is no such
 * device. Not thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DM_NAME_BYTES	128
#define DM_UUID_PREFIX	"DMLIVE-"	/* see dm-uuid.h */

struct dm_device {
	unsigned int major, minor;
	bool suspended;
	bool read_only;
	bool has_table;			/* a live one */
	bool has_inactive_table;
	int open_count;
	uint32_t event_nr;
	char uuid[129];
};

/* The first line of a table or of a status. */
struct dm_line {
	uint64_t start_sector;
	uint64_t nr_sectors;
	unsigned int nr_lines;		/* of the whole table */
	char target[32];
	char *params;			/* dm_line_free() */
};

/* A table of any number of lines. */
struct dm_table_line {
	uint64_t start_sector;
	uint64_t nr_sectors;
	char target[32];
	char *params;
};

struct dm_table {
	unsigned int nr_lines;
	struct dm_table_line *lines;
};

enum dm_line_kind {
	DM_LINE_TABLE,
	DM_LINE_STATUS,
};

void dm_init(void);

/*
 * This process runs because of an event, for udev, and the program that caused the event
 * may wait for it: from now on nothing waits for udev, which makes the nodes.
 */
void dm_serve_event(void);

/* Close what libdevmapper keeps open; it is opened again when it is needed. */
void dm_release(void);

/* Can this be the name of a mapped device? If not, prints why. */
bool dm_name_is_valid(const char *name);

/*
 * Split the name of a logical volume's mapped device, as sysfs has it. False: it is
 * not one, or an inner layer of one.
 */
bool dm_split_lv_name(const char *dm_name, char *group, size_t group_bytes,
		      char *volume, size_t volume_bytes);

/*
 * From now on, in this process, @name stands for the device that has it now, even if
 * that is renamed, and for no other, until this process removes the device or makes
 * another one of that name. 0 or a negative errno, without a message; -ENXIO: there is
 * none.
 */
int dm_pin(const char *name);

/*
 * For messages: the current name of a pinned device; for others @name itself. In static
 * memory, valid until the fourth call from now.
 */
const char *dm_name_now(const char *name);

/* The device's node, in static memory, valid until the next call. */
const char *dm_node_path(const char *name);

int dm_get_device(const char *name, struct dm_device *device);

/* Also false when it is not known. */
bool dm_is_suspended(const char *name);

/* @device may be NULL. -ENODATA: it has no live table. */
int dm_get_line(const char *name, enum dm_line_kind kind, struct dm_line *line,
		struct dm_device *device);
void dm_line_free(struct dm_line *line);

/* Does the live table of the device begin with this target? Also false when not known. */
bool dm_runs_target(const char *name, const char *target);

/* Whole tables. As dm_get_line(); @inactive: the one that is only loaded. */
int dm_get_table(const char *name, bool inactive, struct dm_table *table,
		 struct dm_device *device);
void dm_table_free(struct dm_table *table);
bool dm_table_equal(const struct dm_table *a, const struct dm_table *b);

/* Where the last line ends. */
uint64_t dm_table_sectors(const struct dm_table *table);

/* Does the kernel have such a target? Its module is loaded if it can be. */
bool dm_has_target(const char *target);

/* The name of the mapped device of this number. False: there is none. */
bool dm_name_of(unsigned int major, unsigned int minor,
		char name[DM_NAME_BYTES]);

/* The same for the device with this UUID. */
bool dm_name_of_uuid(const char *uuid, char name[DM_NAME_BYTES]);

/* Make a device without a table; its node comes with the first resume. */
int dm_create_empty(const char *name, const char *uuid);

/* Load a table of one line, starting at sector 0, as the inactive one. */
int dm_load(const char *name, uint64_t nr_sectors, const char *target,
	    const char *params, bool read_only);

/* The same for any table. */
int dm_load_table(const char *name, const struct dm_table *table,
		  bool read_only);

/* Drop the inactive table. */
int dm_clear(const char *name);

/* Freeze the file system, wait for I/O that is under way, then suspend. */
int dm_suspend(const char *name);

/* As dm_suspend(), where the file system is frozen already, or there is none. */
int dm_suspend_frozen(const char *name);

/*
 * Both, and the resume with the table that is loaded, in one step for the kernel.
 * @frozen: as dm_suspend_frozen(). @cookie: as dm_resume_group().
 */
int dm_replace(const char *name, bool frozen, uint32_t *cookie);

/* Suspend as dm_swap() does it: I/O is held, not flushed, and no file system frozen. */
int dm_hold(const char *name);

int dm_resume(const char *name);

/* The same, with retries: if the device stayed suspended, all I/O would hang. */
int dm_resume_or_retry(const char *name);

/* Resume a device that others must not look at: udev's rules do not probe it. */
int dm_resume_private(const char *name);

/*
 * Resume all, whatever fails; return the first failure. Wait for udev, which may need
 * any of them, only when none is suspended any more: @cookie, at first 0, is for
 * dm_wait_for_udev(), and may be shared by several calls.
 */
int dm_resume_group(const char *const *names, unsigned int nr_names,
		    uint32_t *cookie);

/*
 * Resume a device that has its old table again because a change of it has failed: udev does
 * not attach it because of that. @cookie: as dm_resume_group().
 */
int dm_resume_undone(const char *name, uint32_t *cookie);

/*
 * Wait until udev has handled everything with this cookie; 0: there is nothing. Gives
 * up with a warning after some minutes, or when this process is to end (process.h).
 */
void dm_wait_for_udev(uint32_t cookie);

/*
 * Make the inactive table the live one, with I/O going on: in one step for the
 * kernel, so that a process that is killed leaves the device with one table or the
 * other, and never suspended. I/O is held, not flushed: I/O that a target keeps
 * queued is not waited for, and no file system is frozen. On failure the inactive
 * table may be there or not: dm_clear(); and the device is suspended, with the new
 * table, when that cannot be resumed.
 */
int dm_swap(const char *name);

/*
 * The same for a device that others must not look at, and without waiting for udev:
 * @cookie as for dm_resume_group().
 */
int dm_swap_private(const char *name, uint32_t *cookie);

/* A device that is gone already counts as removed. */
int dm_remove(const char *name);

/* The kernel removes the device when nothing has it open any more. */
int dm_remove_when_closed(const char *name);

int dm_message(const char *name, const char *text);

/*
 * Sleep until the event counter is not @event_nr any more. -EINTR when a signal
 * came first.
 */
int dm_wait_event(const char *name, uint32_t event_nr);

/* Call @each for the name of each mapped device, until it is not 0. */
int dm_for_each(int (*each)(const char *name, void *argument), void *argument);

#endif /* DMLIVE_DM_H */
