# shellcheck shell=bash
# Finds required programs (compiler, curl, PostgreSQL, Redis, Chromium) and installs missing ones with the system's
# package manager if permitted; otherwise prints the command to run.
# Installing never starts, stops or reconfigures a server, even on distributions whose packages start one.

POSTGRES_MIN=14
REDIS_MIN=6

# --- the package manager --------------------------------------------------------------------------

package_manager() {
    local manager
    for manager in apt-get dnf brew; do
        have "$manager" && { printf '%s\n' "$manager"; return 0; }
    done
    printf 'none\n'
}

# as_admin COMMAND…: as root, directly or with sudo or doas.
as_admin() {
    if is_root; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    [[ -z ${MARQUEE_NO_INSTALL:-} ]] || return 1
    case $(package_manager) in
    brew) ! is_root ;;
    none) return 1 ;;
    *) is_root || { have sudo && sudo -n true 2>/dev/null; } ;;
    esac
}

# packages_for THING: its package names.
packages_for() {
    case $(package_manager):$1 in
    apt-get:postgres) echo postgresql ;;
    apt-get:postgres-client) echo postgresql-client ;;
    apt-get:redis) echo redis-server ;;
    apt-get:compiler) echo build-essential ;;
    apt-get:curl) echo curl ca-certificates ;;
    apt-get:openssl | dnf:openssl | brew:openssl) echo openssl ;;
    apt-get:chromium) echo chromium fonts-dejavu-core ;;
    dnf:postgres) echo postgresql-server ;;
    dnf:postgres-client) echo postgresql ;;
    dnf:redis) dnf -q info redis >/dev/null 2>&1 && echo redis || echo valkey ;;
    dnf:compiler) echo gcc ;;
    dnf:curl) echo curl ca-certificates ;;
    brew:postgres | brew:postgres-client) echo postgresql@16 ;;
    brew:redis) echo redis ;;
    brew:curl) echo curl ;;
    *) return 1 ;;
    esac
}

# install_advice THING: the command that installs it.
install_advice() {
    local packages
    packages=$(packages_for "$1") || packages=''
    case $(package_manager):$1 in
    *:compiler) [[ -n $packages ]] || { echo 'a C compiler: on macOS type "xcode-select --install"'; return 0; } ;;
    none:postgres*) echo "PostgreSQL $POSTGRES_MIN or newer (server and psql), with your system's package manager" ;;
    none:redis) echo "Redis $REDIS_MIN or newer (or Valkey), with your system's package manager" ;;
    none:*) echo "$1, with your system's package manager" ;;
    esac
    case $(package_manager) in
    apt-get) echo "sudo apt-get update && sudo apt-get install $packages" ;;
    dnf) echo "sudo dnf install $packages" ;;
    brew) echo "brew install $packages" ;;
    esac
}

# install THING DESCRIPTION: installs it, or fails with the command to run.
install() {
    local thing=$1 what=$2 log packages
    if ! may_install || ! packages=$(packages_for "$thing"); then
        fail "$what is missing, and installing packages is not permitted here. Run:" "$(install_advice "$thing")"
    fi
    log=$(mktemp "${TMPDIR:-/tmp}/marquee-install.XXXXXX")
    step "installing $what: $packages ($(package_manager); log $log)"
    # shellcheck disable=SC2086 # package names are meant to be split
    if ! "install_with_$(package_manager | tr -d -)" $packages >"$log" 2>&1; then
        show_log_end "$log"
        fail "could not install $packages; the whole log is $log. To install it manually:" "$(install_advice "$thing")"
    fi
    rm -f "$log"
}

install_with_dnf() { as_admin dnf install -y "$@"; }
install_with_brew() { HOMEBREW_NO_AUTO_UPDATE=1 brew install "$@"; }

APT_UPDATED=''
apt_install() {
    as_admin env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install -y --no-install-recommends "$@" </dev/null
}

install_with_aptget() {
    if [[ -z $APT_UPDATED ]]; then
        as_admin apt-get -o DPkg::Lock::Timeout=300 update </dev/null || warn 'apt-get update failed; continuing with the existing package lists'
        APT_UPDATED=1
    fi
    case " $* " in
    *' postgresql '* | *' redis-server '*) apt_install_server "$@" ;;
    *) apt_install "$@" ;;
    esac
}

# apt_install_server PACKAGE…: prevents Debian's packages from creating a cluster and from starting a server now or at
# boot; ours run from this checkout only.
apt_install_server() {
    local policy=/usr/sbin/policy-rc.d clusters=/etc/postgresql-common/createcluster.d/marquee.conf ours='' code=0
    case " $* " in *' postgresql '*)
        apt_install postgresql-common || return
        as_admin mkdir -p "${clusters%/*}"
        printf 'create_main_cluster = false\n' | as_admin tee "$clusters" >/dev/null
        ;;
    esac
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | as_admin tee "$policy" >/dev/null
        as_admin chmod 755 "$policy"
        ours=1
    fi
    apt_install "$@" || code=$?
    [[ -z $ours ]] || as_admin rm -f "$policy"
    as_admin rm -f "$clusters"
    case " $* " in *' redis-server '*) keep_from_booting redis-server ;; esac
    return "$code"
}

