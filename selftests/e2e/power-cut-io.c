// SPDX-License-Identifier: GPL-2.0-only
/*
 * power-cut-io: a guest whose journal is kept outside of its machine.
 *
 *	power-cut-io write DEV JOURNAL ID FIRST_SECTOR NR_SECTORS
 *	power-cut-io verify|verify-written DEV BACKING JOURNAL...
 *
 * write runs until it is killed: it writes stamped sectors at random places of its part
 * of the device, with a flush now and then. A write is in the journal before it is sent,
 * a flush after it has ended:
 *
 *	W <sector> <sectors>	the nth of these lines is write number n
 *	F <m> <n>		writes m to n are durable; m is the first one since the
 *				machine was started, since earlier writes that were not
 *				flushed may have been lost
 *
 * verify reads the whole device; verify-written reads only sectors that were ever
 * written, since reading also restores. A sector must have its newest durable write or a
 * newer one; if none is durable it may have the content of the backing. Journals are in
 * the order of their IDs, which begin at 1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../alloctrack/crash/stamp.h"

#define MAX_WRITE_SECTORS	64
#define MAX_WRITES_A_FLUSH	16
#define ID_SHIFT		40
#define READ_SECTORS		2048u
#define MAX_COMPLAINTS		10

struct write {
	uint64_t sector, nr_sectors;
	bool durable;
};

struct journal {
	struct write *writes;		/* [0] is unused */
	uint64_t nr_writes;
};

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

static void add_write(struct journal *journal, const struct write *write)
{
	journal->writes = realloc(journal->writes, (journal->nr_writes + 2) *
				  sizeof(*journal->writes));
	if (!journal->writes)
		err(1, "journal");
	journal->writes[++journal->nr_writes] = *write;
}

static int take_line(struct journal *journal, const char *line)
{
	struct write write = { 0 };
	uint64_t first, last;

	if (sscanf(line, "W %" SCNu64 " %" SCNu64, &write.sector,
		   &write.nr_sectors) == 2) {
		add_write(journal, &write);
		return 0;
	}
	if (sscanf(line, "F %" SCNu64 " %" SCNu64, &first, &last) != 2 ||
	    !first || last > journal->nr_writes)
		return -1;
	for (; first <= last; first++)
		journal->writes[first].durable = true;
	return 0;
}

/* An incomplete line was being written when the power was cut. */
static void read_journal(const char *path, struct journal *journal)
{
	FILE *file = fopen(path, "r");
	char line[100];

	memset(journal, 0, sizeof(*journal));
	if (!file && errno == ENOENT)
		return;
	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file) && strchr(line, '\n')) {
		if (take_line(journal, line))
			errx(1, "%s: '%s'", path, line);
	}
	fclose(file);
}

