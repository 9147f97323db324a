// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making and removing logical volumes is left to lvm2's commands, which know about
 * metadata, locks and clusters. They are run without a shell.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/lvm.h"

/* In one command. */
#define MAX_ARGUMENTS 40

struct command {
	const char *argv[MAX_ARGUMENTS + 1];
	unsigned int nr;
};

static void add(struct command *command, const char *argument)
{
	if (command->nr < MAX_ARGUMENTS)
		command->argv[command->nr++] = argument;
}

static void add_all(struct command *command, const char *const *arguments)
{
	while (*arguments)
		add(command, *arguments++);
}

static ssize_t read_some(int fd, void *data, size_t bytes)
{
	ssize_t n;

	do {
		n = read(fd, data, bytes);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Add a line of @text, without what is around it. */
static void add_line(char *reason, size_t reason_bytes, const char *text,
		     size_t length)
{
	static const char warning[] = "WARNING:";
	const size_t used = strlen(reason);

	for (; length && *text == ' '; text++)
		length--;
	/* There may be one for each attached volume of the group. */
	if (!length || !strncmp(text, warning, strlen(warning)))
		return;
	snprintf(reason + used, reason_bytes - used, "%s%.*s", used ? "; " : "",
		 (int)length, text);
}

/* Read all that the command says, as one line. */
static void read_reason(int fd, char *reason, size_t reason_bytes)
{
	char text[4096], rest[256], *line, *end;
	size_t length = 0;
	ssize_t n;

	while (length < sizeof(text) - 1 &&
	       (n = read_some(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	/* The command must not block on a full pipe. */
	while (read_some(fd, rest, sizeof(rest)) > 0)
		;
	text[length] = '\0';
	for (line = text; *line; line = end + !!*end) {
		end = strchrnul(line, '\n');
		add_line(reason, reason_bytes, line, end - line);
	}
}

static void exec_command(const char *const argv[], int output_fd, int error_fd)
{
	int null = open("/dev/null", O_RDWR);

	/* A Ctrl-C is for this program, and must not end lvm2 halfway. */
	setpgid(0, 0);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(output_fd < 0 ? null : output_fd, STDOUT_FILENO) < 0 ||
	    dup2(error_fd, STDERR_FILENO) < 0)
		_exit(127);
	/* lvm2 complains about descriptors that it does not know. */
	if (null > STDERR_FILENO)
		close(null);
	execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "%s cannot be run: %s; is lvm2 installed?\n",
		argv[0], strerror(errno));
	_exit(127);
}

/* @output_fd: for what it prints; -1: that is dropped. */
static int run(const struct command *command, int output_fd, char *reason,
	       size_t reason_bytes)
{
	int fds[2], status;
	pid_t pid;

	reason[0] = '\0';
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -EAGAIN;
	}
	if (!pid)
		exec_command(command->argv, output_fd, fds[1]);
	close(fds[1]);
	read_reason(fds[0], reason, reason_bytes);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

/* What lvm2 allows in a tag; everything else becomes "_". */
static const char *make_tag(char tag[LVM_TAG_BYTES], const char *key,
			    const char *value)
{
	char *at;

	snprintf(tag, LVM_TAG_BYTES, "%s%s", key, value);
	for (at = tag; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("_+.-/=!:&#", *at))
			*at = '_';
	return tag;
}

int lvm_create(const struct lvm_plan *plan, char *reason, size_t reason_bytes)
{
	static const char *const wipe[] = {
		"--wipesignatures", "y", "--zero", "y", NULL
	};
	char size[32], of[LVM_TAG_BYTES], role[LVM_TAG_BYTES];
	struct command command = {
		.argv = { "lvcreate", "--quiet", "--yes", "--addtag", LVM_TAG },
		.nr = 5,
	};

	/* A new thin volume holds nothing. */
	if (plan->pool)
		add_all(&command, (const char *[]){ "--type", "thin",
			"--thinpool", plan->pool, "--virtualsize", NULL });
	else
		add_all(&command, wipe);
	if (!plan->pool && plan->type)
		add_all(&command, (const char *[]){ "--type", plan->type, NULL });
	if (!plan->pool)
		add(&command, "--size");
	/* lvm2 takes whole sectors, and rounds up to extents. */
	snprintf(size, sizeof(size), "%" PRIu64 "b",
		 (plan->bytes + 511) / 512 * 512);
	add(&command, size);
	add_all(&command, (const char *[]){
		"--addtag", make_tag(of, LVM_TAG_OF, plan->of),
		"--addtag", make_tag(role, LVM_TAG_ROLE, plan->role), NULL });
	if (plan->tag)
		add_all(&command, (const char *[]){ "--addtag", plan->tag, NULL });
	add_all(&command, (const char *[]){ "--name", plan->volume.name,
		plan->volume.group, NULL });
	return run(&command, -1, reason, reason_bytes);
}

static const char *full_name(const struct lvm_volume *volume,
			     char name[2 * LVM_NAME_BYTES])
{
	snprintf(name, 2 * LVM_NAME_BYTES, "%s/%s", volume->group,
		 volume->name);
	return name;
}

int lvm_remove(const struct lvm_volume *volume, char *reason,
	       size_t reason_bytes)
{
	char name[2 * LVM_NAME_BYTES];
	const struct command command = {
		.argv = { "lvremove", "--quiet", "--yes",
			  full_name(volume, name) },
	};

	return run(&command, -1, reason, reason_bytes);
}

int lvm_remove_tagged(const struct lvm_volume *volume, const char *tag,
		      char *reason, size_t reason_bytes)
{
	char name[2 * LVM_NAME_BYTES], select[LVM_TAG_BYTES + 16];
	const struct command command = {
		.argv = { "lvremove", "--quiet", "--yes", "--select", select,
			  full_name(volume, name) },
	};

	snprintf(select, sizeof(select), "lv_tags={\"%s\"}", tag);
	return run(&command, -1, reason, reason_bytes);
}

int lvm_remove_tag(const struct lvm_volume *volume, const char *tag,
		   char *reason, size_t reason_bytes)
{
	char name[2 * LVM_NAME_BYTES];
	const struct command command = {
		.argv = { "lvchange", "--quiet", "--yes", "--deltag", tag,
			  full_name(volume, name) },
	};

	return run(&command, -1, reason, reason_bytes);
}

/* Run lvs for @what. NULL: it failed. */
static FILE *list(const char *columns, const char *what, char *reason,
		  size_t reason_bytes)
{
	const struct command command = {
		.argv = { "lvs", "--noheadings", "--reportformat", "basic",
			  "--separator", " ", "--config",
			  "report { prefixes=0 quoted=0 columns_as_rows=0 }",
			  "--options", columns, what },
	};
	int fd = memfd_create("lvs", MFD_CLOEXEC);
	FILE *file;

	if (fd < 0)
		return NULL;
	if (run(&command, fd, reason, reason_bytes) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return NULL;
	}
	file = fdopen(fd, "r");
	if (!file)
		close(fd);
	return file;
}

bool lvm_exists(const struct lvm_volume *volume, char *tags, size_t tags_bytes)
{
	char name[2 * LVM_NAME_BYTES], reason[256];
	FILE *file = list("lv_tags", full_name(volume, name), reason,
			  sizeof(reason));

	if (!file)
		return false;
	if (!fgets(tags, tags_bytes, file))
		tags[0] = '\0';
	memmove(tags, tags + strspn(tags, " "),
		strlen(tags + strspn(tags, " ")) + 1);
	tags[strcspn(tags, "\n ")] = '\0';
	fclose(file);
	return true;
}

bool lvm_has_tag(const char *tags, const char *tag)
{
	const size_t length = strlen(tag);

	for (;; tags++) {
		if (!strncmp(tags, tag, length) &&
		    (!tags[length] || tags[length] == ','))
			return true;
		tags = strchrnul(tags, ',');
		if (!*tags)
			return false;
	}
}

int lvm_for_each(const char *group,
		 void (*each)(const struct lvm_volume *volume,
			      const char *tags, void *context),
		 void *context, char *reason, size_t reason_bytes)
{
	FILE *file = list("lv_name,lv_tags", group, reason, reason_bytes);
	struct lvm_volume volume;
	char *line = NULL, *tags;
	size_t line_bytes = 0;
	int end = 0;

	if (!file)
		return -ENOENT;
	snprintf(volume.group, sizeof(volume.group), "%s", group);
	while (getline(&line, &line_bytes, file) > 0) {
		if (sscanf(line, " %127s%n", volume.name, &end) < 1)
			continue;
		tags = line + end + strspn(line + end, " ");
		tags[strcspn(tags, "\n ")] = '\0';
		each(&volume, tags, context);
	}
	free(line);
	fclose(file);
	return 0;
}
