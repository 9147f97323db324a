/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_H
#define DMLIVE_CMD_H

/*
 * The subcommands. @argv[0] is the subcommand's name; each knows --help and
 * returns an exit status.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

int cmd_restore(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stream(int argc, char **argv);
int cmd_finish(int argc, char **argv);
int cmd_meta(int argc, char **argv);
int cmd_bitmap(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);

/* What getopt_long() returns for --help, in all commands. */
#define OPTION_HELP	'h'

/*
 * Parse the values of options. Each prints what is wrong and returns
 * false.
 */
bool option_size(const char *option, const char *text, uint64_t *bytes);
bool option_number(const char *option, const char *text, uint64_t max,
		   uint64_t *number);

/* getopt_long() said '?' or ':': says what is wrong. Returns EXIT_USAGE. */
int option_error(const char *command, int found, char **argv);

/* The number of other arguments is wrong. Returns EXIT_USAGE. */
int argument_error(const char *command, const char *wanted);

#endif /* DMLIVE_CMD_H */
