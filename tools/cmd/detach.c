// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive detach`: undoes `dmlive attach`. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/in-place.h"
#include "attach/persist.h"
#include "backup/recovery.h"
#include "cmd/cmd.h"
#include "base/exit.h"
#include "base/json.h"
#include "block/require.h"
#include "restore/own-device.h"
#include "restore/runtime.h"

static const char help[] =
"Usage: dmlive detach NAME|DEVICE [--persistent] [--force] [--json]\n"
"\n"
"Takes the target cbw away from the device NAME. If cbw was inserted, the device\n"
"gets its own table back, and may be in use. A device that dmlive attach --name\n"
"has made is removed, and must not be in use. What a killed attach or detach has\n"
"left is removed too.\n"
"\n"
"Refused while a snapshot view exists, while a backup is being made (but see\n"
"--force), and during a restore with --track.\n"
"\n"
"A device that is attached persistently is attached again when it is activated\n"
"the next time, unless --persistent is given.\n"
"\n"
"  --persistent  also forget that it is attached persistently: remove its file in\n"
"                /etc/dmlive/attach.d\n"
"  --force       end the backup session, and detach a suspended device too; give\n"
"                up the restore in place of a device that is not in use\n"
"  --json        print the result as JSON\n";

static const struct option options[] = {
	{ "persistent", no_argument, NULL, 'p' },
	{ "force", no_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

/* The restore in place of a volume may have been given up whose own table is lost. */
static void print_result(const struct volume *volume, bool inserted, bool json)
{
	const char *name = volume->name;
	struct json_object *object;

	if (json) {
		object = json_new_object();
		json_add_string(object, "name", name);
		json_add_bool(object, "removed", !inserted);
		json_print_line(object);
	} else if (inserted) {
		printf("%s has %s\n", name, in_place_is_fenced(volume) ?
		       "a table that fails all I/O" : "its own table again");
	} else {
		printf("%s is removed\n", name);
	}
}

/* The handler of events must not attach it again. */
static int take_out(struct volume *volume, bool force, bool persistent,
		    bool *inserted)
{
	struct persist ignored;
	bool found = volume->is_mapped &&
		     persist_find(volume->dm.uuid, &ignored);
	bool had_mark = found && persist_has_mark(volume, PERSIST_DETACHED);
	struct cbw_table cbw;
	int status = EXIT_OK;

	if (found)
		persist_set_mark(volume, PERSIST_DETACHED);
	*inserted = true;
	if (volume->is_mapped && !in_place_is_over(volume->dm.uuid))
		status = force && in_place_is_unfinished(volume->dm.uuid) ? own_give_up(volume) :
				 in_place_check_none(volume);
	/* Perhaps only its file is left. */
	else if (!found || !persistent || volume_is_cbw(volume, &cbw))
		status = attach_undo(volume, force, inserted);
	if (!status && found && persistent &&
	    persist_remove(volume->dm.uuid, &found))
		status = EXIT_ERROR;
	else if (found && (persistent ? !status : status && !had_mark))
		persist_clear_mark(volume, PERSIST_DETACHED);
	return status;
}

static int detach(const char *device, bool force, bool persistent, bool json)
{
	struct volume volume;
	struct cbw_table cbw;
	int lock_fd = -1, backup_fd = -1;
	bool inserted;
	int status;

	status = volume_find(device, &volume);
	if (!status) {
		/* Works without the lock too, if /run is full or read-only. */
		lock_fd = blockdev_lock(&volume.device);
		status = lock_fd == -EBUSY ? EXIT_REFUSED : EXIT_OK;
	}
	/*
	 * A killed backup would keep it busy. A backup that begins now would put cbw
	 * back, over an inner device that does not exist any more.
	 */
	if (!status && volume.is_mapped && volume_is_cbw(&volume, &cbw)) {
		if (recovery_clear_to_detach(volume.name, &backup_fd))
			status = EXIT_REFUSED;
	}
	if (!status && volume.is_mapped)
		status = volume_refresh(&volume);
	if (!status)
		status = take_out(&volume, force, persistent, &inserted);
	if (!status)
		print_result(&volume, inserted, json);
	if (backup_fd >= 0)
		runtime_unlock(volume.name, backup_fd);
	if (lock_fd >= 0)
		close(lock_fd);
	volume_free(&volume);
	return status;
}

int cmd_detach(int argc, char **argv)
{
	bool force = false, persistent = false, json = false;
	int found;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (found) {
		case 'p':
			persistent = true;
			break;
		case 'f':
			force = true;
			break;
		case 'j':
			json = true;
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return EXIT_OK;
		default:
			return option_error("detach", found, argv);
		}
	}
	if (argc - optind != 1)
		return argument_error("detach", "NAME or DEVICE");
	found = require("detach", REQUIRE_DM);
	return found ? found : detach(argv[optind], force, persistent, json);
}
