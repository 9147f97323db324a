// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of mapped devices that are gone, see clean.h.
 *
 * Without a metadata device, the state of a restore is lost with its mapped device, and
 * the record is useless. With one, the record keeps another restore from overwriting
 * the data on the volume. So it stays while the metadata device says that the restore
 * is not finished.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "attach/in-place.h"
#include "backup/recovery.h"
#include "base/log.h"
#include "block/dm.h"
#include "block/dm-uuid.h"
#include "cmd/clean.h"
#include "restore/finished.h"
#include "restore/metadata.h"
#include "restore/runtime.h"

static void drop(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* Does the recorded metadata device still hold a restore that can be resumed? */
static bool is_unfinished(const char *meta)
{
	char what[256];
	int state;

	if (!meta || !path_is_blockdev(meta))
		return false;
	state = metadata_probe(meta, what, sizeof(what));
	return state < 0 || state == METADATA_UNFINISHED ||
	       state == METADATA_COMPLETE;
}

/* Search by name and by UUID, because the device may have been renamed. */
static bool is_there(const char *name, const char *uuid)
{
	char found[DM_NAME_BYTES];

	return dm_get_device(name, NULL) != -ENXIO ||
	       (*uuid && dm_name_of_uuid(uuid, found));
}

/* The volume of a restore in place stays. Its server was killed after all was done. */
static bool has_ended_in_place(const char *name)
{
	char found[DM_NAME_BYTES];
	struct restore_options options;
	struct in_place record;
	bool ended;

	if (runtime_load(name, &options))
		return false;
	ended = *options.uuid && !options.outer &&
		!dm_uuid_is_ours(options.uuid) &&
		dm_name_of_uuid(options.uuid, found) &&
		!in_place_look(options.uuid, &record) &&
		!dm_runs_target(found, "alloctrack");
	restore_options_free(&options);
	return ended;
}

static bool is_needed(const char *name)
{
	struct restore_options options = { 0 };
	bool needed;

	if (runtime_server(name))
		return true;
	log_set_sink(drop);
	needed = !has_ended_in_place(name);
	log_set_sink(NULL);
	if (!needed)
		return false;
	if (is_there(name, "") || runtime_has_device(name))
		return true;
	/* That something cannot be read now is no reason for a message. */
	log_set_sink(drop);
	if (runtime_load(name, &options))
		memset(&options, 0, sizeof(options));
	needed = is_there(name, options.uuid) || is_unfinished(options.meta);
	log_set_sink(NULL);
	restore_options_free(&options);
	return needed;
}

static bool is_record(const char *suffix)
{
	return !strcmp(suffix, ".json") || !strcmp(suffix, ".log") ||
	       !strcmp(suffix, ".lock");
}

/* The session is gone with the device, but an incomplete image may be left. */
static void clean_backup(const char *name)
{
	int fd = recovery_lock_and_clear(name);

	if (fd >= 0)
		runtime_unlock(name, fd);
}

static void clean(char *file)
{
	char *suffix = strrchr(file, '.');
	bool is_backup;

	if (!suffix || suffix == file || strlen(file) >= DM_NAME_BYTES + 8)
		return;
	is_backup = !strcmp(suffix, ".backup");
	if (!is_backup && !is_record(suffix))
		return;
	*suffix = '\0';
	if (strlen(file) >= DM_NAME_BYTES || is_needed(file))
		return;
	if (is_backup)
		clean_backup(file);
	else
		runtime_remove(file, -1);
}

void clean_records(void)
{
	DIR *folder = opendir(RUNTIME_FOLDER);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		clean(entry->d_name);
	if (folder)
		closedir(folder);
	finished_clean();
}
