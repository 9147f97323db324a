/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_ERROR_H
#define DM_LIVE_QCOW2_ERROR_H

/*
 * Why the codec refuses something.
 *
 * The codec (dm-live/qcow2/) knows the layout of qcow2 images. It consists of pure
 * functions over byte buffers, for the kernel, the tool and the fuzzers. Nothing that
 * comes from a disk is trusted before it was checked here. Buffers may be of any
 * alignment, length and content; nothing is read outside of them.
 *
 * Functions that check return 0 or -EINVAL (-EOPNOTSUPP for what is valid but not
 * supported), and then error->message says what is wrong, with the bitmap's name where
 * it concerns one. The format: docs/interop/qcow2.txt of QEMU, and
 * Documentation/bitmap-format.rst for the header extensions of our own.
 *
 * Context: any; no locks, no allocation, no sleep.
 */

#include "../core/shim.h"
#include "qcow2-format.h"

#define QCOW2_STORE_ERROR_BYTES	200

struct qcow2_store_error {
	char message[QCOW2_STORE_ERROR_BYTES];
};

#endif /* DM_LIVE_QCOW2_ERROR_H */
