#!/usr/bin/env bash
# Finds what the project needs, or installs it, and says in a line each what it
# found or did. Running it again costs nothing and changes nothing.
#
#   tools/setup.sh go postgresql openssh alertmanager prometheus generators linter helm promtool
#
# It installs system packages on Debian and Ubuntu (as root, or where sudo asks for
# no password) and on macOS with Homebrew. Elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %-10s %s\n' "$1" "$2"; }
die() { say "$1" "$2" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command as root, and fails where that is not possible without
# asking somebody for a password.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif have sudo && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

# quiet keeps the output of a command for the case that it fails.
quiet() {
	local log status=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 20 "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

apt_get() { quiet as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"; }

# go: a toolchain at least as new as go.work says. With GOTOOLCHAIN=auto, which is
# the default, an older one fetches what it needs by itself.
setup_go() {
	have go || die go "missing: install Go from https://go.dev/dl, or with your package manager"
	local wanted found
	wanted=$(sed -n 's/^go //p' go.work)
	found=$(go env GOVERSION 2>/dev/null) || die go "$(command -v go) cannot provide Go $wanted; install it from https://go.dev/dl"
	found=${found#go}
	if [ "$(printf '%s\n%s\n' "$wanted" "${found%% *}" | sort -V | head -n 1)" != "$wanted" ]; then
		die go "found $found, but go.work asks for $wanted; install it from https://go.dev/dl"
	fi
	say go "$found at $(command -v go)"
}

# pg_bindir prints the folder of the newest PostgreSQL server found. PATH comes
# first, because what a person put there is what they want.
pg_bindir() {
	local candidates=() dir
	if have initdb; then
		candidates+=("$(dirname "$(command -v initdb)")")
	fi
	if have pg_config; then
		candidates+=("$(pg_config --bindir)")
	fi
	while read -r dir; do
		candidates+=("$dir")
	done < <(printf '%s\n' \
		/usr/lib/postgresql/*/bin \
		/usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql*/bin \
		/usr/local/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin \
		/usr/local/pgsql/bin | sort -rV)
	for dir in "${candidates[@]}"; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

# postgresql: the server's programs. Tests and `shipwarden dev` start private
# servers of their own; a server that runs as a service is neither needed nor used.
setup_postgresql() {
	local dir
	if dir=$(pg_bindir); then
		say postgresql "$("$dir/postgres" --version | sed 's/^postgres (PostgreSQL) //') at $dir"
		return
	fi
	if have apt-get; then
		say postgresql "missing: installing the package postgresql"
		apt_get update || say postgresql "apt-get update failed; trying with the lists as they are"
		apt_get install -y --no-install-recommends postgresql ||
			die postgresql "could not install it: run 'apt-get install postgresql' as root"
	elif have brew; then
		say postgresql "missing: brew install postgresql@18"
		quiet brew install postgresql@18 || die postgresql "could not install it: run 'brew install postgresql@18'"
	else
		die postgresql "missing: install the server, so that initdb and postgres are on PATH"
	fi
	dir=$(pg_bindir) || die postgresql "installed, but initdb and postgres were not found"
	say postgresql "installed $("$dir/postgres" --version | sed 's/^postgres (PostgreSQL) //') at $dir"
}

# openssh: ssh-keygen and ssh-agent, with which people sign approvals. Tests have them
# make signatures, and check ours.
setup_openssh() {
	if have ssh-keygen && have ssh-agent; then
		say openssh "ssh-keygen at $(command -v ssh-keygen)"
		return
	fi
	if have apt-get; then
		say openssh "missing: installing the package openssh-client"
		apt_get update || say openssh "apt-get update failed; trying with the lists as they are"
		apt_get install -y --no-install-recommends openssh-client ||
			die openssh "could not install it: run 'apt-get install openssh-client' as root"
	elif have brew; then
		say openssh "missing: brew install openssh"
		quiet brew install openssh || die openssh "could not install it: run 'brew install openssh'"
	else
		die openssh "missing: install OpenSSH, so that ssh-keygen and ssh-agent are on PATH"
	fi
}

# generators, linter and helm: Go tools, pinned in modules of their own (CONTRIBUTING.md
# says why), built into .bin. A test needs none of them.
setup_generators() {
	build_tools protoc
	build_tools buf
}
setup_linter() { build_tools lint; }
setup_helm() { build_tools helm; }

# clients: plain clients of the bus and of gRPC, which know nothing of us. `make
# clients` shows that they work; nothing else needs them.
setup_clients() { build_tools clients; }

# build_tools builds the tools of one module. The stamp holds a sum over its pins, so
# that a changed pin is built, and nothing else is.
build_tools() {
	local module=$1 sum stamp names name missing=
	mkdir -p .bin
	names=$(GOWORK=off go -C "tools/$module" list -f '{{.Target}}' tool | sed 's|.*/||' | sort | tr '\n' ' ')
	sum=$(cat "tools/$module/go.mod" "tools/$module/go.sum" | cksum | tr ' ' '-')-$(go env GOVERSION)
	stamp=.bin/$module.stamp
	for name in $names; do
		[ -x ".bin/$name" ] || missing=yes
	done
	if [ -z "$missing" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
		say tools "${names}in .bin"
		return
	fi
	say tools "building ${names}into .bin (some minutes the first time)"
	GOWORK=off GOBIN="$PWD/.bin" go -C "tools/$module" install tool
	echo "$sum" >"$stamp"
}

# promtool tests the alert rules. Prometheus itself is what checks of metrics are shown to,
# by tests. On Debian the programs alone are taken out of their package: installing the
# package would start a Prometheus.
setup_promtool() { of_prometheus promtool; }
setup_prometheus() { of_prometheus prometheus; }

of_prometheus() {
	local name=$1 scratch
	if [ -x ".bin/$name" ]; then
		say "$name" "in .bin"
		return
	fi
	if have "$name"; then
		say "$name" "at $(command -v "$name")"
		return
	fi
	if have apt-get && have dpkg-deb; then
		say "$name" "missing: taking it out of Debian's package prometheus"
		scratch=$(mktemp -d)
		# apt-get drops to a user of its own for downloads, who must be able to write here.
		chmod 755 "$scratch"
		if ! (cd "$scratch" && apt-get -q download prometheus) >/dev/null 2>&1; then
			apt_get update || true
			(cd "$scratch" && quiet apt-get -q download prometheus) ||
				{ rm -rf "$scratch"; die "$name" "could not fetch the package prometheus"; }
		fi
		dpkg-deb -x "$scratch"/prometheus_*.deb "$scratch/content"
		mkdir -p .bin
		# Another run may be starting the one that is there.
		cp "$scratch/content/usr/bin/$name" ".bin/$name.new"
		mv ".bin/$name.new" ".bin/$name"
		rm -rf "$scratch"
		say "$name" "installed into .bin"
	elif have brew; then
		say "$name" "missing: brew install prometheus"
		quiet brew install prometheus || die "$name" "could not install it: run 'brew install prometheus'"
	else
		die "$name" "missing: install Prometheus, so that $name is on PATH"
	fi
}

# Alertmanager: what tells one is shown to a real one, by a test. On Debian the program
# alone is taken out of its package, as promtool is, and its templates, which it looks for
# where the package has them and nowhere else.
setup_alertmanager() {
	local scratch templates=/usr/share/prometheus/alertmanager
	if have alertmanager; then
		say alertmanager "at $(command -v alertmanager)"
		return
	fi
	if [ -x .bin/alertmanager ] && [ -e "$templates/default.tmpl" ]; then
		say alertmanager "in .bin"
		return
	fi
	if have apt-get && have dpkg-deb; then
		say alertmanager "missing: taking it out of Debian's package prometheus-alertmanager"
		scratch=$(mktemp -d)
		chmod 755 "$scratch"
		if ! (cd "$scratch" && apt-get -q download prometheus-alertmanager) >/dev/null 2>&1; then
			apt_get update || true
			(cd "$scratch" && quiet apt-get -q download prometheus-alertmanager) ||
				{ rm -rf "$scratch"; die alertmanager "could not fetch the package prometheus-alertmanager"; }
		fi
		dpkg-deb -x "$scratch"/prometheus-alertmanager_*.deb "$scratch/content"
		if [ ! -e "$templates/default.tmpl" ]; then
			as_root mkdir -p "$templates" &&
				as_root cp "$scratch/content$templates"/{default,email}.tmpl "$templates/" ||
				{ rm -rf "$scratch"; die alertmanager "could not place its templates: run 'apt-get install prometheus-alertmanager' as root"; }
		fi
		mkdir -p .bin
		# Another run may be starting the one that is there.
		cp "$scratch/content/usr/bin/prometheus-alertmanager" .bin/alertmanager.new
		mv .bin/alertmanager.new .bin/alertmanager
		rm -rf "$scratch"
		say alertmanager "installed into .bin"
	elif have brew; then
		say alertmanager "missing: brew install alertmanager"
		quiet brew install alertmanager || die alertmanager "could not install it: run 'brew install alertmanager'"
	else
		die alertmanager "missing: install Alertmanager, so that alertmanager is on PATH"
	fi
}

for part in "$@"; do
	case "$part" in
	go | postgresql | openssh | generators | linter | helm | promtool | alertmanager | prometheus | clients) "setup_$part" ;;
	*) die "$part" "unknown: one of go, postgresql, openssh, generators, linter, helm, promtool, alertmanager, prometheus, clients" ;;
	esac
done
