// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive meta`: making and looking at bitmap stores, the metadata devices of
 * the targets.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/size.h"
#include "store/format.h"
#include "store/generation.h"
#include "store/inspect.h"
#include "store/prepare.h"
#include "store/resize.h"
#include "store/seal.h"
#include "store/show.h"
#include "store/track.h"
#include "store/writer.h"

/* The bitmap that the target alloctrack looks for. */
#define DEFAULT_BITMAP	"alloctrack"
#define MAX_BITMAPS	64

struct arguments {
	const char *path;
	uint64_t size;
	uint64_t granularity;
	struct meta_bitmap bitmaps[MAX_BITMAPS + META_TRACK_MAX_SPARES + 1];
	size_t nr_bitmaps;
	const char *backing;
	const char *backing_format;
	const char *target;
	const char *bits;
	bool track;
	uint64_t nr_spares;
	meta_spare_name spare_names[META_TRACK_MAX_SPARES];
	uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES];
	bool force;
	bool json;
};

static const char usage[] =
"Usage: dmlive meta format DEVICE|FILE --size N --granularity N\n"
"              [--bitmap NAME[:GRANULARITY][:auto]]... [--backing IMAGE]\n"
"              [--backing-format FORMAT] [--target DEVICE] [--force]\n"
"       dmlive meta format DEVICE|FILE --size N --track [--granularity N]\n"
"              [--bitmap NAME[:GRANULARITY]]... [--spare N] [--force]\n"
"       dmlive meta size --size N ... as for format [--json]\n"
"       dmlive meta dump DEVICE|FILE [--bits NAME] [--json]\n"
"       dmlive meta check DEVICE|FILE [--json]\n"
"       dmlive meta prepare DEVICE|FILE [--json]\n"
"       dmlive meta resize DEVICE|FILE [--size N]\n"
"\n"
"A metadata device keeps bitmaps across crashes. It is a qcow2 image: qemu-img\n"
"info, check and bitmap work on it while it is not in use.\n"
"\n"
"  format  make one, with all clusters allocated\n"
"  size    say how large the device must be\n"
"  dump    show what is in it; --bits lists the ranges that a bitmap has set\n"
"  check   check all of it; status 0: clean, 1: not checked, 2: errors,\n"
"          3: only leaked clusters (as qemu-img check)\n"
"  prepare turn a qcow2 image that has bitmaps (qemu-img bitmap --add) into one;\n"
"          bits that are set stay set\n"
"  resize  make a store that was made with --track fit a volume of N bytes, by\n"
"          default the present size of its volume; bits that are set stay set,\n"
"          and the new area counts as changed\n"
"\n"
"Options:\n"
"  --size N             bytes of the device that is tracked (K, M, G, T)\n"
"  --granularity N      bytes that a bit stands for: the block size\n"
"  --bitmap ...         a bitmap to make; default: alloctrack:auto\n"
"  --track              for dm-cbw to record changes in: enables each --bitmap,\n"
"                       and adds the bitmap dmlive-intent; default granularity:\n"
"                       64K\n"
"  --spare N            room for N more bitmaps of this granularity, which can be\n"
"                       added while the device is in use; default: 2\n"
"  --backing IMAGE      the image that is restored\n"
"  --backing-format F   qcow2 or raw\n"
"  --target DEVICE      the volume that it is restored onto\n"
"  --force              overwrite what is there\n"
"  --json               print JSON\n";

