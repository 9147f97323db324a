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
#include "cmd/backup-job.h"
#include "cmd/bitmap.h"
#include "cmd/cmd.h"
#include "cmd/image-options.h"
#include "vm/backup-vm.h"

#define MAX_THREADS	64
#define MAX_CBW_TIMEOUT_S	(UINT64_MAX / 1000000000)
#define MAX_FREEZE_TIMEOUT_S	86400

/* The value of --cbw-timeout if it is not given. */
#define TIMEOUT_DEFAULT	UINT64_MAX

static const char backup_help[] =
"Usage: dmlive backup NAME OUT [NAME OUT]... [OPTION]...\n"
"       dmlive backup --vm DOMAIN FOLDER [OPTION]...\n"
"       dmlive backup --job JOB [--full|--no-full] [--json]\n"
"\n"
"Copies what the mapped device NAME holds now to OUT, while it stays in use. OUT\n"
"is a new file, or a block device. NAME, its path, or VG/LV must have been\n"
"attached (dmlive attach). All devices of one command are copied as of the same\n"
"point in time.\n"
"\n"
"With --vm: all disks of a virtual machine that libvirt knows, as qcow2 images in\n"
"FOLDER, with its definition. They are restored by dmlive restore --vm FOLDER.\n"
"Its file systems are frozen if its guest agent answers.\n"
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
"  --vm DOMAIN          name, UUID or ID of a virtual machine\n"
"  --connect URI        with --vm: of libvirt, as for virsh\n"
"  --exclude-disk DISK  with --vm: leave out this disk, such as vdb\n"
"  --no-agent           with --vm: do not ask the guest agent\n"
"  --before COMMAND     run it, by the shell, before the point in time, and fail\n"
"                       if it fails\n"
"  --after COMMAND      run it after the point in time, in every case\n"
"  --hook-timeout S     kill either after S seconds; 0: no limit; default: 60\n"
"  --job JOB            do what /etc/dmlive/backup.d/JOB.conf says, or the file\n"
"                       JOB if there is a slash in it: see dmlive-backup.d(5)\n"
"  --force              replace a file OUT, unless another image in its folder is\n"
"                       based on it; overwrite a device that holds data\n"
"  --json               print one JSON object a line\n";

enum {
	OPTION_AFTER = 256,
	OPTION_BASE,
	OPTION_BEFORE,
	OPTION_BITMAP,
	OPTION_CBW_TIMEOUT,
	OPTION_CLUSTER_SIZE,
	OPTION_COMPRESSION,
	OPTION_CONNECT,
	OPTION_EXCLUDE_DISK,
	OPTION_FLEECE,
	OPTION_FORCE,
	OPTION_FORMAT,
	OPTION_FREEZE_TIMEOUT,
	OPTION_FULL,
	OPTION_HOOK_TIMEOUT,
	OPTION_JOB,
	OPTION_JSON,
	OPTION_NO_AGENT,
	OPTION_NO_FULL,
	OPTION_ON_CBW_ERROR,
	OPTION_SPEED,
	OPTION_THREADS,
	OPTION_VM,
};

static const struct option backup_options[] = {
	{ "after", required_argument, NULL, OPTION_AFTER },
	{ "base", required_argument, NULL, OPTION_BASE },
	{ "before", required_argument, NULL, OPTION_BEFORE },
	{ "bitmap", required_argument, NULL, OPTION_BITMAP },
	{ "cbw-timeout", required_argument, NULL, OPTION_CBW_TIMEOUT },
	{ "cluster-size", required_argument, NULL, OPTION_CLUSTER_SIZE },
	{ "compression", required_argument, NULL, OPTION_COMPRESSION },
	{ "connect", required_argument, NULL, OPTION_CONNECT },
	{ "exclude-disk", required_argument, NULL, OPTION_EXCLUDE_DISK },
	{ "fleece", required_argument, NULL, OPTION_FLEECE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "format", required_argument, NULL, OPTION_FORMAT },
	{ "freeze-timeout", required_argument, NULL, OPTION_FREEZE_TIMEOUT },
	{ "full", no_argument, NULL, OPTION_FULL },
	{ "hook-timeout", required_argument, NULL, OPTION_HOOK_TIMEOUT },
	{ "job", required_argument, NULL, OPTION_JOB },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "no-agent", no_argument, NULL, OPTION_NO_AGENT },
	{ "no-full", no_argument, NULL, OPTION_NO_FULL },
	{ "on-cbw-error", required_argument, NULL, OPTION_ON_CBW_ERROR },
	{ "speed", required_argument, NULL, OPTION_SPEED },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "vm", required_argument, NULL, OPTION_VM },
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

/* Options about virtual machines. False: it is none of them. */
static bool take_vm_option(struct backup_vm *vm, int option)
{
	switch (option) {
	case OPTION_CONNECT:
		vm->uri = optarg;
		return true;
	case OPTION_EXCLUDE_DISK:
		if (vm->nr_excluded < VM_MAX_EXCLUDED)
			vm->excluded[vm->nr_excluded++] = optarg;
		else
			vm->has_too_many = true;
		return true;
	case OPTION_NO_AGENT:
		vm->no_agent = true;
		return true;
	case OPTION_VM:
		vm->domain = optarg;
		return true;
	default:
		return false;
	}
}

