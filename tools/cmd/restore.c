// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive restore` and `dmlive resume`: their command lines. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd/cmd.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/require.h"
#include "lines/status-line.h"
#include "store/track.h"
#include "restore/metadata.h"
#include "restore/processes.h"
#include "restore/stack.h"

#define MIN_BLOCK_BYTES (4u << 10)
#define MAX_BLOCK_BYTES (2u << 20)
#define MAX_THREADS	64
#define MAX_TIMEOUT_S	(30ull * 24 * 3600)

static const char restore_help[] =
"Usage: dmlive restore IMAGE DEVICE --name NAME [OPTION]...\n"
"\n"
"Makes /dev/mapper/NAME, which has the content of IMAGE (qcow2 or raw) and is\n"
"usable at once. Behind its I/O everything is streamed onto DEVICE; at the end\n"
"NAME becomes a plain linear mapping of it. What DEVICE held is overwritten.\n"
"\n"
"  --name NAME        the mapped device\n"
"  --background       return as soon as the device is usable\n"
"  --foreground       show progress until all is restored (the default);\n"
"                     Ctrl-C leaves the restore running in the background\n"
"  --speed SIZE       stream at most SIZE per second (K, M, G)\n"
"  --block-size SIZE  unit of tracking, 4K to 2M; default: 4K, more for devices\n"
"                     over 4T\n"
"  --on-error POLICY  when streaming meets an error: report (the job fails, the\n"
"                     default), ignore (go on), stop (wait for dmlive stream\n"
"                     NAME resume), enospc (stop if it is lack of space)\n"
"  --size target      the device gets the size of DEVICE, not of the image\n"
"  --meta DEV|auto    keep on DEV what is on DEVICE already, so that the restore\n"
"                     goes on after a crash or a restart of the machine, see\n"
"                     dmlive resume; auto: on a small logical volume beside\n"
"                     DEVICE, which is removed at the end\n"
"  --track B          record in bitmap B what is written to NAME, so that its\n"
"                     next backup is an increment of IMAGE: dmlive backup NAME\n"
"                     OUT --bitmap B --base IMAGE. NAME stays attached in the end\n"
"  --track-meta DEV|auto\n"
"                     keep B on the metadata device DEV; auto, the default: on a\n"
"                     small logical volume beside DEVICE, which stays\n"
"  --force            overwrite a DEVICE that holds something; give up a restore\n"
"                     that was begun; read an image that is marked corrupt, or\n"
"                     whose chain of backups is broken; restore one that is made\n"
"                     for other sectors than DEVICE has\n"
"  --allow-paths      IMAGE may name any file or device as its backing or data\n"
"                     file; default: only files in its folder, or, if it is a\n"
"                     logical volume, volumes of its group\n"
"  --format FORMAT    qcow2 or raw; default: what the content of IMAGE says\n"
"  --snapshot ID|NAME restore an internal snapshot of the image\n"
"  --threads N        decompress and stream with N threads; default: two a CPU\n"
"  --user-timeout S   I/O that waits longer than S seconds for the image fails;\n"
"                     default: it waits for ever\n"
"  --no-finish        do not swap to a linear mapping at the end\n"
"  --json             print one JSON object a line\n";

static const char resume_help[] =
"Usage: dmlive resume NAME|META [IMAGE] [OPTION]...\n"
"\n"
"Goes on with a restore: of the mapped device NAME after its server process has\n"
"ended, so that I/O that waits is served at once; or of what the metadata device\n"
"META (a path) tells of, after a crash or a restart of the machine, so that the\n"
"mapped device is made again. IMAGE is needed only if it is not known (the device\n"
"was made with dmsetup), or has moved.\n"
"\n"
"  --allow-paths, --background, --foreground, --format, --snapshot, --threads,\n"
"  --no-finish, --json\n"
"                     as for dmlive restore\n"
"  --name NAME        another name for the mapped device that META tells of\n"
"  --target DEVICE    where the device is now that META tells of\n"
"  --force            take the image, or the device, although it is not as it was\n";

enum {
	OPTION_ALLOW_PATHS = 256,
	OPTION_BACKGROUND,
	OPTION_BLOCK_SIZE,
	OPTION_FORCE,
	OPTION_FOREGROUND,
	OPTION_FORMAT,
	OPTION_JSON,
	OPTION_META,
	OPTION_NAME,
	OPTION_NO_FINISH,
	OPTION_ON_ERROR,
	OPTION_SIZE,
	OPTION_SNAPSHOT,
	OPTION_SPEED,
	OPTION_TARGET,
	OPTION_THREADS,
	OPTION_TRACK,
	OPTION_TRACK_META,
	OPTION_USER_TIMEOUT,
};

