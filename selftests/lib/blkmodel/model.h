/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BLKMODEL_MODEL_H
#define BLKMODEL_MODEL_H

/*
 * The content that each sector of a device must have.
 *
 * A sector that was never written has its initial content. A write fills it with a
 * stamp, which names the model, the sector and the write. Some operations leave a
 * choice: a discarded sector is as before or zero, a sector whose write failed is old or
 * new. The first read decides, and from then on the sector must stay so.
 *
 * Sectors have 512 bytes, whatever the device's sector size. The caller ensures that a
 * sector is not checked while it changes; checks may run at the same time.
 */

#include <stdbool.h>
#include <stdint.h>

#define SECTOR_BYTES 512u

struct model;

/**
 * model_new - all sectors have their initial content
 * @nr_sectors: size of the device
 * @id: goes into each stamp
 * @initial: file or block device with the initial content; NULL: zeros. Past
 *	its end there are zeros.
 *
 * Ends the program on errors; so do load and save.
 */
struct model *model_new(uint64_t nr_sectors, uint64_t id, const char *initial);

/** model_load - load what model_save() wrote; @initial is not part of it */
struct model *model_load(const char *path, const char *initial);
void model_save(struct model *model, const char *path);
void model_free(struct model *model);

uint64_t model_nr_sectors(const struct model *model);
uint64_t model_id(const struct model *model);

/** model_poison - the device had bytes of this value before; for reports */
void model_poison(struct model *model, int byte);

/** model_next_sequence - the number of a new write. Any thread. */
uint32_t model_next_sequence(struct model *model);

/** model_stamp - make the data of a write */
void model_stamp(const struct model *model, uint64_t first, uint64_t nr,
		 uint32_t sequence, void *data);

/** model_written - the sectors have that stamp; not @sure: or are as before */
void model_written(struct model *model, uint64_t first, uint64_t nr,
		   uint32_t sequence, bool sure);

/** model_zeroed - the sectors are zero; not @sure: or are as before */
void model_zeroed(struct model *model, uint64_t first, uint64_t nr, bool sure);

/**
 * model_check - compare data that was read with the model
 * @what: what was read, for the report on standard error
 * Return: true if the data is right.
 */
bool model_check(struct model *model, uint64_t first, uint64_t nr,
		 const void *data, const char *what);

/** model_count_open - number of sectors with more than one possible content */
uint64_t model_count_open(const struct model *model);

#endif /* BLKMODEL_MODEL_H */