/* What concerns the point in time. */
static bool take_option_of_point(struct backup_request *request, int option)
{
	switch (option) {
	case OPTION_AFTER:
		request->after = optarg;
		return true;
	case OPTION_BEFORE:
		request->before = optarg;
		return true;
	case OPTION_FREEZE_TIMEOUT:
		return take_number("--freeze-timeout", MAX_FREEZE_TIMEOUT_S,
				   &request->freeze_timeout_s);
	default:
		return take_number("--hook-timeout", MAX_FREEZE_TIMEOUT_S,
				   &request->hook_timeout_s);
	}
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
	case OPTION_AFTER:
	case OPTION_BEFORE:
	case OPTION_FREEZE_TIMEOUT:
	case OPTION_HOOK_TIMEOUT:
		return take_option_of_point(request, option);
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

static int check_vm(const struct backup_vm *vm,
		    struct backup_request *request, int argc)
{
	if (!vm->domain) {
		error("backup: --connect, --exclude-disk and --no-agent need --vm DOMAIN");
		return EXIT_USAGE;
	}
	if (argc != 1)
		return argument_error("backup", "--vm DOMAIN FOLDER");
	if (vm->has_too_many) {
		error("--exclude-disk: at most %d are possible", VM_MAX_EXCLUDED);
		return EXIT_USAGE;
	}
	/* It would be an option of virsh. */
	if (!vm->domain[0] || vm->domain[0] == '-') {
		error("--vm %s: must be the name, UUID or ID of a virtual machine",
		      vm->domain);
		return EXIT_USAGE;
	}
	if (request->format_is_given && request->image.format != WRITER_QCOW2) {
		error("backup: images of --vm are qcow2; leave out --format");
		return EXIT_USAGE;
	}
	if (request->nr_bases && strcmp(request->bases[0], BACKUP_BASE_AUTO)) {
		error("--base %s: with --vm, it is auto, the default",
		      request->bases[0]);
		return EXIT_USAGE;
	}
	if (request->bitmap && !request->full && !request->nr_bases)
		request->bases[request->nr_bases++] = BACKUP_BASE_AUTO;
	return EXIT_OK;
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

static bool take_named(const char *name, const char *value,
		       struct backup_request *request)
{
	const struct option *option = backup_options;

	while (strcmp(option->name, name))
		option++;
	optarg = (char *)value;
	return take_option(request, option->val);
}

/* What can be said before the devices are known. */
static int check(struct backup_request *request)
{
	int status = check_bitmap(request);

	/* A guest's write must not fail because of a default timeout. */
	if (request->cbw_timeout_ms == TIMEOUT_DEFAULT)
		request->cbw_timeout_ms = request->break_guest_write ? 0 :
					  BACKUP_CBW_TIMEOUT_S * 1000;
	return status ? status : require("backup", REQUIRE_DM | REQUIRE_CBW);
}

/* The pairs are known. */
static int run(struct backup_request *request)
{
	int status = find_paths(request);

	if (!status && needs_loop(request))
		status = require("backup", REQUIRE_LOOP);
	return status ? status : backup_run(request);
}

static int check_and_run(struct backup_request *request)
{
	int status = check(request);

	return status ? status : run(request);
}

static int run_vm(struct backup_vm *vm, struct backup_request *request)
{
	int status = check(request);

	if (status)
		return status;
	status = backup_vm_open(vm, request);
	if (!status)
		status = run(request);
	backup_vm_close(vm);
	return status;
}

static const struct backup_command job_command = {
	.take = take_named,
	.run = check_and_run,
};

/* What is not part of the request. */
struct arguments {
	struct backup_vm vm;
	const char *job;
	/* What cannot stand beside --job, or NULL. */
	const char *beside_job;
};

/* @nr: of arguments that are no options. */
static int run_job(const struct arguments *arguments, struct backup_request *request, int nr)
{
	const char *other = arguments->beside_job;

	if (!nr && !other)
		return backup_job_run(arguments->job, request, &job_command);
	error("backup --job %s: cannot be combined with %s: what is to be backed up, and how, is in the job's file",
	      arguments->job, other ? other : "NAME and OUT");
	return EXIT_USAGE;
}

/* Returns an exit status, EXIT_OK to continue; -1: help was printed. */
static int parse(int argc, char **argv, struct backup_request *request,
		 struct arguments *arguments)
{
	int found;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", backup_options,
				    NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error(argv[0], found, argv);
		if (found == OPTION_HELP) {
			fputs(backup_help, stdout);
			return -1;
		}
		if (found == OPTION_JOB)
			arguments->job = optarg;
		else if (take_vm_option(&arguments->vm, found))
			arguments->vm.is_meant = true;
		else if (!take_option(request, found))
			return EXIT_USAGE;
		if (found != OPTION_JOB && found != OPTION_JSON && found != OPTION_FULL &&
		    found != OPTION_NO_FULL)
			arguments->beside_job = "other options than --full, --no-full and --json";
	}
	return EXIT_OK;
}

int cmd_backup(int argc, char **argv)
{
	struct backup_request request = {
		.add_bitmap = add_bitmap,
		.cbw_timeout_ms = TIMEOUT_DEFAULT,
		.freeze_timeout_s = BACKUP_FREEZE_TIMEOUT_S,
		.hook_timeout_s = BACKUP_HOOK_TIMEOUT_S,
	};
	struct arguments arguments = { 0 };
	struct backup_vm *vm = &arguments.vm;
	int status = parse(argc, argv, &request, &arguments);

	if (status)
		return status < 0 ? EXIT_OK : status;
	argc -= optind;
	argv += optind;
	if (arguments.job)
		return run_job(&arguments, &request, argc);
	if (!vm->is_meant) {
		status = take_pairs(&request, argc, argv);
		return status ? status : check_and_run(&request);
	}
	status = check_vm(vm, &request, argc);
	vm->folder = argv[0];
	return status ? status : run_vm(vm, &request);
}
