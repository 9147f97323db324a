# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Boots a User-mode Linux kernel.
