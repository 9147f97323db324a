// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive bitmap`: the dirty bitmaps of a store, with the words of qemu-img bitmap.
 * If the store is not in use, its image is changed; else messages go to its target.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/bitmap.h"
#include "cmd/cmd.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"

static const char help[] =
"Usage: dmlive bitmap list STORE [--json]\n"
"       dmlive bitmap dump STORE BITMAP [--json]\n"
"       dmlive bitmap add STORE BITMAP [--granularity N] [--disabled]\n"
"       dmlive bitmap remove|enable|disable|clear STORE BITMAP\n"
"       dmlive bitmap merge STORE BITMAP SOURCE [--source-file IMAGE]\n"
"\n"
"Dirty bitmaps, which record what has changed on a device. STORE is a metadata\n"
"device, or any qcow2 image, that is not in use; or the name (or a path, or\n"
"VG/LV) of a mapped device that records changes (target cbw).\n"
"\n"
"  list     show the bitmaps\n"
"  dump     list the ranges of the device that a bitmap has set\n"
"  add      make one, which records from now on\n"
"  remove   delete it\n"
"  enable   record changes from now on\n"
"  disable  stop recording; bits that are set stay set\n"
"  clear    clear all bits\n"
"  merge    also set in BITMAP what is set in SOURCE. If the machine crashed\n"
"           while BITMAP was in use, merging dmlive-intent into it recovers it\n"
"\n"
"A bitmap that was cleared, disabled or removed no longer belongs to a backup:\n"
"the next backup that uses it is full.\n"
"\n"
"Options:\n"
"  --granularity N      bytes that a bit stands for; default: the cluster\n"
"                       size, from 4K to 64K\n"
"  --disabled           the new bitmap records nothing until it is enabled\n"
"  --source-file IMAGE  the image or metadata device that has SOURCE\n"
"  --force              also change bitmaps of dmlive itself, or of a restore;\n"
"                       also dump a bitmap that was not closed\n"
"  --json               print JSON\n";

static const struct {
	const char *verb;
	enum bitmap_action action;
	int nr_arguments;
	const char *wanted;
} verbs[] = {
	{ "list", BITMAP_LIST, 1, "STORE" },
	{ "dump", BITMAP_DUMP, 2, "STORE and BITMAP" },
	{ "add", BITMAP_ADD, 2, "STORE and BITMAP" },
	{ "remove", BITMAP_REMOVE, 2, "STORE and BITMAP" },
	{ "enable", BITMAP_ENABLE, 2, "STORE and BITMAP" },
	{ "disable", BITMAP_DISABLE, 2, "STORE and BITMAP" },
	{ "clear", BITMAP_CLEAR, 2, "STORE and BITMAP" },
	{ "merge", BITMAP_MERGE, 3, "STORE, BITMAP and SOURCE" },
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

enum {
	OPTION_GRANULARITY = 1,
	OPTION_DISABLED,
	OPTION_SOURCE_FILE,
	OPTION_FORCE,
	OPTION_JSON,
};

static const struct option options[] = {
	{ "granularity", required_argument, NULL, OPTION_GRANULARITY },
	{ "disabled", no_argument, NULL, OPTION_DISABLED },
	{ "source-file", required_argument, NULL, OPTION_SOURCE_FILE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

/* An option of another verb is an error. */
static int check_options(const struct bitmap_arguments *arguments)
{
	const char *option = NULL;

	if (arguments->action != BITMAP_ADD) {
		if (arguments->granularity)
			option = "--granularity";
		if (arguments->disabled)
			option = "--disabled";
	}
	if (arguments->action != BITMAP_MERGE && arguments->source_file)
		option = "--source-file";
	if (!option)
		return EXIT_OK;
	error("bitmap %s: takes no option %s; see dmlive bitmap --help",
	      arguments->verb, option);
	return EXIT_USAGE;
}

static int take_words(struct bitmap_arguments *arguments, int nr, char **words)
{
	size_t i;

	for (i = 0; nr && i < NR_VERBS; i++)
		if (!strcmp(words[0], verbs[i].verb))
			break;
	if (!nr || i == NR_VERBS) {
		if (nr)
			error("bitmap: there is no command '%s'; see dmlive bitmap --help",
			      words[0]);
		else
			fputs(help, stderr);
		return EXIT_USAGE;
	}
	arguments->verb = verbs[i].verb;
	arguments->action = verbs[i].action;
	if (nr != verbs[i].nr_arguments + 1) {
		error("bitmap %s: needs %s; see dmlive bitmap --help",
		      arguments->verb, verbs[i].wanted);
		return EXIT_USAGE;
	}
	arguments->store = words[1];
	arguments->bitmap = nr > 2 ? words[2] : NULL;
	arguments->source = nr > 3 ? words[3] : NULL;
	return check_options(arguments);
}

static bool take_option(struct bitmap_arguments *arguments, int option)
{
	switch (option) {
	case OPTION_GRANULARITY:
		if (!option_size("--granularity", optarg,
				 &arguments->granularity))
			return false;
		if (arguments->granularity)
			return true;
		error("--granularity %s: must not be 0", optarg);
		return false;
	case OPTION_DISABLED:
		arguments->disabled = true;
		return true;
	case OPTION_SOURCE_FILE:
		arguments->source_file = optarg;
		return true;
	case OPTION_FORCE:
		arguments->force = true;
		return true;
	case OPTION_JSON:
		arguments->json = true;
		return true;
	}
	return false;
}

int cmd_bitmap(int argc, char **argv)
{
	struct bitmap_arguments arguments = { 0 };
	char name[DM_NAME_BYTES];
	bool is_name;
	int option, r;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (option == '?' || option == ':')
			return option_error("bitmap", option, argv);
		if (!take_option(&arguments, option))
			return EXIT_USAGE;
	}
	r = take_words(&arguments, argc - optind, argv + optind);
	if (!r)
		r = device_argument(&arguments.store, false);
	if (!r)
		r = device_argument(&arguments.source_file, false);
	if (r)
		return r;
	/* A name that is not a file can only be that of a mapped device. */
	is_name = !strchr(arguments.store, '/') && access(arguments.store, F_OK);
	if (is_name && access("/dev/mapper/control", R_OK | W_OK)) {
		error("there is no file %s here; to look for a mapped device of that name, run this as root, with device-mapper loaded",
		      arguments.store);
		return EXIT_ERROR;
	}
	r = bitmap_is_online(arguments.store, name, sizeof(name));
	if (r < 0)
		return EXIT_ERROR;
	if (!r && is_name) {
		error("%s is neither a file here nor the name of an attached mapped device (see dmlive status)",
		      arguments.store);
		return EXIT_ERROR;
	}
	return r ? bitmap_online(name, &arguments) : bitmap_offline(&arguments);
}
