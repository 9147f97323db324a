// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive stream`: control the stream job of a device. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/require.h"
#include "restore/runtime.h"
#include "lines/status-line.h"
#include "restore/stack.h"

static const char help[] =
"Usage: dmlive stream NAME start|pause|resume|cancel\n"
"       dmlive stream NAME speed SIZE\n"
"       dmlive stream NAME on-error POLICY\n"
"\n"
"Controls the stream job of the mapped device NAME (or its path, or VG/LV), which\n"
"copies the rest of the image to the volume. Reads and writes are always served.\n"
"\n"
"  start         start the job, also after it has failed or was cancelled\n"
"  pause         pause the job\n"
"  resume        resume it after pause, or after an error has stopped it\n"
"  cancel        end the job; the rest is still read from the image on demand\n"
"  speed SIZE    at most SIZE per second (K, M, G); 0: no limit\n"
"  on-error POLICY  report, ignore, stop or enospc; see dmlive help restore\n";

static const struct option options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

static bool is_verb(const char *word)
{
	static const char *const verbs[] = {
		"start", "pause", "resume", "cancel",
	};
	unsigned int i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(word, verbs[i]))
			return true;
	return false;
}

/* Translate the words after NAME to a message for the target. */
static int make_message(int nr_words, char **words, char *message,
			size_t message_bytes)
{
	enum dm_alloctrack_on_error on_error;
	uint64_t bytes;

	if (nr_words == 1 && is_verb(words[0])) {
		snprintf(message, message_bytes, "stream %s", words[0]);
		return EXIT_OK;
	}
	if (nr_words == 2 && !strcmp(words[0], "speed")) {
		if (!option_size("speed", words[1], &bytes))
			return EXIT_USAGE;
		snprintf(message, message_bytes, "stream_speed %" PRIu64,
			 bytes);
		return EXIT_OK;
	}
	if (nr_words == 2 && !strcmp(words[0], "on-error")) {
		if (on_error_parse(words[1], &on_error)) {
			error("on-error %s: must be report, ignore, stop or enospc",
			      words[1]);
			return EXIT_USAGE;
		}
		snprintf(message, message_bytes, "on_error %s", words[1]);
		return EXIT_OK;
	}
	return argument_error("stream",
			      "NAME and start, pause, resume, cancel, speed SIZE or on-error POLICY");
}

static int get_status(const char *name, struct alloctrack_status *status)
{
	struct dm_line line = { 0 };
	int exit_status = EXIT_OK;
	int r = dm_get_line(name, DM_LINE_STATUS, &line, NULL);

	if (r == -ENXIO) {
		error("there is no mapped device %s", name);
		exit_status = EXIT_ERROR;
	} else if (r) {
		error_errno(r, "%s: cannot get its status", name);
		exit_status = EXIT_ERROR;
	} else if (strcmp(line.target, "alloctrack") ||
		   status_line_parse(line.params, status)) {
		error("%s is not an alloctrack device: its target is %s",
		      name, line.target);
		exit_status = EXIT_REFUSED;
	}
	dm_line_free(&line);
	return exit_status;
}

static int send(const char *name, const char *message,
		const struct alloctrack_status *status)
{
	int r = dm_message(name, message);

	switch (r) {
	case 0:
		return EXIT_OK;
	case -EALREADY:
		error("%s: '%s' was refused: the stream job is %s already",
		      name, message, state_name(status->state));
		return EXIT_REFUSED;
	case -ESRCH:
		error("%s: '%s' was refused: the stream job is %s; start it first: dmlive stream %s start",
		      name, message, state_name(status->state), name);
		return EXIT_REFUSED;
	case -EROFS:
		error("%s: '%s' was refused: the device is read-only", name,
		      message);
		return EXIT_REFUSED;
	default:
		error_errno(r, "%s: '%s' was refused; the kernel log says why",
			    name, message);
		return EXIT_ERROR;
	}
}

/* The job makes no progress without the server that reads its image. */
static void warn_without_server(const char *name)
{
	struct alloctrack_table table;
	struct dm_line line = { 0 };

	if (runtime_server(name) ||
	    dm_get_line(name, DM_LINE_TABLE, &line, NULL))
		return;
	if (!table_line_parse(line.params, &table) &&
	    !strcmp(table.backing, "user"))
		warning("%s has no server, so nothing is streamed; to start one: dmlive resume %s",
			name, name);
	dm_line_free(&line);
}

int cmd_stream(int argc, char **argv)
{
	struct alloctrack_status status;
	char given[DM_NAME_BYTES], inner[DM_NAME_BYTES];
	char message[128];
	const char *name;
	int found, exit_status;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error("stream", found, argv);
		fputs(help, stdout);
		return EXIT_OK;
	}
	if (argc - optind < 2)
		return argument_error("stream", "NAME and what to do");
	exit_status = require("stream", REQUIRE_DM) ?:
		      device_name_find(argv[optind], given);
	if (exit_status)
		return exit_status;
	name = stack_restored(given, inner);
	exit_status = make_message(argc - optind - 1, argv + optind + 1,
				   message, sizeof(message));
	if (!exit_status)
		exit_status = get_status(name, &status);
	if (!exit_status)
		exit_status = send(name, message, &status);
	if (!exit_status && (!strcmp(message, "stream start") ||
			     !strcmp(message, "stream resume")))
		warn_without_server(name);
	return exit_status;
}