#define COMMON_OPTIONS							\
	{ "allow-paths", no_argument, NULL, OPTION_ALLOW_PATHS },	\
	{ "background", no_argument, NULL, OPTION_BACKGROUND },		\
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },		\
	{ "force", no_argument, NULL, OPTION_FORCE },			\
	{ "format", required_argument, NULL, OPTION_FORMAT },		\
	{ "json", no_argument, NULL, OPTION_JSON },			\
	{ "name", required_argument, NULL, OPTION_NAME },		\
	{ "no-finish", no_argument, NULL, OPTION_NO_FINISH },		\
	{ "snapshot", required_argument, NULL, OPTION_SNAPSHOT },	\
	{ "threads", required_argument, NULL, OPTION_THREADS },		\
	{ "help", no_argument, NULL, OPTION_HELP },			\
	{ 0 }

static const struct option restore_options[] = {
	{ "block-size", required_argument, NULL, OPTION_BLOCK_SIZE },
	{ "meta", required_argument, NULL, OPTION_META },
	{ "on-error", required_argument, NULL, OPTION_ON_ERROR },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "speed", required_argument, NULL, OPTION_SPEED },
	{ "track", required_argument, NULL, OPTION_TRACK },
	{ "track-meta", required_argument, NULL, OPTION_TRACK_META },
	{ "user-timeout", required_argument, NULL, OPTION_USER_TIMEOUT },
	COMMON_OPTIONS
};

static const struct option resume_options[] = {
	{ "target", required_argument, NULL, OPTION_TARGET },
	COMMON_OPTIONS
};

static bool take_block_size(struct restore_request *request)
{
	uint64_t bytes;

	if (!option_size("--block-size", optarg, &bytes))
		return false;
	if (bytes < MIN_BLOCK_BYTES || bytes > MAX_BLOCK_BYTES ||
	    bytes & (bytes - 1)) {
		error("--block-size %s: must be a power of two from 4K to 2M",
		      optarg);
		return false;
	}
	request->block_bytes = bytes;
	return true;
}

static bool take_on_error(struct restore_request *request)
{
	if (!on_error_parse(optarg, &request->on_error))
		return true;
	error("--on-error %s: must be report, ignore, stop or enospc", optarg);
	return false;
}

static bool take_size(struct restore_request *request)
{
	request->whole_volume = !strcmp(optarg, "target");
	if (request->whole_volume || !strcmp(optarg, "image"))
		return true;
	error("--size %s: must be image (the default) or target", optarg);
	return false;
}

static bool take_threads(struct restore_request *request)
{
	uint64_t number;

	if (!option_number("--threads", optarg, MAX_THREADS, &number))
		return false;
	request->nr_threads = number;
	return true;
}

static bool take_option(struct restore_request *request, int option)
{
	switch (option) {
	case OPTION_NAME:
		request->name = optarg;
		return true;
	case OPTION_BLOCK_SIZE:
		return take_block_size(request);
	case OPTION_SPEED:
		return option_size("--speed", optarg, &request->stream_speed);
	case OPTION_ON_ERROR:
		return take_on_error(request);
	case OPTION_SIZE:
		return take_size(request);
	case OPTION_USER_TIMEOUT:
		return option_number("--user-timeout", optarg, MAX_TIMEOUT_S,
				     &request->user_timeout_s);
	case OPTION_ALLOW_PATHS:
		request->allow_paths = true;
		return true;
	case OPTION_BACKGROUND:
		request->background = true;
		return true;
	case OPTION_FOREGROUND:
		request->background = false;
		return true;
	case OPTION_FORCE:
		request->force = true;
		return true;
	case OPTION_FORMAT:
		request->format = optarg;
		return true;
	case OPTION_JSON:
		request->json = true;
		return true;
	case OPTION_META:
		request->meta = optarg;
		return true;
	case OPTION_NO_FINISH:
		request->no_finish = true;
		return true;
	case OPTION_SNAPSHOT:
		request->snapshot = optarg;
		return true;
	case OPTION_TARGET:
		request->moved_volume = optarg;
		return true;
	case OPTION_TRACK:
		request->track = optarg;
		return meta_check_name("--track", optarg);
	case OPTION_TRACK_META:
		request->track_meta = optarg;
		return true;
	default:
		return take_threads(request);
	}
}