/* NAME[:GRANULARITY][:auto]; the text is cut at the colons. */
static int parse_bitmap(struct arguments *arguments, char *text)
{
	struct meta_bitmap *bitmap;
	char *word = strchr(text, ':');

	if (arguments->nr_bitmaps == MAX_BITMAPS) {
		error("--bitmap: at most %d bitmaps", MAX_BITMAPS);
		return -EINVAL;
	}
	bitmap = &arguments->bitmaps[arguments->nr_bitmaps++];
	bitmap->name = text;
	while (word) {
		*word++ = 0;
		text = word;
		word = strchr(text, ':');
		if (word)
			*word = 0;
		if (!strcmp(text, "auto")) {
			bitmap->autoload = true;
		} else if (size_parse(text, &bitmap->granularity) ||
			   !bitmap->granularity) {
			error("--bitmap %s: '%s' is neither a granularity nor auto",
			      bitmap->name, text);
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_size(const char *option, const char *text, uint64_t *size)
{
	if (!size_parse(text, size) && *size)
		return 0;
	error("--%s: '%s' is not a size", option, text);
	return -EINVAL;
}

static int parse_option(struct arguments *arguments, int option)
{
	switch (option) {
	case 's':
		return parse_size("size", optarg, &arguments->size);
	case 'g':
		return parse_size("granularity", optarg,
				  &arguments->granularity);
	case 'b':
		return parse_bitmap(arguments, optarg);
	case 'B':
		arguments->backing = optarg;
		return 0;
	case 'F':
		arguments->backing_format = optarg;
		return 0;
	case 't':
		arguments->target = optarg;
		return 0;
	case 'i':
		arguments->bits = optarg;
		return 0;
	case 'T':
		arguments->track = true;
		return 0;
	case 'S':
		return option_number("--spare", optarg,
				     META_TRACK_MAX_SPARES,
				     &arguments->nr_spares) ? 0 : -EINVAL;
	case 'f':
		arguments->force = true;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	}
	return -EINVAL;
}

/* The options of format; size takes the same, to say how large that would be. */
#define FORMAT_OPTIONS	"sgbBFtTSfj"

/* @allowed: the options of the subcommand @argv[0] */
static int parse_arguments(struct arguments *arguments, int argc, char **argv,
			   const char *allowed, bool has_path)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "granularity", required_argument, NULL, 'g' },
		{ "bitmap", required_argument, NULL, 'b' },
		{ "backing", required_argument, NULL, 'B' },
		{ "backing-format", required_argument, NULL, 'F' },
		{ "target", required_argument, NULL, 't' },
		{ "bits", required_argument, NULL, 'i' },
		{ "track", no_argument, NULL, 'T' },
		{ "spare", required_argument, NULL, 'S' },
		{ "force", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	char command[32];
	int option, i;

	memset(arguments, 0, sizeof(*arguments));
	arguments->nr_spares = UINT64_MAX;
	snprintf(command, sizeof(command), "meta %s", argv[0]);
	optind = 1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", options, &i)) != -1) {
		if (option == '?' || option == ':') {
			option_error(command, option, argv);
			return -EINVAL;
		}
		if (!strchr(allowed, option)) {
			error("%s: --%s is not an option of this command; see dmlive meta --help",
			      command, options[i].name);
			return -EINVAL;
		}
		if (parse_option(arguments, option))
			return -EINVAL;
	}
	if (argc - optind != has_path) {
		error(has_path ? "meta: takes one device or file" :
				 "meta size: takes no device");
		return -EINVAL;
	}
	arguments->path = argv[optind];
	if (device_argument(&arguments->path, true) ||
	    device_argument(&arguments->target, false))
		return -EINVAL;
	return 0;
}

/* The bitmaps that a store for tracking has in addition to those that were named. */
static int add_track_bitmaps(struct arguments *arguments)
{
	struct meta_bitmap *bitmap;
	uint64_t i;

	if (!arguments->granularity)
		arguments->granularity = META_TRACK_GRANULARITY;
	for (i = 0; i < arguments->nr_bitmaps; i++) {
		bitmap = &arguments->bitmaps[i];
		bitmap->autoload = true;
		if (!meta_name_is_reserved(bitmap->name, strlen(bitmap->name)))
			continue;
		error("--bitmap %s: names that begin with " QCOW2_DMLIVE_RESERVED_PREFIX " are reserved",
		      bitmap->name);
		return -EINVAL;
	}
	if (arguments->nr_spares == UINT64_MAX)
		arguments->nr_spares = META_TRACK_SPARES;
	arguments->nr_bitmaps +=
		meta_track_bitmaps(arguments->bitmaps + arguments->nr_bitmaps,
				   arguments->spare_names, arguments->nr_spares,
				   arguments->granularity);
	return meta_make_uuid(arguments->uuid);
}

static int make_spec(struct arguments *arguments, struct meta_spec *spec)
{
	size_t i;
	int r;

	if (!arguments->track && arguments->nr_spares != UINT64_MAX) {
		error("meta: --spare requires --track");
		return -EINVAL;
	}
	r = arguments->track ? add_track_bitmaps(arguments) : 0;
	if (r)
		return r;
	if (!arguments->size || !arguments->granularity) {
		error("meta: --size and --granularity are required");
		return -EINVAL;
	}
	if (!arguments->nr_bitmaps) {
		arguments->bitmaps[0].name = DEFAULT_BITMAP;
		arguments->bitmaps[0].autoload = true;
		arguments->nr_bitmaps = 1;
	}
	for (i = 0; i < arguments->nr_bitmaps; i++)
		if (!arguments->bitmaps[i].granularity)
			arguments->bitmaps[i].granularity =
				arguments->granularity;
	*spec = (struct meta_spec) {
		.size = arguments->size,
		.nr_bitmaps = arguments->nr_bitmaps,
		.bitmaps = arguments->bitmaps,
		.backing = arguments->backing,
		.backing_format = arguments->backing_format,
		.store_uuid = arguments->track ? arguments->uuid : NULL,
	};
	return 0;
}

static int format(int argc, char **argv)
{
	struct json_object *description = NULL;
	struct arguments arguments;
	struct meta_spec spec;
	int r;

	if (parse_arguments(&arguments, argc, argv, FORMAT_OPTIONS, true) ||
	    make_spec(&arguments, &spec))
		return EXIT_USAGE;
	if (arguments.target) {
		description = json_new_object();
		json_add_string(description, "target", arguments.target);
		spec.description =
			json_object_to_json_string_ext(description,
						       JSON_C_TO_STRING_PLAIN);
	}
	r = meta_format(arguments.path, &spec, arguments.force);
	if (description)
		json_object_put(description);
	if (r == -EEXIST || r == -EBUSY || r == -ENOSPC)
		return EXIT_REFUSED;
	return r ? EXIT_ERROR : EXIT_OK;
}

static int size(int argc, char **argv)
{
	struct arguments arguments;
	struct meta_layout layout;
	struct meta_spec spec;
	struct json_object *object;
	uint64_t bytes;

	if (parse_arguments(&arguments, argc, argv, FORMAT_OPTIONS, false) ||
	    make_spec(&arguments, &spec))
		return EXIT_USAGE;
	if (meta_layout_make(&spec, &layout))
		return EXIT_ERROR;
	bytes = meta_layout_bytes(&layout);
	meta_layout_free(&layout);
	if (!arguments.json) {
		printf("%" PRIu64 "\n", bytes);
		return EXIT_OK;
	}
	object = json_new_object();
	json_add_number(object, "bytes", bytes);
	json_print_pretty(object);
	return EXIT_OK;
}

static int dump_human(struct meta_store *store)
{
	char bytes[SIZE_TEXT_BYTES], uuid[META_UUID_BYTES];

	printf("size: %s (%" PRIu64 " bytes)\n",
	       size_format(store->header.size_bytes, bytes),
	       (uint64_t)store->header.size_bytes);
	printf("prepared: %s\n", store->header.state_offset ? "yes" : "no");
	printf("consistent: %s\n", store->header.bitmaps_valid ? "yes" : "no");
	if (store->backing)
		printf("image: %s%s%s%s\n", store->backing,
		       store->backing_format ? " (" : "",
		       store->backing_format ? store->backing_format : "",
		       store->backing_format ? ")" : "");
	if (store->description)
		printf("restore: %s\n", store->description);
	if (*meta_uuid(store, uuid))
		printf("uuid: %s\n", uuid);
	meta_seal_print(store);
	return meta_show_bitmaps(store);
}

static int dump_json(struct meta_store *store)
{
	struct json_object *object = json_new_object();
	struct json_object *list = json_new_array();
	char uuid[META_UUID_BYTES];
	int r;

	json_add_number(object, "size", store->header.size_bytes);
	json_add_bool(object, "prepared", store->header.state_offset);
	json_add_bool(object, "consistent", store->header.bitmaps_valid);
	json_add_string(object, "image", store->backing);
	json_add_string(object, "image-format", store->backing_format);
	json_add_string(object, "restore", store->description);
	meta_uuid(store, uuid);
	json_add_string(object, "uuid", *uuid ? uuid : NULL);
	meta_seal_add_json(store, object);
	r = meta_show_bitmaps_json(store, list);
	json_add(object, "bitmaps", list);
	json_print_pretty(object);
	return r;
}

static int dump_bits(struct meta_store *store,
		     const struct arguments *arguments)
{
	const struct meta_store_bitmap *bitmap;

	bitmap = meta_store_find(store, arguments->bits);
	if (!bitmap) {
		error("%s: there is no bitmap '%s'", store->path,
		      arguments->bits);
		return -ENOENT;
	}
	if (bitmap->entry.flags & QCOW2_BITMAP_IN_USE)
		warning("%s: bitmap '%s' is in use or was not closed: changes may be missing in it",
			store->path, arguments->bits);
	return meta_show_bits(store, bitmap, arguments->json);
}

static int dump(int argc, char **argv)
{
	struct arguments arguments;
	struct meta_store store;
	int r;

	if (parse_arguments(&arguments, argc, argv, "ij", true))
		return EXIT_USAGE;
	if (meta_store_open(arguments.path, &store))
		return EXIT_ERROR;
	if (arguments.bits)
		r = dump_bits(&store, &arguments);
	else
		r = arguments.json ? dump_json(&store) : dump_human(&store);
	meta_store_close(&store);
	return r ? EXIT_ERROR : EXIT_OK;
}

static void print_finding(void *context, bool corruption, const char *text)
{
	const struct arguments *arguments = context;

	if (!arguments->json)
		printf("%s: %s\n", corruption ? "error" : "leak", text);
}

static int print_check(const struct arguments *arguments,
		       const struct check_result *result)
{
	struct json_object *object;

	if (arguments->json) {
		object = json_new_object();
		json_add_number(object, "corruptions", result->corruptions);
		json_add_number(object, "leaks", result->leaks);
		json_print_pretty(object);
	} else if (!result->corruptions && !result->leaks) {
		printf("No errors were found.\n");
	}
	if (result->corruptions)
		return 2;
	return result->leaks ? 3 : 0;
}

static int check(int argc, char **argv)
{
	struct check_result invalid = { .corruptions = 1 };
	struct arguments arguments;
	struct check check = {
		.finding = print_finding,
		.context = &arguments,
	};
	struct meta_store store;
	int r;

	if (parse_arguments(&arguments, argc, argv, "j", true))
		return EXIT_ERROR;
	r = meta_store_open(arguments.path, &store);
	if (r == -EINVAL)
		return print_check(&arguments, &invalid);
	if (r)
		return EXIT_ERROR;
	meta_store_close(&store);
	if (meta_check_image(arguments.path, &check))
		return EXIT_ERROR;
	return print_check(&arguments, &check.result);
}

static int prepare(int argc, char **argv)
{
	struct arguments arguments;
	uint64_t nr_allocated;
	int r;

	if (parse_arguments(&arguments, argc, argv, "j", true))
		return EXIT_USAGE;
	r = meta_prepare(arguments.path, &nr_allocated);
	if (r == -EBUSY || r == -EINVAL || r == -ENOSPC)
		return EXIT_REFUSED;
	if (r)
		return EXIT_ERROR;
	if (arguments.json) {
		struct json_object *object = json_new_object();

		json_add_number(object, "allocated-clusters", nr_allocated);
		json_print_pretty(object);
	} else {
		info("%s is prepared; %" PRIu64 " clusters were allocated",
		     arguments.path, nr_allocated);
	}
	return EXIT_OK;
}

/* Of the volume that the store is bound to. */
static int find_size(const char *path, uint64_t *bytes)
{
	char name[DM_NAME_BYTES];
	struct blockdev volume;
	struct meta_store store;
	struct qcow2_seal seal;

	if (meta_store_open(path, &store))
		return EXIT_ERROR;
	meta_seal_read(&store, &seal);
	meta_store_close(&store);
	if (strncmp(seal.identity, "dm:", 3) ||
	    !dm_name_of_uuid(seal.identity + 3, name)) {
		error("%s: its volume is not known, or not active: give its size: --size N",
		      path);
		return EXIT_USAGE;
	}
	if (blockdev_open(dm_node_path(name), &volume))
		return EXIT_ERROR;
	*bytes = volume.bytes;
	return EXIT_OK;
}

static int resize(int argc, char **argv)
{
	struct arguments arguments;
	int r;

	if (parse_arguments(&arguments, argc, argv, "sj", true))
		return EXIT_USAGE;
	r = arguments.size ? EXIT_OK :
			     find_size(arguments.path, &arguments.size);
	if (r)
		return r;
	r = meta_resize(arguments.path, arguments.size);
	if (r == -EBUSY || r == -EINVAL || r == -ENOSPC)
		return EXIT_REFUSED;
	return r ? EXIT_ERROR : EXIT_OK;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "format", format },
	{ "size", size },
	{ "dump", dump },
	{ "check", check },
	{ "prepare", prepare },
	{ "resize", resize },
};

#define NR_SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

int cmd_meta(int argc, char **argv)
{
	size_t i;

	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	for (i = 0; argc > 1 && i < NR_SUBCOMMANDS; i++)
		if (!strcmp(argv[1], subcommands[i].name))
			return subcommands[i].run(argc - 1, argv + 1);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	fputs(usage, stderr);
	return EXIT_USAGE;
}
