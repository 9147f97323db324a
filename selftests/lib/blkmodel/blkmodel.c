// SPDX-License-Identifier: GPL-2.0-only
/*
 * blkmodel: random concurrent I/O to a block device, compared byte by byte with
 * a model of what the device must hold. See usage below.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "drive.h"
#include "range-table.h"

static const char usage[] =
"Usage: blkmodel DEVICE [OPTION]...\n"
"\n"
"  --initial FILE|zero  the initial content of the device; zeros past the end of\n"
"                       FILE (default zero)\n"
"  --threads N          default 4\n"
"  --ops N              total number of operations, default 1000\n"
"  --seconds N          run for N seconds instead\n"
"  --seed S             default 1; same seed, same operations in each thread\n"
"  --mix OP=N,...       relative frequency of read, write, discard, zero, flush\n"
"                       and fua; 0 for those not named\n"
"  --min-io BYTES       default 512, or the device's logical block size\n"
"  --max-io BYTES       default 1M\n"
"  --align BYTES        of offsets and lengths, default as --min-io\n"
"  --block-size BYTES   many operations are near its multiples, default 64K\n"
"  --poison BYTE        the device was filled with it before; named in reports\n"
"  --errors-allowed     count I/O errors; a failed write may have taken effect\n"
"  --verify-only        no operations, just read everything and compare\n"
"  --no-verify          do not read everything at the end\n"
"  --save-model FILE    write the model, also after a failure\n"
"  --load-model FILE    start with it; its size is used, not the device's\n"
"\n"
"Sizes take K, M and G. A discarded sector may read as before or as zeros. Exit\n"
"status: 0 the content is right, 1 wrong (prints what, where, and the seed), 2\n"
"usage or no such device.\n";

struct options {
	const char *device;
	const char *initial;
	const char *save_model, *load_model;
	int poison;
	double seconds;
	bool verify_only;
	bool no_verify;
	struct drive drive;
};

static uint64_t parse_number(const char *text, const char *option)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end != text && *end) {
		unit = strchr(units, *end);
		if (unit) {
			value <<= 10 * (unit - units + 1);
			end++;
		}
	}
	if (errno || end == text || *end || *text == '-')
		errx(2, "%s: %s is not a number", option, text);
	return value;
}

static void parse_mix(char *text, unsigned int weights[NR_OPS])
{
	unsigned int op, sum = 0;
	char *word, *value;

	memset(weights, 0, NR_OPS * sizeof(*weights));
	for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		value = strchr(word, '=');
		if (!value)
			errx(2, "--mix: %s is not OPERATION=NUMBER", word);
		*value++ = '\0';
		for (op = 0; op < NR_OPS && strcmp(word, op_names[op]); op++)
			;
		if (op == NR_OPS)
			errx(2, "--mix: %s is no operation; see --help", word);
		weights[op] = parse_number(value, "--mix");
		sum += weights[op];
	}
	if (!sum)
		errx(2, "--mix: nothing to do");
}

static struct options options = {
	.poison = -1,
	.drive = {
		.seed = 1,
		.nr_threads = 4,
		.weights = {
			[OP_READ] = 30, [OP_WRITE] = 40, [OP_DISCARD] = 8,
			[OP_ZERO] = 8, [OP_FLUSH] = 4, [OP_FUA] = 10,
		},
		.max_io_bytes = 1 << 20,
		.block_bytes = 64 << 10,
	},
};

enum {
	OPT_INITIAL = 256, OPT_THREADS, OPT_OPS, OPT_SECONDS, OPT_SEED, OPT_MIX,
	OPT_MIN_IO, OPT_MAX_IO, OPT_ALIGN, OPT_BLOCK_SIZE, OPT_POISON,
	OPT_ERRORS_ALLOWED, OPT_VERIFY_ONLY, OPT_NO_VERIFY, OPT_SAVE_MODEL,
	OPT_LOAD_MODEL, OPT_HELP,
};

static const struct option long_options[] = {
	{ "initial", required_argument, NULL, OPT_INITIAL },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "ops", required_argument, NULL, OPT_OPS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "mix", required_argument, NULL, OPT_MIX },
	{ "min-io", required_argument, NULL, OPT_MIN_IO },
	{ "max-io", required_argument, NULL, OPT_MAX_IO },
	{ "align", required_argument, NULL, OPT_ALIGN },
	{ "block-size", required_argument, NULL, OPT_BLOCK_SIZE },
	{ "poison", required_argument, NULL, OPT_POISON },
	{ "errors-allowed", no_argument, NULL, OPT_ERRORS_ALLOWED },
	{ "verify-only", no_argument, NULL, OPT_VERIFY_ONLY },
	{ "no-verify", no_argument, NULL, OPT_NO_VERIFY },
	{ "save-model", required_argument, NULL, OPT_SAVE_MODEL },
	{ "load-model", required_argument, NULL, OPT_LOAD_MODEL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ }
};

static void set_option(int option, const char *name)
{
	struct drive *drive = &options.drive;

	switch (option) {
	case OPT_INITIAL:
		options.initial = strcmp(optarg, "zero") ? optarg : NULL;
		break;
	case OPT_THREADS:
		drive->nr_threads = parse_number(optarg, name);
		break;
	case OPT_OPS:
		drive->max_ops = parse_number(optarg, name);
		break;
	case OPT_SECONDS:
		options.seconds = parse_number(optarg, name);
		break;
	case OPT_SEED:
		drive->seed = parse_number(optarg, name);
		break;
	case OPT_MIX:
		parse_mix(optarg, drive->weights);
		break;
	case OPT_MIN_IO:
		drive->min_io_bytes = parse_number(optarg, name);
		break;
	case OPT_MAX_IO:
		drive->max_io_bytes = parse_number(optarg, name);
		break;
	case OPT_ALIGN:
		drive->align_bytes = parse_number(optarg, name);
		break;
	case OPT_BLOCK_SIZE:
		drive->block_bytes = parse_number(optarg, name);
		break;
	case OPT_POISON:
		options.poison = parse_number(optarg, name) & 0xff;
		break;
	case OPT_ERRORS_ALLOWED:
		drive->errors_allowed = true;
		break;
	case OPT_VERIFY_ONLY:
		options.verify_only = true;
		break;
	case OPT_NO_VERIFY:
		options.no_verify = true;
		break;
	case OPT_SAVE_MODEL:
		options.save_model = optarg;
		break;
	case OPT_LOAD_MODEL:
		options.load_model = optarg;
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("blkmodel: see --help\n", stderr);
		exit(2);
	}
}

static void parse_options(int argc, char **argv)
{
	int option, index = 0;

	for (;;) {
		option = getopt_long(argc, argv, "", long_options, &index);
		if (option < 0)
			break;
		set_option(option, long_options[index].name);
	}
	if (optind != argc - 1)
		errx(2, "one device, please; see --help");
	options.device = argv[optind];
}

static void check_sizes(struct drive *drive, unsigned int sector_bytes)
{
	if (!drive->align_bytes)
		drive->align_bytes = drive->min_io_bytes ? drive->min_io_bytes :
							   sector_bytes;
	if (!drive->min_io_bytes)
		drive->min_io_bytes = drive->align_bytes;
	if (drive->align_bytes % sector_bytes || drive->align_bytes % SECTOR_BYTES)
		errx(2, "--align: %s has logical blocks of %u bytes",
		     options.device, sector_bytes);
	if (drive->min_io_bytes % drive->align_bytes ||
	    drive->max_io_bytes % drive->align_bytes ||
	    drive->min_io_bytes > drive->max_io_bytes)
		errx(2, "--min-io and --max-io must be multiples of --align");
	if (!drive->block_bytes || drive->block_bytes % SECTOR_BYTES)
		errx(2, "--block-size must be a multiple of 512");
	if (!drive->nr_threads || drive->nr_threads > MAX_THREADS)
		errx(2, "--threads must be 1 to %d", MAX_THREADS);
	if (!drive->max_ops && !options.seconds)
		drive->max_ops = 1000;
}

static void open_device(struct drive *drive)
{
	unsigned int sector_bytes = SECTOR_BYTES;
	uint64_t bytes;
	off_t end;

	drive->fd = open(options.device, O_CLOEXEC | O_DIRECT |
			 (options.verify_only ? O_RDONLY : O_RDWR));
	if (drive->fd < 0)
		err(2, "%s", options.device);
	end = lseek(drive->fd, 0, SEEK_END);
	if (end < 0)
		err(2, "%s", options.device);
	bytes = end;
	/* A file, to try out the program. */
	if (ioctl(drive->fd, BLKSSZGET, &sector_bytes))
		sector_bytes = SECTOR_BYTES;
	check_sizes(drive, sector_bytes);

	if (options.load_model)
		drive->model = model_load(options.load_model, options.initial);
	else
		drive->model = model_new(bytes / SECTOR_BYTES, drive->seed,
					 options.initial);
	if (!bytes || model_nr_sectors(drive->model) > bytes / SECTOR_BYTES)
		errx(2, "%s is smaller than the model", options.device);
	model_poison(drive->model, options.poison);
}

static void print_summary(const struct drive *drive, bool good, double seconds)
{
	unsigned int op;

	printf("blkmodel: %s, seed %" PRIu64 ", %.1f s:", good ? "good" : "WRONG",
	       drive->seed, seconds);
	for (op = 0; op < NR_OPS; op++) {
		printf(" %s %" PRIu64, op_names[op], drive->done[op]);
		if (drive->failed[op])
			printf(" (%" PRIu64 " failed)", drive->failed[op]);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	struct drive *drive = &options.drive;
	double start = now_s();
	bool good = true;

	parse_options(argc, argv);
	open_device(drive);
	if (!options.verify_only) {
		if (options.seconds)
			drive->deadline_s = now_s() + options.seconds;
		good = drive_run(drive);
	}
	if (good && !options.no_verify)
		good = drive_verify(drive);
	if (options.save_model)
		model_save(drive->model, options.save_model);
	print_summary(drive, good, now_s() - start);
	model_free(drive->model);
	close(drive->fd);
	return good ? 0 : 1;
}
