// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive image`: subcommands that work on disk images without any mapped device. Their
 * command lines are parsed here; image-*.c have what they do and print.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "block/device-name.h"
#include "cmd/image-options.h"
#include "cmd/image.h"
#include "qcow2/output-format.h"

#define HELP_COLUMNS 80

#define MAX_THREADS	256

enum argument_option {
	OPTION_CHAIN = 1 << 0,
	OPTION_FORCE = 1 << 1,
	OPTION_FORMAT = 1 << 2,
	OPTION_JSON = 1 << 3,
	OPTION_QUIET = 1 << 4,
	OPTION_SNAPSHOT = 1 << 5,
	OPTION_THREADS = 1 << 6,
	OPTION_CLUSTER_SIZE = 1 << 7,
	OPTION_COMPRESSION = 1 << 8,
	OPTION_KEEP_BACKING = 1 << 9,
	OPTION_TARGET_FORMAT = 1 << 10,
	OPTION_ALLOW_PATHS = 1 << 11,
};

static const struct option_help {
	enum argument_option option;
	const char *name;
	const char *value;	/* NULL: takes none */
	const char *help;
} option_table[] = {
	{ OPTION_ALLOW_PATHS, "allow-paths", NULL,
	  "IMAGE may name files in other folders as its backing or data file" },
	{ OPTION_CHAIN, "chain", NULL,
	  "describe the backing images too" },
	{ OPTION_CLUSTER_SIZE, "cluster-size", "SIZE",
	  "cluster size of TARGET, qcow2: 512 to 2M; default: 64K" },
	{ OPTION_COMPRESSION, "compression", "METHOD[:LEVEL]",
	  "of TARGET, qcow2: none, zlib[:1..9] or zstd[:1..22]; default: none" },
	{ OPTION_FORCE, "force", NULL,
	  "read an image that is marked corrupt, that is being written to, or whose\n"
	  "chain of backups is broken; replace a TARGET that is the backing file of\n"
	  "another image" },
	{ OPTION_FORMAT, "format", "FORMAT",
	  "qcow2 or raw; default: detected from the contents" },
	{ OPTION_JSON, "json", NULL,
	  "print JSON, with the names that qemu-img uses" },
	{ OPTION_KEEP_BACKING, "keep-backing", NULL,
	  "convert only what IMAGE itself holds; TARGET gets the same backing file" },
	{ OPTION_QUIET, "quiet", NULL,
	  "print no progress and no individual findings" },
	{ OPTION_SNAPSHOT, "snapshot", "ID|NAME",
	  "read the state in an internal snapshot" },
	{ OPTION_TARGET_FORMAT, "target-format", "FORMAT",
	  "raw or qcow2; default: by TARGET's suffix: .qcow2, or .raw, .img or\n"
	  "none for raw" },
	{ OPTION_THREADS, "threads", "N",
	  "use N threads; default: one for each CPU" },
};

#define NR_OPTIONS (sizeof(option_table) / sizeof(option_table[0]))

static const struct subcommand {
	const char *name;
	const char *arguments;
	unsigned int options;		/* set of enum argument_option */
	int usage_status;
	int (*run)(const struct image_arguments *arguments);
	const char *help;
} subcommands[] = {
	{ "info", "IMAGE", OPTION_CHAIN | OPTION_FORMAT | OPTION_JSON,
	  EXIT_USAGE, image_info_command,
	  "describe an image: sizes, features, backing, snapshots, bitmaps" },
	{ "chain", "IMAGE", OPTION_FORMAT | OPTION_JSON,
	  EXIT_USAGE, image_chain_command,
	  "show an image and the images that it is based on, and which backup each\n"
	  "is; status 3: an increment is not based on the backup that it was made for" },
	{ "map", "IMAGE",
	  OPTION_FORCE | OPTION_FORMAT | OPTION_JSON | OPTION_SNAPSHOT,
	  EXIT_USAGE, image_map_command,
	  "list which file each range of the disk comes from" },
	{ "check", "IMAGE",
	  OPTION_FORCE | OPTION_FORMAT | OPTION_JSON | OPTION_QUIET, EXIT_ERROR,
	  image_check_command,
	  "check a qcow2 image's tables; status 0: clean, 1: not checked,\n"
	  "2: corruptions, 3: only leaked clusters (as qemu-img check)" },
	{ "convert", "IMAGE TARGET",
	  OPTION_ALLOW_PATHS | OPTION_CLUSTER_SIZE | OPTION_COMPRESSION | OPTION_FORCE |
	  OPTION_FORMAT | OPTION_KEEP_BACKING | OPTION_QUIET |
	  OPTION_SNAPSHOT | OPTION_THREADS | OPTION_TARGET_FORMAT,
	  EXIT_USAGE, image_convert_command,
	  "write the disk to a file or a block device, raw or as a qcow2 image" },
};

#define NR_SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static void print_indented(FILE *out, const char *text)
{
	const char *line;
	size_t length;

	for (line = text; *line; line += length + !!line[length]) {
		length = strcspn(line, "\n");
		fprintf(out, "      %.*s\n", (int)length, line);
	}
}

/* Print a word on the current line, of which @column columns are used, or the next. */
static void print_word(FILE *out, int *column, const char *word)
{
	if (*column + 1 + (int)strlen(word) > HELP_COLUMNS)
		*column = fprintf(out, "\n             ") - 1;
	*column += fprintf(out, " %s", word);
}