keep_from_booting() {
    if have systemctl; then as_admin systemctl disable "$1.service" || true; fi
    if have update-rc.d; then as_admin update-rc.d "$1" disable || true; fi
}

# --- PostgreSQL -----------------------------------------------------------------------------------

postgres_version() { "$1/postgres" --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+(\.[0-9]+)?).*/\1/'; }

# postgres_folders: candidate folders of its programs, most likely first.
postgres_folders() {
    local found prefix
    [[ -z ${PG_BIN:-} ]] || printf '%s\n' "$PG_BIN"
    found=$(command -v postgres || true)
    [[ -z $found ]] || dirname "$(real_path "$found")"
    for prefix in "${HOMEBREW_PREFIX:-/opt/homebrew}" /usr/local /home/linuxbrew/.linuxbrew; do
        printf '%s\n' "$prefix"/opt/postgresql*/bin
    done
    printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
        /Applications/Postgres.app/Contents/Versions/*/bin | sort -t / -k 5 -rV 2>/dev/null
}

# find_postgres [MAJOR]: sets PG_BIN to a folder with a complete PostgreSQL, at least POSTGRES_MIN or exactly MAJOR.
find_postgres() {
    local folder program version
    while read -r folder; do
        for program in postgres initdb pg_ctl psql pg_isready; do
            [[ -x $folder/$program ]] || continue 2
        done
        version=$(postgres_version "$folder")
        at_least "$version" "$POSTGRES_MIN" || continue
        [[ -z ${1:-} || ${version%%.*} == "$1" ]] || continue
        PG_BIN=$folder
        return 0
    done < <(postgres_folders)
    return 1
}

# need_postgres [MAJOR]: like find_postgres, but installs it if missing.
need_postgres() {
    find_postgres "$@" && return 0
    [[ -z ${1:-} ]] || fail "the data under $PG_HOME was written by PostgreSQL $1, which is no longer installed." \
        'Install that version, or give the data up: scripts/dev-services.sh reset'
    install postgres "PostgreSQL $POSTGRES_MIN or newer"
    find_postgres || fail "the PostgreSQL that this system's packages offer is older than $POSTGRES_MIN." \
        'Install a newer one, and name the folder of its programs in PG_BIN.'
}

# need_psql: sets PSQL, for servers given by DATABASE_URL.
# shellcheck disable=SC2034 # used by servers.sh
need_psql() {
    if find_postgres; then PSQL=$PG_BIN/psql; return 0; fi
    have psql || install postgres-client 'psql (the client of PostgreSQL)'
    PSQL=$(command -v psql)
}

# --- Redis ----------------------------------------------------------------------------------------

# find_redis: sets REDIS_SERVER to a redis-server (or its fork valkey-server) of at least REDIS_MIN.
find_redis() {
    local program version
    for program in ${REDIS_SERVER:+"$REDIS_SERVER"} redis-server valkey-server \
        /opt/homebrew/bin/redis-server /usr/local/bin/redis-server /home/linuxbrew/.linuxbrew/bin/redis-server; do
        program=$(command -v "$program") || continue
        version=$("$program" --version 2>/dev/null | sed -E 's/.* v=([0-9.]+).*/\1/')
        at_least "$version" "$REDIS_MIN" || continue
        REDIS_SERVER=$program
        return 0
    done
    return 1
}

need_redis() {
    find_redis && return 0
    install redis "Redis $REDIS_MIN or newer"
    find_redis || fail "the Redis that this system's packages offer is older than $REDIS_MIN." \
        'Install a newer one, and name its program in REDIS_SERVER.'
}

# --- Chromium, for the browser test ---------------------------------------------------------------

find_chromium() {
    local program
    for program in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable \
        '/Applications/Chromium.app/Contents/MacOS/Chromium' \
        '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
        program=$(command -v "$program") || continue
        CHROMIUM=$program
        return 0
    done
    return 1
}

is_debian() { grep -qs '^ID=debian' /etc/os-release; }

# want_chromium: sets CHROMIUM if it is installed or can be; only Debian has a plain package (Ubuntu's is a snap).
want_chromium() {
    find_chromium && return 0
    if ! may_install || ! is_debian; then
        note 'Chromium is not available: the browser test is skipped'
        return 0
    fi
    (install chromium 'Chromium, for the browser test') || warn 'Chromium could not be installed: the browser test is skipped'
    find_chromium || true
}

# --- build tools --------------------------------------------------------------------------

need_build_tools() {
    have cc || have gcc || have clang || install compiler 'a C compiler and linker'
    need_curl
    need_rust
}

need_curl() { have curl || install curl curl; }

# need_openssl: for the certificates of tests.
need_openssl() { have openssl || install openssl 'openssl'; }

need_rust() {
    local home=${CARGO_HOME:-${HOME:-}/.cargo}
    if ! have cargo && [[ -x $home/bin/cargo ]]; then PATH=$home/bin:$PATH; fi
    have cargo && have rustc && return 0
    fail 'Rust is missing. Install it as https://rustup.rs says (no root needed):' \
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" \
        'then open a new terminal.'
}
