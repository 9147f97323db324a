/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_ATTACH_EVENT_H
#define DMLIVE_CMD_ATTACH_EVENT_H

/*
 * `dmlive attach --event`, which a rule of udev calls for each block device that appears
 * or gets another table: volumes with a file in /etc/dmlive/attach.d are attached again.
 *
 * The command of lvm2 that caused the event holds lvm2's locks and waits until udev, and
 * so this process, has ended. So no command of lvm2 is called, and nothing is waited for
 * that udev does. Another process of dmlive may be at work on the volume: then the event is
 * put on record, and that process handles it when it ends, in attach_missed().
 */

/* @device: MAJOR:MINOR or a path. An exit status. */
int attach_event(const char *device);

/* Handle the events that others could not handle because of this process. */
void attach_missed(void);

/*
 * The same for a command that finds some when it starts: what kept others from handling them
 * may have ended since. In a child process, as the command itself does wait for udev.
 */
void attach_missed_first(void);

#endif /* DMLIVE_CMD_ATTACH_EVENT_H */
