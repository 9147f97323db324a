// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive backup`: its command line. */
#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "backup/fleece-volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/require.h"
#include "cmd/bitmap.h"
#include "cmd/cmd.h"
#include "cmd/image-options.h"

#define MAX_THREADS	64
#define MAX_CBW_TIMEOUT_S	(UINT64_MAX / 1000000000)
#define MAX_FREEZE_TIMEOUT_S	86400

/* The value of --cbw-timeout if it is not given. */
#define TIMEOUT_DEFAULT	UINT64_MAX

static const char backup_help[] =
"Usage: dmlive backup NAME OUT [NAME OUT]... [OPTION]...\n"
"\n"
"Copies what the mapped device NAME holds now to OUT, while it stays in use. OUT\n"
"is a new file, or a block device. NAME, its path, or VG/LV must have been\n"
"attached (dmlive attach). All devices of one command are copied as of the same\n"
"point in time.\n"
"\n"
"  --format FORMAT      qcow2 or raw; default: by OUT's suffix: .qcow2, or .raw,\n"
"                       .img or none for raw\n"
"  --compression METHOD[:LEVEL]\n"
"                       qcow2: none, zlib[:1..9] or zstd[:1..22]; default: none\n"
"  --cluster-size SIZE  qcow2: 4K to 2M; default: 64K\n"
"  --fleece PLACE       keep old data, which the guest overwrites before they are\n"
"                       copied, in PLACE: a block device, or a folder for a\n"
"                       temporary file; default: the folder of OUT. VG or\n"
"                       VG:SIZE%: a logical volume in VG, of 20% or SIZE% of the\n"
"                       device, which is removed at the end. none: keep\n"
"                       none; guest writes wait until OUT has the old data.\n"
"                       Only for raw copies onto block devices, and the default\n"
"                       there\n"
"  --bitmap B           copy only what has changed since the previous backup,\n"
"                       according to bitmap B of the device; the image is based\n"
"                       on that backup. If there is none, copy everything, and\n"
"                       let B record changes from now on. qcow2 only\n"
"  --base IMAGE         the previous backup, once for each NAME, in order; none:\n"
"                       there is none; auto, also once for all: look for it in\n"
"                       the folder of OUT\n"
"  --full               copy everything, and start a new chain\n"
"  --no-full            fail if only a full backup is possible\n"
"  --speed SIZE         copy at most SIZE per second (K, M, G)\n"
"  --threads N          read and compress with N threads; default: the number of\n"
"                       CPUs, at least 4. Without a fleece device, the kernel has\n"
"                       N copies in flight, at most 16; default: 8\n"
"  --on-cbw-error break_snapshot|break_guest_write\n"
"                       if old data cannot be kept, fail the backup (the\n"
"                       default), or the guest's write\n"
"  --cbw-timeout S      do the same if keeping old data takes longer than S\n"
"                       seconds; 0: no limit, guest writes wait; default: 45, or\n"
"                       0 with break_guest_write\n"
"  --freeze-timeout S   fail if file systems would stay frozen, and devices\n"
"                       suspended, for longer than S seconds; 0: no limit;\n"
"                       default: 30\n"
"  --force              replace a file OUT, unless another image in its folder is\n"
"                       based on it; overwrite a device that holds data\n"
"  --json               print one JSON object a line\n";

enum {
	OPTION_BASE = 256,
	OPTION_BITMAP,
	OPTION_CBW_TIMEOUT,
	OPTION_CLUSTER_SIZE,
	OPTION_COMPRESSION,
	OPTION_FLEECE,
	OPTION_FORCE,
	OPTION_FORMAT,
	OPTION_FREEZE_TIMEOUT,
	OPTION_FULL,
	OPTION_JSON,
	OPTION_NO_FULL,
	OPTION_ON_CBW_ERROR,
	OPTION_SPEED,
	OPTION_THREADS,
};

static const struct option backup_options[] = {
	{ "base", required_argument, NULL, OPTION_BASE },
	{ "bitmap", required_argument, NULL, OPTION_BITMAP },
	{ "cbw-timeout", required_argument, NULL, OPTION_CBW_TIMEOUT },
	{ "cluster-size", required_argument, NULL, OPTION_CLUSTER_SIZE },
	{ "compression", required_argument, NULL, OPTION_COMPRESSION },
	{ "fleece", required_argument, NULL, OPTION_FLEECE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "format", required_argument, NULL, OPTION_FORMAT },
	{ "freeze-timeout", required_argument, NULL, OPTION_FREEZE_TIMEOUT },
	{ "full", no_argument, NULL, OPTION_FULL },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "no-full", no_argument, NULL, OPTION_NO_FULL },
	{ "on-cbw-error", required_argument, NULL, OPTION_ON_CBW_ERROR },
	{ "speed", required_argument, NULL, OPTION_SPEED },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

/* Take the value of an option that may be given for each device. */
static bool append(const char *option, const char **values, unsigned int *nr)
{
	if (*nr == BACKUP_MAX_VOLUMES) {
		error("%s %s: at most %d are possible", option, optarg,
		      BACKUP_MAX_VOLUMES);
		return false;
	}
	values[(*nr)++] = optarg;
	return true;
}

static bool take_on_cbw_error(struct backup_request *request)
{
	request->break_guest_write = !strcmp(optarg, "break_guest_write");
	if (request->break_guest_write || !strcmp(optarg, "break_snapshot"))
		return true;
	error("--on-cbw-error %s: must be break_snapshot (the default) or break_guest_write",
	      optarg);
	return false;
}

static bool take_timeout(struct backup_request *request)
{
	uint64_t seconds;

	if (!option_number("--cbw-timeout", optarg, MAX_CBW_TIMEOUT_S,
			   &seconds))
		return false;
	request->cbw_timeout_ms = seconds * 1000;
	return true;
}

