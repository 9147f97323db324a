// SPDX-License-Identifier: GPL-2.0-only
/*
 * parallel-zero MAJOR:MINOR BYTES THREADS
 *
 * A server whose threads all zero the first BYTES of the device at the same time. Exit
 * status: 0 if all succeeded.
 */
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/server/server.h"

#define MAX_THREADS	256u

static int control;
static unsigned long long bytes;
static bool failed;

static void *zero(void *unused)
{
	int error = server_zero(control, 0, 0, bytes, NULL);

	if (error) {
		warnx("ZERO: %s", server_error_name(error));
		failed = true;
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS];
	unsigned int i, nr;

	if (argc != 4)
		errx(2, "Usage: parallel-zero MAJOR:MINOR BYTES THREADS");
	bytes = strtoull(argv[2], NULL, 0);
	nr = strtoul(argv[3], NULL, 0);
	if (!bytes || !nr || nr > MAX_THREADS)
		errx(2, "%s bytes, %s threads: refused", argv[2], argv[3]);
	control = server_open_attached(server_parse_device(argv[1]), 0);
	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, zero, NULL))
			errx(2, "pthread_create");
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	return failed;
}
