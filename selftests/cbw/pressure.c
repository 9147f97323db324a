// SPDX-License-Identifier: GPL-2.0-only
/*
 * pressure: uses more memory than the machine has. See usage below.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char usage[] =
"Usage: pressure CGROUP MIB ROUNDS\n"
"\n"
"Joins the control group, fills MIB of memory with random words, and in each round\n"
"checks all of it and rewrites it.\n"
"Exit status: 0 right, 1 the memory has changed, 2 usage.\n";

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void join_group(const char *group)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(2, "%s", path);
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t seed = getpid(), i, nr;
	unsigned int round, rounds;
	uint64_t *words;

	if (argc != 4) {
		fputs(usage, stderr);
		return 2;
	}
	join_group(argv[1]);
	nr = strtoull(argv[2], NULL, 0) << 20 >> 3;
	rounds = strtoul(argv[3], NULL, 0);
	words = mmap(NULL, nr * 8, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED)
		err(2, "mmap");
	for (i = 0; i < nr; i++)
		words[i] = mix(seed + i);
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < nr; i++) {
			if (words[i] != mix(seed + round * nr + i)) {
				fprintf(stderr, "pressure: WRONG word %" PRIu64
					" in round %u\n", i, round);
				return 1;
			}
			words[i] = mix(seed + (round + 1) * nr + i);
		}
	}
	return 0;
}
