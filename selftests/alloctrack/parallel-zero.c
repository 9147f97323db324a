// SPDX-License-Identifier: GPL-2.0-only
/*
 * parallel-zero MAJOR:MINOR BYTES THREADS
 *
 * A server whose threads all zero the first BYTES of the device at the same time. Exit
 * status 0 if all could.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/dm-alloctrack.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define MAX_THREADS	256u

static int control;
static unsigned long long bytes;
static bool failed;

static void *zero(void *unused)
{
	struct dm_alloctrack_zero argument = {
		.size = sizeof(argument),
		.length = bytes,
	};

	if (ioctl(control, DM_ALLOCTRACK_IOC_ZERO, &argument)) {
		warn("ZERO");
		failed = true;
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct dm_alloctrack_attach attach = { .size = sizeof(attach) };
	pthread_t threads[MAX_THREADS];
	unsigned int i, nr;

	if (argc != 4 || sscanf(argv[1], "%u:%u", &attach.major, &attach.minor) != 2)
		errx(2, "Usage: parallel-zero MAJOR:MINOR BYTES THREADS");
	bytes = strtoull(argv[2], NULL, 0);
	nr = strtoul(argv[3], NULL, 0);
	if (!bytes || !nr || nr > MAX_THREADS)
		errx(2, "%s bytes, %s threads: refused", argv[2], argv[3]);
	control = open("/dev/" DM_ALLOCTRACK_NODE, O_RDWR | O_CLOEXEC);
	if (control < 0 || ioctl(control, DM_ALLOCTRACK_IOC_ATTACH, &attach))
		err(2, "%s", argv[1]);
	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, zero, NULL))
			errx(2, "pthread_create");
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	return failed;
}
