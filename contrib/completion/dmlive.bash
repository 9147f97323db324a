# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of dmlive's commands, options, devices and bitmaps, for bash. Commands and
# options are those that the help texts name.

# _dmlive_commands [COMMAND]: the commands, or the commands of one.
_dmlive_commands()
{
	if [ $# -eq 0 ]; then
		dmlive --help 2> /dev/null |
			sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'
	else
		dmlive "$1" --help 2> /dev/null | grep -oE "dmlive $1 [a-z|]+" |
			sed 's/.* //' | tr '|' '\n' | sort -u
	fi
}

_dmlive_options()
{
	dmlive "$@" --help 2> /dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

# The mapped devices on which dmlive works.
_dmlive_devices()
{
	dmlive status --json 2> /dev/null |
		grep -oE '"name": *"[^"]*"' | sed 's/.*: *"\(.*\)"/\1/'
}

# _dmlive_bitmaps WORD...: those of the first device or file among the words.
_dmlive_bitmaps()
{
	local word
	for word; do
		case $word in
		-*|dmlive) ;;
		*)	dmlive bitmap list --json "$word" 2> /dev/null |
				grep -oE '"name": *"[^"]*"' | sed 's/.*: *"\(.*\)"/\1/' ;;
		esac
	done | sort -u
}

# Virtual machines, as libvirt names them.
_dmlive_domains()
{
	virsh --quiet list --all --name 2> /dev/null < /dev/null
}

_dmlive_jobs()
{
	local file
	for file in /etc/dmlive/backup.d/*.conf; do
		[[ ! -e $file ]] || basename "$file" .conf
	done
}

# _dmlive_words COMMAND PREVIOUS WORD...: what may stand behind these words.
_dmlive_words()
{
	case $2 in
	--bitmap)	_dmlive_bitmaps "${@:3}" ;;
	--format|--target-format) echo qcow2 raw ;;
	--compression)	echo none zlib zstd ;;
	--base)		echo auto none ;;
	--vm)		[ "$1" != backup ] || _dmlive_domains ;;
	--vg)		vgs --noheadings -o vg_name 2> /dev/null ;;
	--job)		_dmlive_jobs ;;
	--fleece)	vgs --noheadings -o vg_name 2> /dev/null; echo none ;;
	--type)		echo linear striped mirror raid0 raid1 raid5 raid6 raid10 thin ;;
	*)	case $1 in
		status|finish|backup|detach|bitmap|stream)
			_dmlive_devices ;;
		esac ;;
	esac
}

_dmlive()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words

	COMPREPLY=()
	case $COMP_CWORD:$command in
	1:*)	words="$(_dmlive_commands) help --help --version" ;;
	2:help)	words=$(_dmlive_commands) ;;
	2:meta|2:bitmap|2:image)
		words="$(_dmlive_commands "$command") --help" ;;
	3:stream) words="start pause resume cancel speed on-error" ;;
	*)	if [[ $cur == -* ]]; then
			words=$(_dmlive_options "$command")
		else
			words=$(_dmlive_words "$command" "${COMP_WORDS[COMP_CWORD - 1]}" \
				"${COMP_WORDS[@]:2}")
			# Files and device nodes, too, but where only a word can stand.
			if [[ $words != "qcow2 raw" && $words != "none zlib"* &&
				$words != linear* ]]; then
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
				compopt -o filenames 2> /dev/null
			fi
		fi ;;
	esac
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _dmlive dmlive
