#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command has a help text, whose lines fit in 80 columns. Options that a command does
# not have are refused, those of its neighbours too.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"

# fits DESCRIPTION COMMAND... - it ends with status 0, and its lines fit.
fits()
{
	local text long
	text=$("${@:2}" 2>&1)
	is "$1: status" $? 0
	like "$1: it is help" "$text" "Usage: *"
	long=$(awk 'length > 80' <<< "$text")
	is "$1: the lines that are too long" "$long" ""
}

fits "dmlive --help" dmlive --help
mapfile -t commands < <(dmlive --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
check "there are commands" [ ${#commands[@]} -ge 11 ]
for command in "${commands[@]}"; do
	fits "$command --help" dmlive "$command" --help
	is "help $command: the same" "$(dmlive help "$command")" "$(dmlive "$command" --help)"
done
for verb in "meta format" "bitmap list" "image convert"; do
	# shellcheck disable=SC2086
	fits "$verb --help" dmlive $verb --help
done

# refused REGEX COMMAND...
refused()
{
	local text
	text=$(dmlive "${@:2}" 2>&1)
	is "${*:2}: status" $? 2
	like "${*:2}: the reason" "$text" "$1"
}

refused "meta size: --bits is not an option of this" meta size --bits x --size 1G
refused "meta dump: --force is not an option of this" meta dump --force x
refused "meta format: --foo: unknown option" meta format --foo x
refused "meta size: --size: needs a value" meta size --size
finish
