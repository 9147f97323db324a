/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WRITER_RULES_H
#define WRITER_RULES_H

/* A small disk in either format, and data to fill it. */

#include "writer-test.h"

/* A disk of two L2 tables. */
#define CLUSTER 4096
#define SIZE (700 * CLUSTER)

static const struct writer_options plain = {
	.format = WRITER_QCOW2, .size_bytes = SIZE, .cluster_bytes = CLUSTER,
};

static const struct writer_options raw = {
	.format = WRITER_RAW, .size_bytes = SIZE, .cluster_bytes = CLUSTER,
};

static const struct writer_options *const both[] = { &plain, &raw };

static char data[SIZE];

static inline int setup(void **state)
{
	memset(data, 'x', sizeof(data));
	return enter_folder(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, leave_folder)

#endif /* WRITER_RULES_H */