static bool take_number(const char *option, unsigned int max,
			unsigned int *value)
{
	uint64_t number;

	if (!option_number(option, optarg, max, &number))
		return false;
	*value = number;
	return true;
}

static bool take_option(struct backup_request *request, int option)
{
	switch (option) {
	case OPTION_BASE:
		return append("--base", request->bases, &request->nr_bases);
	case OPTION_BITMAP:
		request->bitmap = optarg;
		return true;
	case OPTION_CBW_TIMEOUT:
		return take_timeout(request);
	case OPTION_CLUSTER_SIZE:
		return option_cluster_size("4K", &request->image);
	case OPTION_COMPRESSION:
		return option_compression(&request->image);
	case OPTION_FLEECE:
		return append("--fleece", request->fleeces,
			      &request->nr_fleeces);
	case OPTION_FORCE:
		request->force = true;
		return true;
	case OPTION_FORMAT:
		request->format_is_given = true;
		return option_format("--format", &request->image);
	case OPTION_FREEZE_TIMEOUT:
		return take_number("--freeze-timeout", MAX_FREEZE_TIMEOUT_S,
				   &request->freeze_timeout_s);
	case OPTION_FULL:
		request->full = true;
		return true;
	case OPTION_JSON:
		request->json = true;
		return true;
	case OPTION_NO_FULL:
		request->no_full = true;
		return true;
	case OPTION_ON_CBW_ERROR:
		return take_on_cbw_error(request);
	case OPTION_SPEED:
		return option_size("--speed", optarg, &request->speed);
	default:
		return take_number("--threads", MAX_THREADS,
				   &request->nr_threads);
	}
}

static int take_pairs(struct backup_request *request, int argc, char **argv)
{
	if (argc < 2 || argc % 2)
		return argument_error("backup", "NAME OUT, or several such pairs");
	if (argc / 2 > BACKUP_MAX_VOLUMES) {
		error("backup: at most %d devices are possible",
		      BACKUP_MAX_VOLUMES);
		return EXIT_USAGE;
	}
	for (; argc; argc -= 2, argv += 2)
		request->pairs[request->nr_pairs++] = (struct backup_pair){
			.name = argv[0],
			.output = argv[1],
		};
	return EXIT_OK;
}

/* As `dmlive bitmap add` with the default granularity. */
static int add_bitmap(const char *name, const char *bitmap)
{
	const struct bitmap_arguments arguments = {
		.action = BITMAP_ADD,
		.verb = "add",
		.store = name,
		.bitmap = bitmap,
		.locked = true,
	};

	return bitmap_online(name, &arguments);
}

static int check_bitmap(const struct backup_request *request)
{
	if (!request->bitmap &&
	    (request->nr_bases || request->full || request->no_full)) {
		error("backup: --base, --full and --no-full need a bitmap: --bitmap B");
		return EXIT_USAGE;
	}
	if (request->full && (request->no_full || request->nr_bases)) {
		error("backup: --full cannot be combined with --no-full or --base");
		return EXIT_USAGE;
	}
	if (request->nr_bases && request->nr_bases != request->nr_pairs &&
	    (request->nr_bases > 1 ||
	     strcmp(request->bases[0], BACKUP_BASE_AUTO))) {
		error("backup: give --base once for each device, in order; --base none for a device without a previous backup");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* Names of mapped devices are checked when the devices are opened. */
static int find_paths(struct backup_request *request)
{
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; !status && i < request->nr_pairs; i++)
		status = device_argument(&request->pairs[i].output, true);
	for (i = 0; !status && i < request->nr_bases; i++)
		status = device_argument(&request->bases[i], false);
	for (i = 0; !status && i < request->nr_fleeces; i++)
		status = fleece_volume_is_meant(request->fleeces[i]) ?
			 fleece_volume_check(request->fleeces[i]) :
			 device_argument(&request->fleeces[i], false);
	return status;
}

/* Will old data of a device be kept in a temporary file? */
static bool needs_loop(const struct backup_request *request)
{
	const char *fleece = request->fleeces[0];
	unsigned int i;

	for (i = 0; i < request->nr_pairs; i++) {
		if (i && i < request->nr_fleeces)
			fleece = request->fleeces[i];
		if (fleece && strcmp(fleece, BACKUP_FLEECE_NONE) &&
		    !path_is_blockdev(fleece) &&
		    !fleece_volume_is_meant(fleece))
			return true;
		if (!fleece && !path_is_blockdev(request->pairs[i].output))
			return true;
	}
	return false;
}

int cmd_backup(int argc, char **argv)
{
	struct backup_request request = {
		.add_bitmap = add_bitmap,
		.cbw_timeout_ms = TIMEOUT_DEFAULT,
		.freeze_timeout_s = BACKUP_FREEZE_TIMEOUT_S,
	};
	int found, status;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", backup_options,
				    NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error(argv[0], found, argv);
		if (found == OPTION_HELP) {
			fputs(backup_help, stdout);
			return EXIT_OK;
		}
		if (!take_option(&request, found))
			return EXIT_USAGE;
	}
	/* A guest's write must not fail because of a default timeout. */
	if (request.cbw_timeout_ms == TIMEOUT_DEFAULT)
		request.cbw_timeout_ms = request.break_guest_write ? 0 :
					 BACKUP_CBW_TIMEOUT_S * 1000;
	status = take_pairs(&request, argc - optind, argv + optind);
	if (!status)
		status = check_bitmap(&request);
	if (!status)
		status = require("backup", REQUIRE_DM | REQUIRE_CBW);
	if (!status)
		status = find_paths(&request);
	if (!status && needs_loop(&request))
		status = require("backup", REQUIRE_LOOP);
	return status ? status : backup_run(&request);
}
