// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's side of the reports, and where its messages go.
 *
 * Nothing here may block: the log daemon or the terminal may wait for the device that
 * this process serves. So the pipe and the socket of the log daemon do not block, and the
 * log file is in memory (/run).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/systemd.h"
#include "restore/runtime.h"
#include "restore/report.h"

#define LOG_SOCKET "/dev/log"

static int report_fd = -1;
static int log_fd = -1;
static int socket_fd = -1;

void report_init(int fd)
{
	report_fd = fd;
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void put(char kind, const char *text)
{
	char line[1200];
	int length = snprintf(line, sizeof(line), "%c%s\n", kind, text);

	if (report_fd < 0)
		return;
	/* Shorter than PIPE_BUF, so it is written whole or not at all. */
	if (write(report_fd, line, length) < 0 && errno == EPIPE)
		report_fd = -1;
}

void report_usable(void)
{
	put('U', "");
	notify_ready();
}

void report_note(const char *text)
{
	put('N', text);
}

void report_gap(const char *json)
{
	put('G', json);
}

void report_state(const char *state)
{
	put('S', state);
	notify_status("stream job: %s", state);
}

void report_check(uint64_t done_bytes, uint64_t total_bytes)
{
	char text[48];

	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, done_bytes,
		 total_bytes);
	put('P', text);
	notify_still_starting();
	notify_status("checking the image's tables: %" PRIu64 " of %" PRIu64 " bytes",
		      done_bytes, total_bytes);
}

void report_done(int exit_status)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", exit_status);
	put('D', text);
}

static const char *level_name(enum log_level level)
{
	return level == LOG_LEVEL_ERROR ? "error" :
	       level == LOG_LEVEL_WARNING ? "warning" : "info";
}

static void write_log_file(enum log_level level, const char *line)
{
	char text[1200], stamp[64] = "";
	time_t now = time(NULL);
	struct tm local;
	int length;

	if (log_fd < 0)
		return;
	if (localtime_r(&now, &local))
		strftime(stamp, sizeof(stamp), "%F %T", &local);
	length = snprintf(text, sizeof(text), "%s %s: %s\n", stamp,
			  level_name(level), line);
	if (write(log_fd, text, length) < 0)
		return;
}

static void send_to_log_daemon(enum log_level level, const char *line)
{
	int priority = level == LOG_LEVEL_ERROR ? LOG_ERR :
		       level == LOG_LEVEL_WARNING ? LOG_WARNING : LOG_INFO;
	char text[1200];
	int length = snprintf(text, sizeof(text), "<%d>dmlive[%d]: %s",
			      LOG_DAEMON | priority, getpid(), line);

	if (socket_fd >= 0)
		send(socket_fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void sink(enum log_level level, const char *line)
{
	write_log_file(level, line);
	send_to_log_daemon(level, line);
	put(level == LOG_LEVEL_ERROR ? 'E' :
	    level == LOG_LEVEL_WARNING ? 'W' : 'I', line);
}

void report_take_messages(const char *name)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = LOG_SOCKET,
	};

	log_fd = runtime_open_log(name);
	/* Read the time zone now, not while a fault is being served. */
	tzset();
	socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_fd >= 0 && connect(socket_fd, (struct sockaddr *)&address,
				      sizeof(address))) {
		close(socket_fd);
		socket_fd = -1;
	}
	log_set_sink(sink);
}

void report_from_signal_handler(const char *line)
{
	if (log_fd >= 0 && write(log_fd, line, strlen(line)) < 0)
		return;
}