/* EXIT_OK: parsed; another status: to be returned; -1: help was printed. */
static int parse(int argc, char **argv, const struct option *options,
		 const char *help, struct restore_request *request)
{
	int found;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error(argv[0], found, argv);
		if (found == OPTION_HELP) {
			fputs(help, stdout);
			return -1;
		}
		if (!take_option(request, found))
			return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int find_paths(struct restore_request *request)
{
	const char **paths[] = {
		&request->image, &request->volume, &request->moved_volume,
		&request->meta, &request->track_meta,
	};
	int status = EXIT_OK;
	size_t i;

	for (i = 0; !status && i < sizeof(paths) / sizeof(paths[0]); i++)
		status = device_argument(paths[i], false);
	return status;
}

int cmd_restore(int argc, char **argv)
{
	struct restore_request request = { 0 };
	int status = parse(argc, argv, restore_options, restore_help,
			   &request);

	if (status)
		return status < 0 ? EXIT_OK : status;
	if (argc - optind != 2)
		return argument_error("restore", "IMAGE DEVICE --name NAME");
	if (!request.name) {
		error("restore: needs --name NAME, the mapped device to make");
		return EXIT_USAGE;
	}
	if (!dm_name_is_valid(request.name))
		return EXIT_USAGE;
	if (request.track_meta && !request.track) {
		error("restore: --track-meta says where a bitmap is: name it (--track B)");
		return EXIT_USAGE;
	}
	request.image = argv[optind];
	request.volume = argv[optind + 1];
	status = require("restore", REQUIRE_DM | REQUIRE_ALLOCTRACK |
				    (request.track ? REQUIRE_CBW : 0));
	if (!status)
		status = find_paths(&request);
	return status ? status : processes_run(&request);
}

/*
 * resume META: the current or former name of the mapped device, in @name. If it is
 * there, it is resumed by its name.
 */
static int find_name(struct restore_request *request, char name[DM_NAME_BYTES])
{
	struct metadata metadata;

	if (!path_is_blockdev(request->meta)) {
		error("%s is not a block device; resume needs the mapped device that is restored (its name, a path or VG/LV), or its metadata device",
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
	} else if (!request->name) {
		if (metadata_open(request->meta, &metadata))
			return EXIT_ERROR;
		snprintf(name, DM_NAME_BYTES, "%s",
			 metadata.description.name ?: "");
		metadata_close(&metadata);
	}
	if (!request->name)
		request->name = name;
	if (request->name[0])
		return EXIT_OK;
	error("%s does not say how the mapped device is called; name it with --name",
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

/* A path of a mapped device that is being restored is as good as its name. */
static bool is_restored(const char *path, char name[DM_NAME_BYTES])
{
	char inner[DM_NAME_BYTES];
	struct dm_line line = { 0 };
	struct stat st;
	bool found;

	if (stat(path, &st) || !S_ISBLK(st.st_mode) ||
	    !dm_name_of(major(st.st_rdev), minor(st.st_rdev), name))
		return false;
	found = !dm_get_line(stack_restored(name, inner), DM_LINE_TABLE, &line,
			     NULL) && !strcmp(line.target, "alloctrack");
	dm_line_free(&line);
	return found;
}

static int take_restored(struct restore_request *request, const char *name)
{
	request->meta = NULL;
	return take_name(request, name);
}

int cmd_resume(int argc, char **argv)
{
	struct restore_request request = { 0 };
	char name[DM_NAME_BYTES];
	int status = parse(argc, argv, resume_options, resume_help, &request);

	if (status)
		return status < 0 ? EXIT_OK : status;
	if (argc - optind < 1 || argc - optind > 2)
		return argument_error("resume", "NAME or META, and IMAGE if that has moved");
	request.image = argv[optind + 1];
	/* The name of a mapped device has no slash. */
	if (strchr(argv[optind], '/'))
		request.meta = argv[optind];
	status = require("resume", REQUIRE_DM | REQUIRE_ALLOCTRACK);
	if (!status)
		status = find_paths(&request);
	if (!status && !request.meta)
		status = take_name(&request, argv[optind]);
	else if (!status && is_restored(request.meta, name))
		status = take_restored(&request, name);
	else if (!status)
		status = find_name(&request, name);
	if (status)
		return status;
	if (!dm_name_is_valid(request.name))
		return EXIT_USAGE;
	return processes_run(&request);
}
