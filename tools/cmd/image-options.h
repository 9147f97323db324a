/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_IMAGE_OPTIONS_H
#define DMLIVE_CMD_IMAGE_OPTIONS_H

/*
 * Options of commands that write an image: each parses the value of the option, optarg.
 * False after a message.
 */

#include <stdbool.h>

#include "qcow2/writer.h"

/* @min: the smallest cluster size that is accepted, such as "4K". */
bool option_cluster_size(const char *min, struct writer_options *options);
bool option_compression(struct writer_options *options);
/* @option: its name, such as "--format". */
bool option_format(const char *option, struct writer_options *options);

#endif /* DMLIVE_CMD_IMAGE_OPTIONS_H */