/* Cut off the rest that read_journal() does not accept. */
static int open_journal(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (end < 0)
		err(1, "%s", path);
	while (end && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
		end--;
	if (ftruncate(fd, end) || lseek(fd, end, SEEK_SET) != end)
		err(1, "%s", path);
	return fd;
}

static void note(int journal, const char *format, uint64_t a, uint64_t b)
{
	char line[100];
	int length = snprintf(line, sizeof(line), format, a, b);

	if (write(journal, line, length) != length)
		err(1, "journal");
}

static void write_one(int device, int journal, uint64_t number,
		      const struct write *place, void *buffer)
{
	uint64_t i;

	for (i = 0; i < place->nr_sectors; i++)
		stamp_make((char *)buffer + i * STAMP_SECTOR_BYTES, number,
			   place->sector + i);
	note(journal, "W %" PRIu64 " %" PRIu64 "\n", place->sector,
	     place->nr_sectors);
	if (pwrite(device, buffer, place->nr_sectors * STAMP_SECTOR_BYTES,
		   place->sector * STAMP_SECTOR_BYTES) !=
	    (ssize_t)(place->nr_sectors * STAMP_SECTOR_BYTES))
		err(1, "write");
}

static void flush(int device, int journal, uint64_t first, uint64_t last)
{
	if (fdatasync(device))
		err(1, "flush");
	note(journal, "F %" PRIu64 " %" PRIu64 "\n", first, last);
}

static int run_writer(char **argv)
{
	uint64_t id = strtoull(argv[2], NULL, 10);
	uint64_t first = strtoull(argv[3], NULL, 10);
	uint64_t nr_sectors = strtoull(argv[4], NULL, 10);
	int device = open(argv[0], O_RDWR | O_DIRECT);
	int journal_fd = open_journal(argv[1]);
	struct journal journal;
	struct write place;
	uint64_t number;
	void *buffer;

	if (device < 0 ||
	    posix_memalign(&buffer, 4096,
			   MAX_WRITE_SECTORS * STAMP_SECTOR_BYTES))
		err(1, "%s", argv[0]);
	read_journal(argv[1], &journal);
	random_state = (id + 1) * 0x9e3779b97f4a7c15ULL + journal.nr_writes;
	for (number = journal.nr_writes + 1; ; number++) {
		place.nr_sectors = 1 + random_below(MAX_WRITE_SECTORS);
		place.sector = first + random_below(nr_sectors -
						    place.nr_sectors + 1);
		write_one(device, journal_fd, id << ID_SHIFT | number, &place,
			  buffer);
		if (!random_below(MAX_WRITES_A_FLUSH))
			flush(device, journal_fd, journal.nr_writes + 1, number);
	}
}

struct check {
	struct journal *journals;
	unsigned int nr_journals;
	uint64_t *durable;		/* of each sector: stamp number, or 0 */
	bool *written;			/* each sector, in some journal */
	uint64_t nr_sectors;
	unsigned int nr_broken;
	uint64_t nr_stamped;
};

static void take_write(struct check *check, const struct write *write,
		       uint64_t durable)
{
	uint64_t s, end = write->sector + write->nr_sectors;

	for (s = write->sector; s < end && s < check->nr_sectors; s++) {
		check->written[s] = true;
		if (durable)
			check->durable[s] = durable;
	}
}

static void take_journals(struct check *check)
{
	unsigned int j;
	uint64_t n;

	for (j = 0; j < check->nr_journals; j++) {
		const struct journal *journal = &check->journals[j];

		for (n = 1; n <= journal->nr_writes; n++)
			take_write(check, &journal->writes[n],
				   journal->writes[n].durable ?
				   (j + 1ull) << ID_SHIFT | n : 0);
	}
}

/* Is the stamp that of a write to this sector in one of the journals? */
static bool is_known(const struct check *check, uint64_t number, uint64_t sector)
{
	uint64_t id = number >> ID_SHIFT;
	uint64_t n = number & ((1ull << ID_SHIFT) - 1);
	const struct write *write;

	if (!id || id > check->nr_journals || !n ||
	    n > check->journals[id - 1].nr_writes)
		return false;
	write = &check->journals[id - 1].writes[n];
	return sector >= write->sector &&
	       sector < write->sector + write->nr_sectors;
}

static void check_sector(struct check *check, uint64_t sector, const void *data,
			 const void *backing)
{
	uint64_t number = stamp_read(data, sector);
	uint64_t durable = check->durable[sector];

	if (number && number >= durable && is_known(check, number, sector)) {
		check->nr_stamped++;
		return;
	}
	if (!durable && !memcmp(data, backing, STAMP_SECTOR_BYTES))
		return;
	if (check->nr_broken++ < MAX_COMPLAINTS)
		printf("# sector %" PRIu64 ": holds %#" PRIx64 "%s, durable was %#" PRIx64 "\n",
		       sector, number, number ? "" :
		       memcmp(data, backing, STAMP_SECTOR_BYTES) ?
		       " (neither a write nor the image)" : " (the image)",
		       durable);
}

static void read_all(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	if (pread(fd, buffer, bytes, offset) != (ssize_t)bytes)
		err(1, "read at %" PRIu64, offset);
}

struct device_pair {
	int device, backing;
	char *data, *wanted;		/* READ_SECTORS each */
};

static void check_range(struct check *check, const struct device_pair *pair,
			uint64_t sector, uint64_t nr)
{
	uint64_t i;

	read_all(pair->device, pair->data, nr * STAMP_SECTOR_BYTES,
		 sector * STAMP_SECTOR_BYTES);
	read_all(pair->backing, pair->wanted, nr * STAMP_SECTOR_BYTES,
		 sector * STAMP_SECTOR_BYTES);
	for (i = 0; i < nr; i++)
		check_sector(check, sector + i,
			     pair->data + i * STAMP_SECTOR_BYTES,
			     pair->wanted + i * STAMP_SECTOR_BYTES);
}

static void check_all(struct check *check, const struct device_pair *pair,
		      bool written_only)
{
	uint64_t sector = 0, nr;

	while (sector < check->nr_sectors) {
		if (written_only && !check->written[sector]) {
			sector++;
			continue;
		}
		for (nr = 1; nr < READ_SECTORS &&
		     sector + nr < check->nr_sectors &&
		     (!written_only || check->written[sector + nr]); nr++)
			;
		check_range(check, pair, sector, nr);
		sector += nr;
	}
}

static int run_verify(int argc, char **argv, bool written_only)
{
	struct check check = { .nr_journals = argc - 2 };
	struct device_pair pair = {
		.device = open(argv[0], O_RDONLY | O_DIRECT),
		.backing = open(argv[1], O_RDONLY),
		.wanted = malloc(READ_SECTORS * STAMP_SECTOR_BYTES),
	};
	uint64_t bytes;
	unsigned int i;

	if (pair.device < 0 || pair.backing < 0 ||
	    ioctl(pair.device, BLKGETSIZE64, &bytes))
		err(1, "%s, %s", argv[0], argv[1]);
	check.nr_sectors = bytes / STAMP_SECTOR_BYTES;
	check.journals = calloc(check.nr_journals, sizeof(*check.journals));
	check.durable = calloc(check.nr_sectors + 1, sizeof(*check.durable));
	check.written = calloc(check.nr_sectors + 1, sizeof(*check.written));
	if (!check.journals || !check.durable || !check.written ||
	    !pair.wanted || posix_memalign((void **)&pair.data, 4096,
					   READ_SECTORS * STAMP_SECTOR_BYTES))
		errx(1, "out of memory");
	for (i = 0; i < check.nr_journals; i++)
		read_journal(argv[2 + i], &check.journals[i]);
	take_journals(&check);
	check_all(&check, &pair, written_only);
	printf("# %" PRIu64 " sectors hold writes, %u are wrong\n",
	       check.nr_stamped, check.nr_broken);
	return check.nr_broken ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "write"))
		return run_writer(argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "verify"))
		return run_verify(argc - 2, argv + 2, false);
	if (argc >= 5 && !strcmp(argv[1], "verify-written"))
		return run_verify(argc - 2, argv + 2, true);
	errx(2, "see the top of power-cut-io.c");
}
