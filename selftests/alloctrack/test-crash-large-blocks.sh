#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1800
#
# A crash at any time loses nothing. Blocks of 64 KiB, so that most writes cover only
# a part of a block; I/O everywhere, until the restore is complete.

. "$(dirname "$0")/crash/crash.sh"

label="blocks of 64 KiB"
fua=16384:8192
layout 24 23 128
use 2000 1500000 window=0:16384 window2=24576:24576 fua-window=$fua
check_log 40 fua-window=$fua
finish
