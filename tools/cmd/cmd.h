/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_H
#define DMLIVE_CMD_H

/*
 * The subcommands. @argv[0] is the subcommand's name; each knows --help and
 * returns an exit status.
 */

#include "base/options.h"

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

#endif /* DMLIVE_CMD_H */
