// SPDX-License-Identifier: GPL-2.0-only
/*
 * flush-marker: a block device that stores nothing, and records when it is flushed.
 *
 *	flush-marker NBD MARKS MIB
 *
 * NBD is the kernel's device, /dev/nbd0, which gets this size. For each flush of it the
 * text "flush" is written to MARKS before the flush ends. Prints "ready", and runs until
 * it is killed.
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#define SECTOR_BYTES	512

static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(4096)));

static int transfer(int fd, void *data, size_t bytes, int is_write)
{
	char *at = data;
	ssize_t n;

	for (; bytes; at += n, bytes -= n) {
		n = is_write ? write(fd, at, bytes) : read(fd, at, bytes);
		if (n <= 0)
			return -1;
	}
	return 0;
}

static void mark(int marks)
{
	strcpy((char *)sector, "flush\n");
	if (pwrite(marks, sector, sizeof(sector), 0) != sizeof(sector))
		err(1, "mark");
}

/* Reads return zeros, for the scan of partitions. There are no writes. */
static void serve(int socket, int marks)
{
	static uint8_t zeros[1 << 20];
	struct nbd_request request;
	struct nbd_reply reply;
	uint32_t type, length;

	while (!transfer(socket, &request, sizeof(request), 0)) {
		type = be32toh(request.type);
		length = be32toh(request.len);
		if (type == NBD_CMD_DISC)
			return;
		if (type == NBD_CMD_FLUSH)
			mark(marks);
		reply.magic = htobe32(NBD_REPLY_MAGIC);
		reply.error = 0;
		memcpy(reply.handle, request.handle, sizeof(reply.handle));
		if ((type != NBD_CMD_FLUSH && type != NBD_CMD_READ) ||
		    length > sizeof(zeros))
			errx(1, "request %u of %u bytes", type, length);
		if (transfer(socket, &reply, sizeof(reply), 1) ||
		    (type == NBD_CMD_READ && transfer(socket, zeros, length, 1)))
			return;
	}
}

static void set(int nbd, unsigned long request, unsigned long value)
{
	if (ioctl(nbd, request, value))
		err(1, "nbd: request %lu", request);
}

int main(int argc, char **argv)
{
	int sockets[2], nbd, marks;

	if (argc != 4)
		errx(2, "want: NBD MARKS MIB");
	nbd = open(argv[1], O_RDWR | O_CLOEXEC);
	marks = open(argv[2], O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (nbd < 0 || marks < 0)
		err(1, "%s or %s", argv[1], argv[2]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	set(nbd, NBD_SET_BLKSIZE, SECTOR_BYTES);
	set(nbd, NBD_SET_SIZE_BLOCKS, strtoul(argv[3], NULL, 10) * 2048);
	set(nbd, NBD_CLEAR_SOCK, 0);
	set(nbd, NBD_SET_SOCK, sockets[0]);
	set(nbd, NBD_SET_FLAGS, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH);
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		close(sockets[1]);
		close(marks);
		ioctl(nbd, NBD_DO_IT);
		ioctl(nbd, NBD_CLEAR_SOCK);
		return 0;
	}
	close(sockets[0]);
	close(nbd);
	printf("ready\n");
	fflush(stdout);
	serve(sockets[1], marks);
	return 0;
}