static void print_synopsis(FILE *out, const struct subcommand *subcommand)
{
	int column = fprintf(out, "  dmlive image %s", subcommand->name);
	const struct option_help *option;
	char word[128];
	size_t j;

	for (j = 0; j < NR_OPTIONS; j++) {
		option = &option_table[j];
		if (!(subcommand->options & option->option))
			continue;
		snprintf(word, sizeof(word), "[--%s%s%s]", option->name,
			 option->value ? " " : "", option->value ?: "");
		print_word(out, &column, word);
	}
	print_word(out, &column, subcommand->arguments);
	fputc('\n', out);
}

static void print_usage(FILE *out)
{
	size_t i, j;

	fprintf(out, "Usage:\n");
	for (i = 0; i < NR_SUBCOMMANDS; i++) {
		print_synopsis(out, &subcommands[i]);
		print_indented(out, subcommands[i].help);
	}
	fprintf(out, "Options:\n");
	for (j = 0; j < NR_OPTIONS; j++) {
		fprintf(out, "  --%s%s%s\n", option_table[j].name,
			option_table[j].value ? " " : "",
			option_table[j].value ?: "");
		print_indented(out, option_table[j].help);
	}
}

static const struct subcommand *find_subcommand(const char *name)
{
	size_t i;

	for (i = 0; i < NR_SUBCOMMANDS; i++)
		if (!strcmp(subcommands[i].name, name))
			return &subcommands[i];
	return NULL;
}

/* Fill @options for getopt_long(), which returns the place in option_table, plus 1. */
static void make_options(const struct subcommand *subcommand,
			 struct option options[NR_OPTIONS + 1])
{
	size_t i, nr = 0;

	for (i = 0; i < NR_OPTIONS; i++)
		if (subcommand->options & option_table[i].option)
			options[nr++] = (struct option) {
				.name = option_table[i].name,
				.has_arg = option_table[i].value ?
					   required_argument : no_argument,
				.val = i + 1,
			};
	options[nr] = (struct option) { 0 };
}

static bool take_threads(unsigned int *threads)
{
	uint64_t number;

	if (number_parse(optarg, MAX_THREADS, &number) || !number) {
		error("--threads %s: not a number from 1 to %d", optarg,
		      MAX_THREADS);
		return false;
	}
	*threads = number;
	return true;
}

static bool take_option(enum argument_option option,
			struct image_arguments *arguments)
{
	switch (option) {
	case OPTION_ALLOW_PATHS:
		arguments->allow_paths = true;
		return true;
	case OPTION_CHAIN:
		arguments->chain = true;
		return true;
	case OPTION_CLUSTER_SIZE:
		return option_cluster_size("512", &arguments->target_options);
	case OPTION_COMPRESSION:
		return option_compression(&arguments->target_options);
	case OPTION_FORCE:
		arguments->options.force = true;
		return true;
	case OPTION_FORMAT:
		arguments->options.format = optarg;
		return true;
	case OPTION_JSON:
		arguments->json = true;
		return true;
	case OPTION_KEEP_BACKING:
		arguments->keep_backing = true;
		return true;
	case OPTION_QUIET:
		arguments->quiet = true;
		return true;
	case OPTION_SNAPSHOT:
		arguments->options.snapshot = optarg;
		return true;
	case OPTION_TARGET_FORMAT:
		arguments->format_is_given = true;
		return option_format("--target-format",
				     &arguments->target_options);
	case OPTION_THREADS:
		return take_threads(&arguments->threads);
	}
	return false;
}

static int check_target_options(struct image_arguments *arguments)
{
	struct writer_options *options = &arguments->target_options;
	struct image_error err;

	if (output_format_choose(arguments->target, "--target-format",
				 arguments->format_is_given, &options->format,
				 &err)) {
		error("%s", err.message);
		return -1;
	}
	if (options->format == WRITER_QCOW2 ||
	    (options->compression == WRITER_PLAIN && !arguments->keep_backing &&
	     !options->cluster_bytes))
		return 0;
	error("%s would be raw, but --cluster-size, --compression and --keep-backing need a qcow2 image: --target-format qcow2",
	      arguments->target);
	return -1;
}

/* @argv[0] is the subcommand's name. Returns 0, or -1 after a message. */
static int parse_arguments(const struct subcommand *subcommand, int argc,
			   char **argv, struct image_arguments *arguments)
{
	struct option options[NR_OPTIONS + 1];
	bool wants_target = subcommand->run == image_convert_command;
	int found;

	make_options(subcommand, options);
	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (found == '?' || found == ':') {
			error("image %s: %s: %s; see dmlive image --help",
			      subcommand->name, argv[optind - 1],
			      found == ':' ? "needs a value" :
			      "unknown option");
			return -1;
		}
		if (!take_option(option_table[found - 1].option, arguments))
			return -1;
	}
	if (argc - optind != 1 + wants_target) {
		error("image %s: needs %s; see dmlive image --help",
		      subcommand->name, subcommand->arguments);
		return -1;
	}
	arguments->image = argv[optind];
	arguments->target = wants_target ? argv[optind + 1] : NULL;
	if (device_argument(&arguments->image, false) ||
	    device_argument(&arguments->target, true))
		return -1;
	return wants_target ? check_target_options(arguments) : 0;
}

int cmd_image(int argc, char **argv)
{
	struct image_arguments arguments = {
		.target_options = { .format = WRITER_RAW, .replace = true },
	};
	const struct subcommand *subcommand;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (strcmp(argv[i], "--help") && strcmp(argv[i], "-h"))
			continue;
		print_usage(stdout);
		return EXIT_OK;
	}
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	subcommand = find_subcommand(argv[1]);
	if (!subcommand) {
		error("image: no subcommand '%s'; see dmlive image --help",
		      argv[1]);
		return EXIT_USAGE;
	}
	if (parse_arguments(subcommand, argc - 1, argv + 1, &arguments))
		return subcommand->usage_status;
	return subcommand->run(&arguments);
}
