// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata of a new restore, and those of earlier ones.
 *
 * Metadata of an earlier restore onto the same volume become wrong with the first block
 * that is written to it. So they are retired before that, and, while they are needed,
 * only if the user insists.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/machine.h"
#include "block/lvm.h"
#include "store/registry.h"
#include "restore/companion.h"
#include "restore/metadata.h"
#include "restore/server.h"

#define AUTOMATIC "auto"

/* Is @path the metadata device that the user names? */
static bool is_wanted(const struct server *server, const char *path)
{
	struct stat a, b;

	return server->request->meta && !stat(server->request->meta, &a) &&
	       !stat(path, &b) && S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode) &&
	       a.st_rdev == b.st_rdev;
}

/* @path may hold the metadata of an unfinished restore onto the volume. */
static int check_begun(struct server *server, const char *path)
{
	char what[256];
	int state;

	/* The device that the user names is checked later. */
	if (server->request->force || is_wanted(server, path) ||
	    !path_is_blockdev(path))
		return EXIT_OK;
	state = metadata_probe(path, what, sizeof(what));
	if (state < 0) {
		error("%s, which may hold the metadata of a restore onto %s, cannot be read; to give that restore up: --force",
		      path, server->volume.path);
		return EXIT_ERROR;
	}
	if (state != METADATA_UNFINISHED)
		return EXIT_OK;
	error("a restore onto %s has begun and is not finished; to continue it: dmlive resume %s; to give it up and start over: --force",
	      server->volume.path, path);
	return EXIT_REFUSED;
}

typedef int (*act_fn)(struct server *server, const char *meta);

struct records {
	struct server *server;
	act_fn act;
};

static int act_on_record(const char *name,
			 const struct restore_options *options, void *argument)
{
	struct records *records = argument;
	struct stat st;

	(void)name;
	if (!options->meta || !options->volume ||
	    stat(options->volume, &st) || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != records->server->volume.devt)
		return 0;
	return records->act(records->server, options->meta);
}

/*
 * The user may have named any metadata device. What other machines, or guests, have written
 * is none of our business.
 */
static int with_each_found(struct server *server, act_fn act)
{
	const struct unfinished_list *list = &server->earlier;
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; !status && i < list->nr; i++)
		if (list->restores[i].whose == UNFINISHED_OURS)
			status = act(server, list->restores[i].path);
	return status;
}

/* Once: from then on the volume is locked. */
static void find_earlier(struct server *server)
{
	char identity[512];

	if (*blockdev_identity(&server->volume, identity, sizeof(identity)))
		unfinished_find_of(identity, &server->earlier);
}

/* Call @act for each device that may hold metadata of an earlier restore. */
static int with_each_begun(struct server *server, act_fn act)
{
	struct records records = { .server = server, .act = act };
	struct lvm_volume volume;
	char path[PATH_MAX];
	int status = EXIT_OK;

	if (lvm_beside(&server->volume, METADATA_LV_SUFFIX, &volume))
		status = act(server, lvm_path(&volume, path, sizeof(path)));
	if (!status)
		status = runtime_for_each(act_on_record, &records);
	return status ? status : with_each_found(server, act);
}

int create_check_begun(struct server *server)
{
	find_earlier(server);
	return with_each_begun(server, check_begun);
}

static int retire(struct server *server, const char *path)
{
	char what[256];
	struct blockdev device;
	int state;

	if (is_wanted(server, path) || !path_is_blockdev(path))
		return EXIT_OK;
	state = metadata_probe(path, what, sizeof(what));
	/* Resuming one that was only prepared would discard what is restored now. */
	if (state != METADATA_UNFINISHED && state != METADATA_COMPLETE &&
	    state != METADATA_PREPARED)
		return EXIT_OK;
	if (blockdev_open(path, &device))
		return EXIT_ERROR;
	if (blockdev_check_unused(&device))
		return EXIT_REFUSED;
	return metadata_retire(path) ? EXIT_ERROR : EXIT_OK;
}

