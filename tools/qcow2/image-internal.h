/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_INTERNAL_H
#define DMLIVE_IMAGE_INTERNAL_H

/* An image from inside: shared by its reading, describing and checking. */

#include "layer.h"

/* More than anyone has; only keeps a mistake from using up all descriptors. */
#define MAX_LAYERS 256

struct image_description;

struct image {
	unsigned int nr_layers;
	struct layer *layers[MAX_LAYERS];	/* [0] is the image itself */
	struct image_description *descriptions[MAX_LAYERS]; /* or NULL */
	struct image_error missing;	/* why a layer below is; "" if none is */
};

void image_description_free(struct image_description *description);

#endif /* DMLIVE_IMAGE_INTERNAL_H */
