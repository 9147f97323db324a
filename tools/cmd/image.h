/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_IMAGE_H
#define DMLIVE_CMD_IMAGE_H

/* `dmlive image`: the arguments of its subcommands. */

#include <stdbool.h>
#include <string.h>

#include "qcow2/image.h"
#include "qcow2/writer.h"
#include "store/show.h"

struct image_arguments {
	struct image_options options;
	bool json;
	bool chain;			/* info: the backing images too */
	bool quiet;			/* print no progress and no findings */
	unsigned int threads;		/* 0: as many as there are CPUs */
	const char *image;
	const char *target;

	/* convert */
	struct writer_options target_options;
	bool format_is_given;		/* if not, the target's name decides */
	bool keep_backing;
	bool allow_paths;		/* the image may name files in other folders */
};

/* Print a name that an image has, without its control characters. */
static inline void print_name(const char *name)
{
	meta_print_name(name, strlen(name));
}

/* The subcommands; each returns the exit status. */
int image_info_command(const struct image_arguments *arguments);
int image_chain_command(const struct image_arguments *arguments);
int image_map_command(const struct image_arguments *arguments);
int image_check_command(const struct image_arguments *arguments);
int image_convert_command(const struct image_arguments *arguments);

/* `dmlive image`: @argv[0] is "image". Returns the exit status. */
int cmd_image(int argc, char **argv);

#endif /* DMLIVE_CMD_IMAGE_H */
