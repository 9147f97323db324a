/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_OVERLAYS_H
#define DMLIVE_META_OVERLAYS_H

/*
 * Is the regular file @path one that another image in its folder lies on? Says which.
 * 0; -EBUSY; or another negative errno after a message. Images elsewhere are not found.
 */
int overlays_check(const char *path);

#endif /* DMLIVE_META_OVERLAYS_H */
