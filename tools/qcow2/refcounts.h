/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_REFCOUNTS_H
#define DMLIVE_REFCOUNTS_H

/*
 * Reference counts of the clusters of a qcow2 file: those that a check counts itself,
 * and those in the file.
 */

#include "host-file.h"
#include "image.h"
#include "qcow2-header.h"

/*
 * Counters, all 0 at first, that take memory where they are counted only, and
 * never more than a fixed limit. Not for several threads.
 */
struct counters;

/* For clusters 0 to @nr_clusters - 1; NULL if that is too many, or no memory. */
struct counters *counters_create(uint64_t nr_clusters);
void counters_destroy(struct counters *counters);

/* 0, or -ENOMEM; a counter stays at its maximum, UINT32_MAX. */
int counters_add(struct counters *counters, uint64_t cluster, uint32_t times);
uint32_t counters_get(const struct counters *counters, uint64_t cluster);

/* The first cluster at or after @cluster whose count may not be 0. */
uint64_t counters_next(const struct counters *counters, uint64_t cluster);

/* The refcounts in the file, read through a small cache. */
struct stored_refcounts;

int stored_refcounts_open(const struct host_file *file,
			  const struct qcow2_header_info *info,
			  struct stored_refcounts **stored,
			  struct image_error *err);
void stored_refcounts_close(struct stored_refcounts *stored);

/* Entries of the refcount table, and where the block of each lies (raw). */
uint64_t stored_refcounts_blocks(const struct stored_refcounts *stored);
uint64_t stored_refcounts_block(const struct stored_refcounts *stored,
				uint64_t index);

/* Clusters that one refcount block describes. */
uint64_t stored_refcounts_per_block(const struct stored_refcounts *stored);

/*
 * The refcount of @cluster. A block that is missing, or that cannot be right
 * (misaligned, outside of the file), counts as zeros.
 */
int stored_refcounts_get(struct stored_refcounts *stored, uint64_t cluster,
			 uint64_t *refcount, struct image_error *err);

#endif /* DMLIVE_REFCOUNTS_H */
