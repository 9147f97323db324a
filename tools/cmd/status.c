// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status`: its command line, and the choice of what to show. */
#include <errno.h>
#include <stdio.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/device-name.h"
#include "block/require.h"
#include "cmd/cmd.h"
#include "cmd/status.h"
#include "restore/stack.h"

static const char help[] =
"Usage: dmlive status [NAME|DEVICE] [--json]\n"
"       dmlive status --metrics|--watch\n"
"\n"
"Shows the mapped device NAME (or its path, or VG/LV) if it is being restored\n"
"(alloctrack), was restored, or is attached for backups (cbw). Without NAME,\n"
"shows all devices that are being restored or attached, and what killed commands\n"
"have left, with the command that cleans it up. --json prints an array of\n"
"objects, or one object if NAME is given. --metrics prints numbers of all devices\n"
"in the text format of OpenMetrics, for Prometheus and its node_exporter.\n"
"--watch shows all devices with progress and errors, until it is interrupted.\n";

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_METRICS,
	FORMAT_WATCH,
};

static const struct option options[] = {
	{ "json", no_argument, NULL, FORMAT_JSON },
	{ "metrics", no_argument, NULL, FORMAT_METRICS },
	{ "watch", no_argument, NULL, FORMAT_WATCH },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

struct listing {
	struct json_object *array;	/* NULL: print text */
	unsigned int nr;
	int exit_status;
};

static int list_one(const char *name, void *argument)
{
	struct listing *listing = argument;
	struct json_object *object = listing->array ? json_new_object() : NULL;
	int r = status_restore(name, object);

	if (r == -ENOENT)
		r = status_cbw(name, object);
	listing->nr += !r;
	if (!r && object)
		json_append(listing->array, object);
	else
		json_object_put(object);
	/* Other errors: the device was removed, or has another table now. */
	if (r == -EPROTO)
		listing->exit_status = EXIT_ERROR;
	return 0;
}

/* For status_watch(). */
static struct json_object *collect(void)
{
	struct listing listing = { .array = json_new_array() };

	if (dm_for_each(list_one, &listing)) {
		json_object_put(listing.array);
		return NULL;
	}
	status_recovery(NULL, listing.array);
	return listing.array;
}

static int list_all(enum format format)
{
	struct listing listing = {
		.array = format == FORMAT_TEXT ? NULL : json_new_array(),
	};

	if (dm_for_each(list_one, &listing))
		return EXIT_ERROR;
	listing.nr += status_recovery(NULL, listing.array);
	if (format == FORMAT_JSON) {
		json_print_pretty(listing.array);
	} else if (format == FORMAT_METRICS) {
		status_print_metrics(listing.array);
		json_object_put(listing.array);
	} else if (!listing.nr) {
		printf("no device is being restored or attached\n");
	}
	return listing.exit_status;
}

/* Add what is known of a restore of the device below @name. */
static void add_restore(const char *name, struct json_object *object)
{
	const char *key = "restored", *restored;
	char inner[DM_NAME_BYTES];
	struct json_object *lower;
	int r;

	restored = stack_restored(name, inner);
	if (restored == name)
		return;
	lower = object ? json_new_object() : NULL;
	r = status_finished(restored, lower);
	if (r) {
		key = "restore";
		r = status_restore(restored, lower);
	}
	if (!r && object)
		json_add(object, key, lower);
	else
		json_object_put(lower);
}

static int show_device(const char *name, struct json_object *object)
{
	int r = status_restore(name, object);

	if (r == -ENOENT) {
		r = status_cbw(name, object);
		if (!r)
			add_restore(name, object);
	}
	return r == -ENOENT ? status_finished(name, object) : r;
}

static int explain(const char *name, int r)
{
	if (r == -ENXIO)
		error("%s: no such mapped device", name);
	else if (r == -ENOENT || r == -ENODATA)
		error("%s is not being restored, was not restored, and is not attached; to see what is: dmlive status",
		      name);
	else if (r != -EPROTO)
		error_errno(r, "%s: cannot get its status", name);
	return r == -ENOENT ? EXIT_REFUSED : EXIT_ERROR;
}

static int show_one(const char *name, struct json_object *object,
		    struct json_object *leftovers)
{
	int r = show_device(name, object);
	bool is_other = r == -ENOENT || r == -ENODATA;
	bool has_leftovers = (!r || is_other) &&
			     status_recovery(name, leftovers);

	if (r && !has_leftovers)
		return explain(name, r);
	if (!object)
		return EXIT_OK;
	if (r) {
		json_add_string(object, "name", name);
		json_add(object, "kind", NULL);
	}
	json_add(object, "leftovers", json_object_get(leftovers));
	json_print_pretty(json_object_get(object));
	return EXIT_OK;
}

static int show_named(const char *argument, bool json)
{
	struct json_object *object, *leftovers;
	char name[DM_NAME_BYTES];
	int status = device_name_find(argument, name);

	if (status)
		return status;
	object = json ? json_new_object() : NULL;
	leftovers = json ? json_new_array() : NULL;
	status = show_one(name, object, leftovers);
	json_object_put(object);
	json_object_put(leftovers);
	return status;
}

int cmd_status(int argc, char **argv)
{
	enum format format = FORMAT_TEXT;
	int found, status;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error("status", found, argv);
		if (found == OPTION_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		format = found;
	}
	if ((format == FORMAT_METRICS || format == FORMAT_WATCH) &&
	    argc > optind)
		return argument_error("status",
				      "no NAME with --metrics and --watch");
	if (argc - optind > 1)
		return argument_error("status", "at most one NAME or DEVICE");
	status = require("status", REQUIRE_DM);
	if (status)
		return status;
	if (format == FORMAT_WATCH)
		return status_watch(collect);
	return optind == argc ? list_all(format) :
				show_named(argv[optind], format == FORMAT_JSON);
}
