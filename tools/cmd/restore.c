// SPDX-License-Identifier: GPL-2.0-only
/* The command lines of `dmlive restore` and `dmlive resume`; what resume does: resume.c. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd/cmd.h"
#include "cmd/restore.h"
#include "cmd/restore-vm.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/require.h"
#include "lines/status-line.h"
#include "store/track.h"
#include "restore/new-volume.h"
#include "restore/processes.h"

#define MAX_TIMEOUT_S	(30ull * 24 * 3600)

static const char restore_help[] =
"Usage: dmlive restore IMAGE DEVICE --name NAME|--in-place [OPTION]...\n"
"\n"
"Makes /dev/mapper/NAME, which has the content of IMAGE (qcow2 or raw) and can be\n"
"used at once, while that content is streamed onto DEVICE in the background. In\n"
"the end NAME becomes a linear mapping of DEVICE, whose old content is lost.\n"
"\n"
"  --name NAME        name of the mapped device\n"
"  --in-place         let DEVICE itself, a logical volume for example, have the\n"
"                     content of IMAGE at once; at the end it has its own table\n"
"                     again. --meta is auto unless it is given\n"
"  --background       return as soon as the device is usable\n"
"  --foreground       show progress until all is restored (the default);\n"
"                     Ctrl-C leaves the restore running in the background\n"
"  --speed SIZE       stream at most SIZE per second (K, M, G)\n"
"  --block-size SIZE  unit of the allocation bitmap, 4K to 2M; default: 4K, more\n"
"                     for devices over 4T\n"
"  --on-error POLICY  after an error while streaming: report (the job fails, the\n"
"                     default), ignore (continue), stop (wait for dmlive stream\n"
"                     NAME resume), enospc (stop if space has run out)\n"
"  --create           make DEVICE, a logical volume VG/LV that does not exist\n"
"                     yet, as large as the image; it is removed again if the\n"
"                     restore fails before NAME is usable\n"
"  --thinpool POOL    with --create: a thin volume in this pool of VG\n"
"  --type TYPE        with --create: the type of the volume, as for lvcreate;\n"
"                     default: linear\n"
"  --size target      make NAME as large as DEVICE, not as the image\n"
"  --meta DEV|auto    record on DEV what DEVICE has already, so that the restore\n"
"                     can be resumed after a crash or a restart of the machine,\n"
"                     see dmlive resume; auto: on a small logical volume beside\n"
"                     DEVICE, which is removed in the end\n"
"  --track B          record in bitmap B what is written to NAME, so that its\n"
"                     next backup is an increment of IMAGE: dmlive backup NAME\n"
"                     OUT --bitmap B --base IMAGE. In the end NAME stays attached\n"
"  --track-meta DEV|auto\n"
"                     keep B on the metadata device DEV; auto, the default: on a\n"
"                     small logical volume beside DEVICE, which is kept\n"
"  --force            overwrite what DEVICE holds; give up an unfinished restore;\n"
"                     read an image that is marked corrupt, or whose chain of\n"
"                     backups is broken; restore an image whose sector size\n"
"                     DEVICE does not have\n"
"  --allow-paths      IMAGE may name any file or device as its backing or data\n"
"                     file; default: only files in its folder, or, if it is a\n"
"                     logical volume, volumes of its group\n"
"  --format FORMAT    qcow2 or raw; default: detected from the content of IMAGE\n"
"  --snapshot ID|NAME restore an internal snapshot of the image\n"
"  --threads N        decompress and stream with N threads; default: two per CPU\n"
"  --user-timeout S   fail I/O that waits longer than S seconds for the image;\n"
"                     default: it waits forever\n"
"  --no-discard       do not discard what DEVICE holds, which is done by default\n"
"                     if it is a thin volume, or a loop device on a file, so\n"
"                     that zeros take no space there\n"
"  --target-is-zero   DEVICE reads as zeros, and always would: zeros are not\n"
"                     written. Data are wrong if that is not so\n"
"  --no-detect-zeroes do not look for zeros in data: they are written as data\n"
"  --copy-on-read     write to DEVICE what the guest reads, also where the kernel\n"
"                     streams (IMAGE is raw, on a block device); otherwise it is\n"
"                     always so\n"
"  --no-finish        do not swap to a linear mapping in the end\n"
"  --private          hide NAME from the host's LVM, md, multipath, btrfs and\n"
"                     /dev/disk, also when all is restored (the default)\n"
"  --no-private       let the host look into NAME, for a volume that it uses\n"
"                     itself\n"
"  --json             print one JSON object per line\n";

static const char resume_help[] =
"Usage: dmlive resume NAME|META [IMAGE] [OPTION]...\n"
"       dmlive resume --all [--systemd] [--json]\n"
"\n"
"Resumes a restore. NAME: the mapped device is there, but its server has ended;\n"
"I/O that waits for it is served at once. META, a path: after a crash or a\n"
"restart of the machine, the mapped device is made again from its metadata\n"
"device. IMAGE is needed only if it has moved, or is not on record because the\n"
"device was made with dmsetup.\n"
"\n"
"  --allow-paths, --background, --foreground, --format, --snapshot, --threads,\n"
"  --no-finish, --json\n"
"                     as for dmlive restore\n"
"  --name NAME        another name for the mapped device that is made from META\n"
"  --target DEVICE    the present path of the device that is restored\n"
"  --force            use the image, or the device, although it has changed\n"
"  --serve            serve the device in this process, as dmlive-server@.service\n"
"                     does it; messages go to the system's log\n"
"\n"
"  --all              resume all unfinished restores of this machine that are not\n"
"                     served: those whose server has ended, and those found on\n"
"                     their metadata devices. Prints a line for each; goes on\n"
"                     with the others if one fails, and fails in the end\n"
"  --systemd          with --all: let systemd start the servers, in the units\n"
"                     dmlive-server@META.service; return when these are queued\n";

enum {
	OPTION_ALL = 256,
	OPTION_ALLOW_PATHS,
	OPTION_BACKGROUND,
	OPTION_BLOCK_SIZE,
	OPTION_COPY_ON_READ,
	OPTION_CREATE,
	OPTION_FORCE,
	OPTION_FOREGROUND,
	OPTION_FORMAT,
	OPTION_IN_PLACE,
	OPTION_JSON,
	OPTION_META,
	OPTION_NAME,
	OPTION_NO_DETECT_ZEROES,
	OPTION_NO_DISCARD,
	OPTION_NO_FINISH,
	OPTION_NO_PRIVATE,
	OPTION_ON_ERROR,
	OPTION_PRIVATE,
	OPTION_SERVE,
	OPTION_SIZE,
	OPTION_SNAPSHOT,
	OPTION_SPEED,
	OPTION_SYSTEMD,
	OPTION_TARGET,
	OPTION_TARGET_IS_ZERO,
	OPTION_THINPOOL,
	OPTION_THREADS,
	OPTION_TRACK,
	OPTION_TRACK_META,
	OPTION_TYPE,
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
	{ "copy-on-read", no_argument, NULL, OPTION_COPY_ON_READ },
	{ "create", no_argument, NULL, OPTION_CREATE },
	{ "in-place", no_argument, NULL, OPTION_IN_PLACE },
	{ "meta", required_argument, NULL, OPTION_META },
	{ "no-detect-zeroes", no_argument, NULL, OPTION_NO_DETECT_ZEROES },
	{ "no-discard", no_argument, NULL, OPTION_NO_DISCARD },
	{ "no-private", no_argument, NULL, OPTION_NO_PRIVATE },
	{ "on-error", required_argument, NULL, OPTION_ON_ERROR },
	{ "private", no_argument, NULL, OPTION_PRIVATE },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "speed", required_argument, NULL, OPTION_SPEED },
	{ "target-is-zero", no_argument, NULL, OPTION_TARGET_IS_ZERO },
	{ "thinpool", required_argument, NULL, OPTION_THINPOOL },
	{ "track", required_argument, NULL, OPTION_TRACK },
	{ "track-meta", required_argument, NULL, OPTION_TRACK_META },
	{ "type", required_argument, NULL, OPTION_TYPE },
	{ "user-timeout", required_argument, NULL, OPTION_USER_TIMEOUT },
	COMMON_OPTIONS
};

static const struct option resume_options[] = {
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "serve", no_argument, NULL, OPTION_SERVE },
	{ "systemd", no_argument, NULL, OPTION_SYSTEMD },
	{ "target", required_argument, NULL, OPTION_TARGET },
	COMMON_OPTIONS
};

static bool take_block_size(struct restore_request *request)
{
	uint64_t bytes;

	if (!option_size("--block-size", optarg, &bytes))
		return false;
	if (bytes < RESTORE_MIN_BLOCK_BYTES || bytes > RESTORE_MAX_BLOCK_BYTES ||
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
	request->size_is_given = true;
	request->whole_volume = !strcmp(optarg, "target");
	if (request->whole_volume || !strcmp(optarg, "image"))
		return true;
	error("--size %s: must be image (the default) or target", optarg);
	return false;
}

static bool take_threads(struct restore_request *request)
{
	uint64_t number;

	if (!option_number("--threads", optarg, RESTORE_MAX_THREADS, &number))
		return false;
	request->nr_threads = number;
	return true;
}

/* Options about how zeros and reads are written. False: it is none of them. */
static bool take_write_option(struct restore_request *request, int option)
{
	switch (option) {
	case OPTION_COPY_ON_READ:
		request->copy_on_read = true;
		return true;
	case OPTION_NO_DETECT_ZEROES:
		request->no_detect_zeroes = true;
		return true;
	case OPTION_NO_DISCARD:
		request->no_discard = true;
		return true;
	case OPTION_TARGET_IS_ZERO:
		request->target_is_zero = true;
		return true;
	default:
		return false;
	}
}

