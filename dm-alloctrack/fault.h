/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_FAULT_H
#define DM_ALLOCTRACK_FAULT_H

/* I/O that waits for the user server. */

#include <linux/blk_types.h>

struct at_device;
struct at_io;
struct dm_alloctrack_range;
struct dm_live_data;

void at_faults_init(struct at_device *device);
void at_faults_exit(struct at_device *device);

/**
 * at_fault_queue - let a bio wait for the server
 * @io: its first and nr are set; all blocks were seen unallocated
 * @nr_sectors: part of the bio that waits; the rest is split off
 *
 * Context: the map function only.
 * Return: false when a block has become allocated in the meantime: nothing is
 * queued, and the bio has to be routed again.
 */
bool at_fault_queue(struct at_io *io, struct bio *bio, unsigned int nr_sectors);

/** at_faults_serve - give data (NULL: zeros) to the reads that wait for it */
void at_faults_serve(struct at_device *device, u64 first, u64 nr,
		     const struct dm_live_data *data);

/**
 * at_faults_settle - handle the writes that wait for these blocks
 *
 * Those whose block is allocated now are submitted. If @status is an error, the
 * others fail with it.
 */
void at_faults_settle(struct at_device *device, u64 first, u64 nr,
		      blk_status_t status);

/** at_faults_fail - fail all I/O that waits for any of these blocks */
void at_faults_fail(struct at_device *device, u64 first, u64 nr,
		    blk_status_t status);

/**
 * at_faults_tell - report ranges to the server, oldest first
 * @ranges: array of @max
 * Return: number of ranges reported.
 */
unsigned int at_faults_tell(struct at_device *device,
			    struct dm_alloctrack_range *ranges,
			    unsigned int max);

/** at_faults_untell - the ranges did not reach the server: report them again */
void at_faults_untell(struct at_device *device);

/** at_faults_pending - is there a range that was not reported to the server? */
bool at_faults_pending(struct at_device *device);

/** at_faults_attach - attach a server; -EBUSY when there is one already */
int at_faults_attach(struct at_device *device, void *server);

/** at_faults_detach - the server is gone; its faults wait for the next one */
void at_faults_detach(struct at_device *device);

/** at_faults_suspend - from now on, I/O that no server handles fails or is requeued */
void at_faults_suspend(struct at_device *device, bool noflush);

/** at_faults_resume - undo at_faults_suspend() */
void at_faults_resume(struct at_device *device);

#endif /* DM_ALLOCTRACK_FAULT_H */
