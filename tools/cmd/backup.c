// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive backup`: its command line. */
#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "cmd/bitmap.h"
#include "cmd/cmd.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/require.h"

#define MAX_THREADS	64
#define MAX_CLUSTER	(2u << 20)
#define MAX_FREEZE_TIMEOUT_S	86400

/* The value of --cbw-timeout, until it is given. */
#define TIMEOUT_DEFAULT	UINT64_MAX

static const char backup_help[] =
"Usage: dmlive backup NAME OUT [NAME OUT]... [OPTION]...\n"
"\n"
"Copies what the mapped device NAME holds now to OUT, while it stays in use. OUT\n"
"is a new file, or a block device. NAME, or its path, or VG/LV, must have been\n"
"attached (dmlive attach). All devices of one command are copied as of the same\n"
"point in time.\n"
"\n"
"  --format FORMAT      qcow2 or raw; default: by OUT's suffix: .qcow2, or .raw,\n"
"                       .img or none for raw\n"
"  --compression METHOD[:LEVEL]\n"
"                       qcow2: none, zlib[:1..9] or zstd[:1..22]; default: none\n"
"  --cluster-size SIZE  qcow2: 4K to 2M; default: 64K\n"
"  --fleece PLACE       where old data are kept that the guest overwrites before\n"
"                       they are copied: a block device, or a folder for a\n"
"                       temporary file; default: the folder of OUT. none:\n"
"                       nowhere, which is for raw copies onto block devices, and\n"
"                       the default there: guest writes wait until OUT has what\n"
"                       they overwrite\n"
"  --bitmap B           only what has changed since the previous backup, as\n"
"                       bitmap B of the device says; the image lies on that\n"
"                       backup. Without one, all, and B begins to record\n"
"                       changes. qcow2 only\n"
"  --base IMAGE         the previous backup, of each NAME in order; none: there\n"
"                       is none\n"
"  --full               all, whatever B tells: the begin of a new chain\n"
"  --no-full            fail where only a full backup is possible\n"
"  --speed SIZE         copy at most SIZE per second (K, M, G)\n"
"  --threads N          read and compress with N threads; default: one a CPU, at\n"
"                       least 4\n"
"  --on-cbw-error break_snapshot|break_guest_write\n"
"                       if old data cannot be kept: the backup fails (the\n"
"                       default), or the guest's write\n"
"  --cbw-timeout S      so it is too if that takes longer than S seconds. 0: the\n"
"                       guest's write waits; default: 45, and 0 with\n"
"                       break_guest_write\n"
"  --freeze-timeout S   fail if file systems would be frozen, and devices\n"
"                       suspended, for longer than S seconds; 0: no limit;\n"
"                       default: 30\n"
"  --force              replace a file OUT, unless another image in its folder\n"
"                       lies on it; overwrite a device that holds something\n"
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

static bool take_cluster_size(struct backup_request *request)
{
	uint64_t bytes;

	if (!option_size("--cluster-size", optarg, &bytes))
		return false;
	if (bytes < 4096 || bytes > MAX_CLUSTER || bytes & (bytes - 1)) {
		error("--cluster-size %s: must be a power of two from 4K to 2M",
		      optarg);
		return false;
	}
	request->image.cluster_bytes = bytes;
	return true;
}

static bool take_compression(struct backup_request *request)
{
	if (!writer_parse_compression(optarg, &request->image))
		return true;
	error("--compression %s: must be none, zlib, zlib:1 to zlib:9, zstd, or zstd:1 to zstd:22",
	      optarg);
	return false;
}

static bool take_base(struct backup_request *request)
{
	if (request->nr_bases == BACKUP_MAX_VOLUMES) {
		error("--base %s: at most %d are possible", optarg,
		      BACKUP_MAX_VOLUMES);
		return false;
	}
	request->bases[request->nr_bases++] = optarg;
	return true;
}

static bool take_fleece(struct backup_request *request)
{
	if (request->nr_fleeces == BACKUP_MAX_VOLUMES) {
		error("--fleece %s: at most %d are possible", optarg,
		      BACKUP_MAX_VOLUMES);
		return false;
	}
	request->fleeces[request->nr_fleeces++] = optarg;
	return true;
}

static bool take_format(struct backup_request *request)
{
	request->format_is_given = true;
	if (!writer_parse_format(optarg, &request->image))
		return true;
	error("--format %s: must be qcow2 or raw", optarg);
	return false;
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

	if (!option_number("--cbw-timeout", optarg, UINT64_MAX / 1000000000,
			   &seconds))
		return false;
	request->cbw_timeout_ms = seconds * 1000;
	return true;
}

static bool take_freeze_timeout(struct backup_request *request)
{
	uint64_t seconds;

	if (!option_number("--freeze-timeout", optarg, MAX_FREEZE_TIMEOUT_S,
			   &seconds))
		return false;
	request->freeze_timeout_s = seconds;
	return true;
}

static bool take_threads(struct backup_request *request)
{
	uint64_t number;

	if (!option_number("--threads", optarg, MAX_THREADS, &number))
		return false;
	request->nr_threads = number;
	return true;
}

static bool take_option(struct backup_request *request, int option)
{
	switch (option) {
	case OPTION_BASE:
		return take_base(request);
	case OPTION_BITMAP:
		request->bitmap = optarg;
		return true;
	case OPTION_CBW_TIMEOUT:
		return take_timeout(request);
	case OPTION_CLUSTER_SIZE:
		return take_cluster_size(request);
	case OPTION_COMPRESSION:
		return take_compression(request);
	case OPTION_FLEECE:
		return take_fleece(request);
	case OPTION_FORCE:
		request->force = true;
		return true;
	case OPTION_FORMAT:
		return take_format(request);
	case OPTION_FREEZE_TIMEOUT:
		return take_freeze_timeout(request);
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
		return take_threads(request);
	}
}

static int take_pairs(struct backup_request *request, int argc, char **argv)
{
	if (argc < 2 || argc % 2)
		return argument_error("backup", "NAME OUT, or several of these pairs");
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

/* As `dmlive bitmap add` does it, with its default granularity. */
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
		error("backup: --base, --full and --no-full are about increments: name a bitmap (--bitmap B)");
		return EXIT_USAGE;
	}
	if (request->full && (request->no_full || request->nr_bases)) {
		error("backup: --full does not go together with --no-full or --base");
		return EXIT_USAGE;
	}
	if (request->nr_bases && request->nr_bases != request->nr_pairs) {
		error("backup: give --base once for each device, in order; --base none for one that has no previous backup");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* The names of mapped devices are checked when these are opened. */
static int find_paths(struct backup_request *request)
{
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; !status && i < request->nr_pairs; i++)
		status = device_argument(&request->pairs[i].output, true);
	for (i = 0; !status && i < request->nr_bases; i++)
		status = device_argument(&request->bases[i], false);
	for (i = 0; !status && i < request->nr_fleeces; i++)
		status = device_argument(&request->fleeces[i], false);
	return status;
}

/* Are old data of a device to be kept in a file? */
static bool needs_loop(const struct backup_request *request)
{
	const char *fleece = request->fleeces[0];
	unsigned int i;

	for (i = 0; i < request->nr_pairs; i++) {
		if (i && i < request->nr_fleeces)
			fleece = request->fleeces[i];
		if (fleece && strcmp(fleece, BACKUP_FLEECE_NONE) &&
		    !path_is_blockdev(fleece))
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
	/* A guest's write must not fail for a timeout that nobody asked for. */
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