/* Options about which restores are resumed, and by whom. False: it is none of them. */
static bool take_resume_option(struct restore_request *request, int option)
{
	switch (option) {
	case OPTION_ALL:
		request->all = true;
		return true;
	case OPTION_SERVE:
		request->serve = true;
		return true;
	case OPTION_SYSTEMD:
		request->with_systemd = true;
		return true;
	default:
		return false;
	}
}

/* Options about the volume that is made. False: it is none of them. */
static bool take_create_option(struct restore_request *request, int option)
{
	switch (option) {
	case OPTION_CREATE:
		request->create = true;
		return true;
	case OPTION_THINPOOL:
		request->thinpool = optarg;
		return true;
	case OPTION_TYPE:
		request->type = optarg;
		return true;
	default:
		return false;
	}
}

/* Who else sees the device. False: it is none of these options. */
static bool take_private_option(struct restore_request *request, int option)
{
	if (option != OPTION_PRIVATE && option != OPTION_NO_PRIVATE)
		return false;
	request->is_private = option == OPTION_PRIVATE;
	request->is_public = !request->is_private;
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
	case OPTION_IN_PLACE:
		request->in_place = true;
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
		return take_write_option(request, option) ||
		       take_resume_option(request, option) ||
		       take_create_option(request, option) ||
		       take_private_option(request, option) ||
		       take_threads(request);
	}
}

