// SPDX-License-Identifier: GPL-2.0-only
/* The command line of `dmlive restore --vm`. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/lvm.h"
#include "block/require.h"
#include "cmd/cmd.h"
#include "cmd/restore-vm.h"
#include "vm/restore-vm.h"

const char restore_vm_help[] =
"\n"
"Usage: dmlive restore --vm BACKUP [OPTION]...\n"
"\n"
"Restores all disks of a virtual machine, in place and in the background. BACKUP:\n"
"the folder of dmlive backup --vm, whose newest complete backup is taken, or the\n"
".json file of one.\n"
"\n"
"  --vg VG            onto the logical volumes VG/DOMAIN-DISK; default: where the\n"
"                     disks were\n"
"  --map DISK=DEVICE  onto this volume, such as vda=VG/LV\n"
"  --create           make the logical volumes, which do not exist yet\n"
"  --define           define the machine in libvirt, with these disks\n"
"  --connect URI      of libvirt, as for virsh\n"
"  --xml FILE         write its definition, with these disks, to the new FILE\n"
"  --force, --allow-paths, --speed, --threads, --on-error, --json\n"
"                     as above, for each disk\n";

enum {
	OPTION_ALLOW_PATHS = 256,
	OPTION_CONNECT,
	OPTION_CREATE,
	OPTION_DEFINE,
	OPTION_FORCE,
	OPTION_JSON,
	OPTION_MAP,
	OPTION_ON_ERROR,
	OPTION_SPEED,
	OPTION_THREADS,
	OPTION_VG,
	OPTION_VM,
	OPTION_XML,
};

static const struct option restore_vm_options[] = {
	{ "allow-paths", no_argument, NULL, OPTION_ALLOW_PATHS },
	{ "connect", required_argument, NULL, OPTION_CONNECT },
	{ "create", no_argument, NULL, OPTION_CREATE },
	{ "define", no_argument, NULL, OPTION_DEFINE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "map", required_argument, NULL, OPTION_MAP },
	{ "on-error", required_argument, NULL, OPTION_ON_ERROR },
	{ "speed", required_argument, NULL, OPTION_SPEED },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "vg", required_argument, NULL, OPTION_VG },
	{ "vm", required_argument, NULL, OPTION_VM },
	{ "xml", required_argument, NULL, OPTION_XML },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

bool restore_vm_is_meant(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--vm") || !strncmp(argv[i], "--vm=", 5))
			return true;
	return false;
}

/* Each restore gets it, and says if it is wrong. */
static bool pass(struct restore_vm *request, const char *option,
		 const char *value)
{
	if (request->nr_passed + 2 > VM_MAX_PASSED) {
		error("%s: given too often", option);
		return false;
	}
	request->passed[request->nr_passed++] = option;
	if (value)
		request->passed[request->nr_passed++] = value;
	return true;
}

static bool take_map(struct restore_vm *request)
{
	const char *equals = strchr(optarg, '=');

	if (!equals || equals == optarg || !equals[1]) {
		error("--map %s: must be DISK=DEVICE, such as vda=VG/LV", optarg);
		return false;
	}
	if (request->nr_maps == VM_MAX_MAPS) {
		error("--map: at most %d are possible", VM_MAX_MAPS);
		return false;
	}
	request->maps[request->nr_maps++] = (struct vm_map){
		.target = strndup(optarg, equals - optarg),
		.device = equals + 1,
	};
	return true;
}

static bool take_group(struct restore_vm *request)
{
	request->group = optarg;
	if (lvm_name_is_valid(optarg))
		return true;
	error("--vg %s: must be the name of a volume group", optarg);
	return false;
}

static bool take_speed(struct restore_vm *request)
{
	uint64_t bytes;

	return option_size("--speed", optarg, &bytes) &&
	       pass(request, "--speed", optarg);
}

/* An absolute path, whose folder is there. */
static bool take_xml(struct restore_vm *request)
{
	const char *slash = strrchr(optarg, '/');
	char *folder, *whole, *path;
	int r;

	folder = slash ? strndup(optarg, slash - optarg + 1) : strdup(".");
	whole = folder ? realpath(folder, NULL) : NULL;
	free(folder);
	r = whole ? asprintf(&path, "%s/%s", whole,
			     slash ? slash + 1 : optarg) : -1;
	free(whole);
	if (r < 0)
		error("--xml %s: %m", optarg);
	else
		request->xml_path = path;
	return r >= 0;
}

static bool take_option(struct restore_vm *request, int option)
{
	switch (option) {
	case OPTION_ALLOW_PATHS:
		return pass(request, "--allow-paths", NULL);
	case OPTION_CONNECT:
		request->uri = optarg;
		return true;
	case OPTION_CREATE:
		request->create = true;
		return true;
	case OPTION_DEFINE:
		request->define = true;
		return true;
	case OPTION_FORCE:
		return pass(request, "--force", NULL);
	case OPTION_JSON:
		request->json = true;
		return pass(request, "--json", NULL);
	case OPTION_MAP:
		return take_map(request);
	case OPTION_ON_ERROR:
		return pass(request, "--on-error", optarg);
	case OPTION_SPEED:
		return take_speed(request);
	case OPTION_THREADS:
		return pass(request, "--threads", optarg);
	case OPTION_VG:
		return take_group(request);
	case OPTION_VM:
		request->given = optarg;
		return true;
	default:
		return take_xml(request);
	}
}

int cmd_restore_vm(int argc, char **argv)
{
	struct restore_vm request = { 0 };
	int found, status;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", restore_vm_options,
				    NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error(argv[0], found, argv);
		if (found == OPTION_HELP) {
			fputs(restore_vm_help + 1, stdout);
			return EXIT_OK;
		}
		if (!take_option(&request, found))
			return EXIT_USAGE;
	}
	if (argc != optind)
		return argument_error("restore", "--vm BACKUP, and no other");
	if (request.uri && !request.define) {
		error("restore: --connect is for --define");
		return EXIT_USAGE;
	}
	status = require("restore", REQUIRE_DM | REQUIRE_ALLOCTRACK);
	return status ? status : restore_vm_run(&request);
}
