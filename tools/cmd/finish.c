// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive finish`: swap a complete device to a linear mapping. */
#include <errno.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "block/device-name.h"
#include "base/exit.h"
#include "base/json.h"
#include "block/require.h"
#include "restore/runtime.h"
#include "restore/finish.h"
#include "restore/own-device.h"
#include "restore/stack.h"

static const char help[] =
"Usage: dmlive finish NAME|DEVICE [--json]\n"
"\n"
"Replaces the table of the alloctrack device NAME, which must be complete, by a\n"
"linear mapping of its volume, under running I/O. dmlive restore does this by\n"
"itself; use finish for devices made with dmsetup or with --no-finish.\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

static int exit_status_of(int r)
{
	switch (r) {
	case 0:
		return EXIT_OK;
	case -EAGAIN:
	case -EBUSY:
	case -EINVAL:
		return EXIT_REFUSED;
	default:
		return EXIT_ERROR;
	}
}

int cmd_finish(int argc, char **argv)
{
	struct json_object *object;
	char given[DM_NAME_BYTES], inner[DM_NAME_BYTES];
	const char *name;
	bool json = false, in_place;
	int found, r;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error("finish", found, argv);
		if (found == OPTION_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		json = true;
	}
	if (argc - optind != 1)
		return argument_error("finish", "NAME or DEVICE");
	r = require("finish", REQUIRE_DM) ?:
	    device_name_find(argv[optind], given);
	if (r)
		return r;

	name = stack_restored(given, inner);
	in_place = own_is_live(name);
	r = finish_device(name);
	if (r)
		return exit_status_of(r);
	/* A server that was killed has left its record. */
	runtime_remove(name, -1);
	if (json) {
		object = json_new_object();
		json_add_string(object, "name", name);
		json_add_bool(object, "linear",
			      !in_place || dm_runs_target(name, "linear"));
		json_print_line(object);
	} else {
		printf("%s %s\n", name, in_place ? "has its own table again" :
		       "is a plain linear mapping now");
	}
	return EXIT_OK;
}
