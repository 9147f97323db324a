// SPDX-License-Identifier: GPL-2.0-only
/* The dmlive command: a table of subcommands. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/process.h"
#include "block/dm.h"
#include "cmd/attach-event.h"
#include "cmd/clean.h"
#include "cmd/cmd.h"
#include "cmd/image.h"

#ifndef DMLIVE_VERSION
#define DMLIVE_VERSION "unknown"
#endif

#define DM_CONTROL "/dev/mapper/control"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	bool has_devices;		/* deals with mapped devices */
} commands[] = {
	{ "restore", cmd_restore,
	  "restore an image onto a device that is usable at once", true },
	{ "resume", cmd_resume,
	  "continue a restore whose server process has ended", true },
	{ "status", cmd_status,
	  "show devices that are being restored or attached", true },
	{ "stream", cmd_stream,
	  "start, pause, resume, cancel or limit the streaming of a device",
	  true },
	{ "finish", cmd_finish,
	  "turn a completely restored device into a plain linear mapping", true },
	{ "backup", cmd_backup,
	  "copy the present content of a device in use into an image", true },
	{ "attach", cmd_attach,
	  "put cbw over a device, for backups, even while it is in use", true },
	{ "detach", cmd_detach, "remove cbw from a device", true },
	{ "meta", cmd_meta, "make and check metadata devices", false },
	{ "bitmap", cmd_bitmap,
	  "show and change the bitmaps that record changes", false },
	{ "image", cmd_image, "show, check and convert disk images",
	  false },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int print_usage(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: dmlive COMMAND [ARGUMENT]...\n\nCommands:\n");
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\n"
		"  dmlive help COMMAND   how to use a command\n"
		"  dmlive --version      the version\n"
		"\nThe manual: dmlive(8), and dmlive-COMMAND(8)\n");
	return out == stdout ? EXIT_OK : EXIT_USAGE;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	error("no such command: '%s'; see dmlive --help", name);
	return NULL;
}

static int help(int argc, char **argv)
{
	static char option[] = "--help";
	const struct command *command;
	char *arguments[] = { NULL, option, NULL };

	if (argc < 2)
		return print_usage(stdout);
	command = find_command(argv[1]);
	if (!command)
		return EXIT_USAGE;
	arguments[0] = argv[1];
	return command->run(2, arguments);
}

/* udev's event is handled at once, whatever else there is to do. */
static bool is_event(int argc, char **argv)
{
	return argc > 2 && !strncmp(argv[2], "--event", 7);
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2)
		return print_usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_usage(stdout);
	if (!strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("dmlive %s\n", DMLIVE_VERSION);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return EXIT_USAGE;
	if (command->has_devices && !is_event(argc, argv) &&
	    !access(DM_CONTROL, R_OK | W_OK)) {
		clean_records();
		/* These two are told what to do with the volume. */
		if (command->run != cmd_attach && command->run != cmd_detach)
			attach_missed_first();
	}
	return command->run(argc - 1, argv + 1);
}

/*
 * If standard error is closed, a file opened later must not take its number, because
 * messages would be written to it. A closed standard output is reported, because
 * writing to it fails.
 */
static void open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int status;

	open_standard_files();
	process_take_arguments(argv);
	/* If this is inherited as ignored, the status of children is lost. */
	signal(SIGCHLD, SIG_DFL);
	/* Make writes beyond ulimit -f fail, so that they are reported. */
	signal(SIGXFSZ, SIG_IGN);
	dm_init();
	status = run(argc, argv);
	attach_missed();
	/* A full disk must be reported. */
	if (fflush(stdout) || ferror(stdout)) {
		error_errno(errno, "standard output");
		if (status == EXIT_OK)
			status = EXIT_ERROR;
	}
	return status;
}
