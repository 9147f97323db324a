// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive resume`: which restore goes on. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "block/dm.h"
#include "block/require.h"
#include "cmd/cmd.h"
#include "cmd/restore.h"
#include "cmd/resume-all.h"
#include "restore/metadata.h"
#include "restore/own-device.h"
#include "restore/processes.h"
#include "restore/runtime.h"
#include "restore/stack.h"

/* A volume that is restored in place has been found by its UUID ever since. */
static int take_description(struct restore_request *request,
			    const struct restore_description *description,
			    char name[DM_NAME_BYTES])
{
	if (!description->in_place) {
		snprintf(name, DM_NAME_BYTES, "%s", description->name ?: "");
		return EXIT_OK;
	}
	if (request->name || request->moved_volume) {
		error("resume %s: --name and --target are not for a restore in place",
		      request->meta);
		return EXIT_USAGE;
	}
	request->in_place = true;
	if (description->uuid && dm_name_of_uuid(description->uuid, name))
		return EXIT_OK;
	error("%s is the metadata of a restore in place of %s, which is not active; activate it first: lvchange -ay",
	      request->meta, description->volume ?: "a volume");
	return EXIT_REFUSED;
}

/*
 * resume META: put the name of the mapped device into @name. If that exists, it is
 * resumed by its name.
 */
static int find_name(struct restore_request *request, char name[DM_NAME_BYTES])
{
	struct metadata metadata;
	int status;

	if (!path_is_blockdev(request->meta)) {
		error("%s is not a block device; resume takes the mapped device that is restored (its name, a path or VG/LV), or its metadata device",
		      request->meta);
		return EXIT_ERROR;
	}
	if (metadata_find_user(request->meta, name))
		return EXIT_ERROR;
	if (name[0]) {
		if (request->name && strcmp(request->name, name)) {
			error("%s is in use by the mapped device %s; resume that, without --name",
			      request->meta, name);
			return EXIT_REFUSED;
		}
		request->meta = NULL;
	} else {
		if (metadata_open(request->meta, &metadata))
			return EXIT_ERROR;
		status = take_description(request, &metadata.description, name);
		metadata_close(&metadata);
		if (status)
			return status;
	}
	if (!request->name)
		request->name = name;
	if (request->name[0])
		return EXIT_OK;
	error("%s does not hold the name of the mapped device; choose one: --name NAME",
	      request->meta);
	return EXIT_USAGE;
}

/* resume NAME */
static int take_name(struct restore_request *request, const char *name)
{
	if (request->name || request->moved_volume) {
		error("resume %s: --name and --target are for a metadata device; %s is the mapped device itself",
		      name, name);
		return EXIT_USAGE;
	}
	request->name = name;
	return EXIT_OK;
}

/* Is @path that of a mapped device that is being restored? Then resume it by name. */
static bool is_restored(const char *path, char name[DM_NAME_BYTES])
{
	char inner[DM_NAME_BYTES];

	return restore_find_mapped(path, name) &&
	       dm_runs_target(stack_restored(name, inner), "alloctrack");
}

static int take_restored(struct restore_request *request, const char *name)
{
	struct in_place record;
	struct dm_device device;

	request->in_place = !dm_get_device(name, &device) &&
			    in_place_find(device.uuid, &record);
	request->meta = NULL;
	return take_name(request, name);
}

/* For resume_all(). */
static int resume_in_background(const char *path)
{
	char *arguments[] = {
		"resume", "--background", "--", (char *)path, NULL,
	};

	return cmd_resume(4, arguments);
}

static int run_all(const struct restore_request *request, int nr_arguments)
{
	if (nr_arguments) {
		error("resume: --all finds the restores by itself; leave out NAME, META and IMAGE");
		return EXIT_USAGE;
	}
	if (request->one_only) {
		error("resume: only --systemd and --json can be given with --all; to use other options, resume a restore by itself: dmlive resume META");
		return EXIT_USAGE;
	}
	return resume_all(request->with_systemd, request->json,
			  resume_in_background);
}

static int check_resume(const struct restore_request *request, int nr_arguments)
{
	if (request->with_systemd) {
		error("resume: --systemd is for --all; to start the server of one restore: systemctl start dmlive-server@META.service");
		return EXIT_USAGE;
	}
	if (request->serve && (request->background || request->json)) {
		error("resume: --serve shows no progress, so --background and --json have no meaning with it");
		return EXIT_USAGE;
	}
	return nr_arguments == 1 || nr_arguments == 2 ? EXIT_OK :
	       argument_error("resume", "NAME or META, and IMAGE if that has moved");
}

/* Is it a volume, a path or a name, whose restore in place is on record, and stands still? */
static bool find_in_place(const struct restore_request *request,
			  const char *given, struct in_place *record,
			  char name[DM_NAME_BYTES])
{
	struct dm_device device;

	if (!request->meta)
		snprintf(name, DM_NAME_BYTES, "%s", given);
	else if (!restore_find_mapped(request->meta, name))
		return false;
	return !dm_get_device(name, &device) &&
	       in_place_find(device.uuid, record) &&
	       !dm_runs_target(name, "alloctrack");
}

/* @ended: there is nothing left to do, or it has failed. */
static int resume_in_place(struct restore_request *request,
			   const struct in_place *record,
			   char name[DM_NAME_BYTES], bool *ended)
{
	static char path[PATH_MAX];
	int status = own_tidy(name, ended);

	if (*ended) {
		if (!status)
			runtime_remove(name, -1);
		return status;
	}
	if (!*in_place_meta(record, path)) {
		error("%s is being restored in place, and its metadata device %s is not active; activate it first: lvchange -ay",
		      name, *record->meta ? record->meta : record->meta_path);
		return EXIT_REFUSED;
	}
	if (own_holds_restore(path, record->volume) != 1) {
		error("%s does not hold the metadata of the restore in place of %s that its record, %s/%s.conf, names; to give that restore up: dmlive detach %s --force",
		      path, name, IN_PLACE_FOLDER, record->volume, name);
		return EXIT_REFUSED;
	}
	request->meta = path;
	return find_name(request, name);
}

int cmd_resume(int argc, char **argv)
{
	struct restore_request request = { 0 };
	struct in_place record;
	char name[DM_NAME_BYTES];
	bool ended = false;
	int status = restore_parse_resume(argc, argv, &request);

	if (status)
		return status < 0 ? EXIT_OK : status;
	if (request.all)
		return run_all(&request, argc - optind);
	status = check_resume(&request, argc - optind);
	if (status)
		return status;
	request.image = argv[optind + 1];
	/* The name of a mapped device has no slash. */
	if (strchr(argv[optind], '/'))
		request.meta = argv[optind];
	status = require("resume", REQUIRE_DM | REQUIRE_ALLOCTRACK);
	if (!status)
		status = restore_find_paths(&request);
	if (!status && request.meta && is_restored(request.meta, name))
		status = take_restored(&request, name);
	else if (!status && find_in_place(&request, argv[optind], &record, name))
		status = resume_in_place(&request, &record, name, &ended);
	else if (!status && !request.meta)
		status = take_name(&request, argv[optind]);
	else if (!status)
		status = find_name(&request, name);
	if (status || ended)
		return status;
	if (!dm_name_is_valid(request.name))
		return EXIT_USAGE;
	return request.serve ? processes_serve(&request) :
			       processes_run(&request);
}