static bool is_for_all(int option)
{
	return option == OPTION_ALL || option == OPTION_SYSTEMD ||
	       option == OPTION_JSON || option == OPTION_BACKGROUND;
}

/* Returns an exit status, EXIT_OK to continue; -1: help was printed. */
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
		request->one_only |= !is_for_all(found);
	}
	return EXIT_OK;
}

static int find_path(const char **path)
{
	return device_argument(path, false);
}

int restore_find_paths(struct restore_request *request)
{
	return request_each_path(request, find_path);
}

static int check_in_place(struct restore_request *request)
{
	const char *other = request->name ? "--name" :
			    request->track ? "--track" :
			    request->create ? "--create" :
			    request->is_private ? "--private" :
			    request->is_public ? "--no-private" :
			    request->size_is_given && !request->whole_volume ?
			    "--size image" : NULL;

	/* It keeps its size. */
	request->whole_volume = true;
	/* Without metadata, nothing could make it usable again after a restart. */
	if (!request->meta)
		request->meta = "auto";
	if (!other)
		return EXIT_OK;
	error("restore: --in-place and %s exclude each other", other);
	return EXIT_USAGE;
}

static int check_options(struct restore_request *request)
{
	if (request->in_place)
		return check_in_place(request);
	if (!request->name) {
		error("restore: --name NAME is missing, the mapped device to make; or --in-place");
		return EXIT_USAGE;
	}
	if (!dm_name_is_valid(request->name))
		return EXIT_USAGE;
	if (request->track_meta && !request->track) {
		error("restore: --track-meta requires --track B, the bitmap to keep there");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

bool restore_find_mapped(const char *path, char name[DM_NAME_BYTES])
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) &&
	       dm_name_of(major(st.st_rdev), minor(st.st_rdev), name);
}

/* In place: the mapped device is the volume. */
static int take_volume(struct restore_request *request,
		       char name[DM_NAME_BYTES])
{
	request->name = name;
	if (restore_find_mapped(request->volume, name))
		return EXIT_OK;
	if (!path_is_blockdev(request->volume)) {
		error("%s is not a block device", request->volume);
		return EXIT_ERROR;
	}
	error("%s is not a mapped device, such as a logical volume, and is not restored in place; a new device can be made over it: --name NAME",
	      request->volume);
	return EXIT_REFUSED;
}

int cmd_restore(int argc, char **argv)
{
	struct restore_request request = { 0 };
	char name[DM_NAME_BYTES];
	int status;

	if (restore_vm_is_meant(argc, argv))
		return cmd_restore_vm(argc, argv);
	status = parse(argc, argv, restore_options, restore_help, &request);
	if (status < 0) {
		fputs(restore_vm_help, stdout);
		return EXIT_OK;
	}
	if (status)
		return status;
	if (argc - optind != 2)
		return argument_error("restore",
				      "IMAGE DEVICE --name NAME, or --in-place");
	status = check_options(&request);
	if (status)
		return status;
	request.image = argv[optind];
	request.volume = argv[optind + 1];
	status = new_volume_check(&request);
	if (status)
		return status;
	status = require("restore", REQUIRE_DM | REQUIRE_ALLOCTRACK |
				    (request.track ? REQUIRE_CBW : 0));
	if (!status)
		status = restore_find_paths(&request);
	if (!status && request.in_place)
		status = take_volume(&request, name);
	return status ? status : processes_run(&request);
}

int restore_parse_resume(int argc, char **argv, struct restore_request *request)
{
	return parse(argc, argv, resume_options, resume_help, request);
}