static const struct meta_bitmap *the_bitmap(const struct server *server)
{
	static struct meta_bitmap bitmap = {
		.name = METADATA_BITMAP,
		.autoload = true,
	};

	bitmap.granularity = server->block_bytes;
	return &bitmap;
}

static int check_content(struct server *server, const char *path,
			 const struct blockdev *device)
{
	(void)device;
	return metadata_check_content(path, server->request->force);
}

int create_check_metadata(struct server *server)
{
	static const struct companion_kind kind = {
		.automatic = "--meta auto",
		.given = "--meta",
		.suffix = METADATA_LV_SUFFIX,
		.role = "metadata",
		.purpose = "metadata",
		.check_content = check_content,
	};
	const char *wanted = server->request->meta;
	struct companion *meta = &server->meta;
	const struct meta_spec spec = {
		.size = server->device_bytes,
		.nr_bitmaps = 1,
		.bitmaps = the_bitmap(server),
	};
	struct blockdev left;
	int status;

	if (!wanted)
		return EXIT_OK;
	status = companion_init(meta, &kind, &spec);
	if (status)
		return status;
	if (strcmp(wanted, AUTOMATIC))
		return companion_take(server, meta, wanted);
	status = companion_plan(server, meta);
	if (!status && meta->left)
		status = metadata_check_device(meta->path, &left);
	if (!status && meta->left)
		status = check_content(server, meta->path, &left);
	return status;
}

static char *describe(struct server *server)
{
	char volume[PATH_MAX], identity[512], meta_identity[512];
	char machine[MACHINE_ID_BYTES];
	struct restore_description description = {
		.automatic = server->meta.automatic,
		.in_place = server->in_place,
		.to_clear = server->to_clear,
		.name = (char *)server->request->name,
		.uuid = server->options.uuid,
		.volume = (char *)blockdev_stable_path(&server->volume, volume,
						       sizeof(volume)),
		.snapshot = server->options.snapshot,
		.track = server->options.track,
		.track_meta = server->options.track_meta,
		.track_store = server->tracking.store,
		.features = server->features,
		.nr_threads = server->options.nr_threads,
		.no_finish = server->options.no_finish,
		.force = server->options.force,
		.allow_paths = server->options.allow_paths,
	};
	struct blockdev meta;
	char *text;

	if (*blockdev_identity(&server->volume, identity, sizeof(identity)))
		description.volume_identity = identity;
	if (!blockdev_open(server->meta.path, &meta) &&
	    *blockdev_identity(&meta, meta_identity, sizeof(meta_identity)))
		description.meta_identity = meta_identity;
	if (machine_get_id(machine))
		description.machine = machine;
	image_identity_get(server->options.image, server->image_bytes,
			   &description.image);
	text = description_format(&description);
	image_identity_free(&description.image);
	return text;
}

static int format(struct server *server)
{
	char *description = describe(server);
	const struct meta_spec spec = {
		.size = server->device_bytes,
		.nr_bitmaps = 1,
		.bitmaps = the_bitmap(server),
		.backing = server->options.image,
		.backing_format = image_format(server->image),
		.description = description,
	};
	int status = description ? companion_format(&server->meta, &spec) :
				   EXIT_ERROR;

	free(description);
	return status;
}

int create_make_metadata(struct server *server)
{
	struct companion *meta = &server->meta;
	int status;

	status = with_each_begun(server, retire);
	if (!status) {
		registry_clean();
		registry_void(&server->volume, server->options.track_meta);
	}
	if (!status && meta->automatic)
		status = companion_make(server, meta);
	if (!status && meta->path[0])
		status = format(server);
	if (status || !meta->path[0])
		return status;
	meta->made = true;
	server->options.meta = strdup(meta->path);
	return EXIT_OK;
}

void create_undo_metadata(struct server *server)
{
	if (!server->meta.made)
		return;
	/* The volume may not even be formatted. */
	if (server->meta.automatic)
		companion_remove(server, &server->meta);
	else
		metadata_retire(server->meta.path);
}
