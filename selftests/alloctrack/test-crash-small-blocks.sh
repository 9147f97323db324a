#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1800
#
# A crash at any time loses nothing. Blocks of 4 KiB, so that the bits fill more than
# one page; I/O on both sides of the border between two pages, with few partial writes.
# The streamer does not reach the end.

. "$(dirname "$0")/crash/crash.sh"

label="blocks of 4 KiB"
fua=252928:4096
layout 130 127 8
use 2500 1500000 window=0:8192 window2=257024:8192 fua-window=$fua
check_log 40 fua-window=$fua
finish
