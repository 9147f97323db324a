/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_STATUS_LINE_H
#define DMLIVE_STATUS_LINE_H

/*
 * The words of an alloctrack table line and status line. Words that a newer
 * kernel adds at the end are ignored; anything else unknown is an error.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/dm-alloctrack.h>

#include "base/words.h"

struct alloctrack_features {
	bool copy_on_read;
	bool target_is_zero;
	bool no_detect_zeroes;
	uint64_t stream_speed;		/* bytes/s, 0: no limit */
	enum dm_alloctrack_on_error on_error;
	uint64_t user_timeout_s;	/* 0: for ever */
};

struct alloctrack_status {
	char meta[8];			/* rw, ro, none */
	enum dm_alloctrack_state state;
	uint64_t allocated_blocks;
	uint64_t total_blocks;
	uint64_t block_bytes;
	uint64_t streamed_bytes;
	uint64_t read_errors;
	uint64_t write_errors;
	struct alloctrack_features features;
};

struct alloctrack_table {
	char file[STATUS_WORD_BYTES];		/* as the kernel names it */
	char backing[STATUS_WORD_BYTES];	/* device, "user" or "-" */
	char meta[STATUS_WORD_BYTES];
	uint64_t block_bytes;
	struct alloctrack_features features;
};

/* Both return 0 or -EINVAL. @params are the words after the target's name. */
int status_line_parse(const char *params, struct alloctrack_status *status);
int table_line_parse(const char *params, struct alloctrack_table *table);

/* Bytes of @status->total_blocks that are allocated, of @device_bytes. */
uint64_t status_allocated_bytes(const struct alloctrack_status *status,
				uint64_t device_bytes);

const char *state_name(enum dm_alloctrack_state state);
const char *on_error_name(enum dm_alloctrack_on_error on_error);
/* Return: 0, or -EINVAL when there is no such policy. */
int on_error_parse(const char *name, enum dm_alloctrack_on_error *on_error);

#endif /* DMLIVE_STATUS_LINE_H */
