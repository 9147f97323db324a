# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian packages of other suites, fetched into the cache folder and unpacked there. The
# apt that does this has its own sources, lists and status: the machine's configuration is
# neither read nor changed.

apt_sources=(
	'deb http://deb.debian.org/debian bookworm-backports main'
	'deb http://deb.debian.org/debian trixie main'
	'deb http://deb.debian.org/debian trixie-backports main'
)

# apt_isolated PROGRAM ARG... - run apt-get or apt-cache.
apt_isolated()
{
	"$1" -q -o "Dir::Etc::sourcelist=$cache/apt/sources.list" \
		-o Dir::Etc::sourceparts=- \
		-o "Dir::State=$cache/apt/state" \
		-o "Dir::State::status=$cache/apt/state/status" \
		-o "Dir::Cache=$cache/apt/cache" \
		-o APT::Sandbox::User=root "${@:2}"
}

# Updates the lists, at most once a day.
apt_prepare()
{
	local stamp=$cache/apt/updated

	[ -z "$(find "$stamp" -mtime -1 2>/dev/null)" ] || return 0
	mkdir -p "$cache"/apt/{state/lists/partial,cache/archives/partial}
	: > "$cache/apt/state/status"
	printf '%s\n' "${apt_sources[@]}" |
		sed 's,^deb ,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ,' \
		> "$cache/apt/sources.list"
	apt_isolated apt-get update >&2 && touch "$stamp"
}

# remembered COMMAND ARG... - its output, cached in a file until the lists change, since apt
# takes a second.
remembered()
{
	local file
	file=$cache/apt/answer-$(sha256sum <<< "$*" | cut -c 1-12)
	if [ ! -s "$file" ] || [ "$cache/apt/updated" -nt "$file" ]; then
		"$@" > "$file.$$" && mv "$file.$$" "$file"
	fi
	cat "$file"
}

# package_newest REGEX - of the packages whose whole name matches, the one with the highest
# version in its name.
package_newest()
{
	remembered search_newest "$1"
}

search_newest()
{
	apt_isolated apt-cache search --names-only "^$1\$" | awk '{ print $1 }' |
		sort -V | tail -n 1
}

# package_version NAME - its highest version.
package_version()
{
	remembered show_version "$1"
}

show_version()
{
	apt_isolated apt-cache show "$1" | sed -n 's/^Version: //p' | sort -V | tail -n 1
}

# package_unpack DIR PACKAGE... - into DIR, which may exist.
package_unpack()
{
	local dir=$1 debs
	shift
	debs=$(mktemp -d "$cache/debs.XXXXXX") || return 1
	(cd "$debs" && apt_isolated apt-get download "$@" >&2) &&
		mkdir -p "$dir" &&
		for deb in "$debs"/*.deb; do
			dpkg-deb -x "$deb" "$dir" || return 1
		done
	local status=$?
	rm -rf "$debs"
	return $status
}
