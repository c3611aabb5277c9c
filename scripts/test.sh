#!/usr/bin/env bash
# Runs all tests against a temporary PostgreSQL and Redis of its own, so that no setup is needed and a running
# development stack is not disturbed.
# Arguments are passed to the test runner: scripts/test.sh -p gateway
# DURABLE=1: PostgreSQL flushes to disk as in production; for tests that measure writes or crashes.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib/base.sh
source "$ROOT/scripts/lib/base.sh"
# shellcheck source=scripts/lib/install.sh
source "$ROOT/scripts/lib/install.sh"
# shellcheck source=scripts/lib/servers.sh
source "$ROOT/scripts/lib/servers.sh"

RUN_DIR=''
PG_HOME=''
SERVERS_KEEP=${DURABLE:-0}

# --- setup ---------------------------------------------------------------------------------------

# Settings of the caller's shell must not influence the tests.
forget_settings() {
    local name
    for name in CONFIG_FILE RUST_LOG $(sed -n 's/^\([a-z0-9_]*\) = .*/\1/p' "$ROOT"/*/config/default.toml | tr '[:lower:]' '[:upper:]'); do
        unset "$name"
    done
}

# make_run_dir: all files of this run; the user of PostgreSQL, if we are root, may only traverse it.
make_run_dir() {
    RUN_DIR=$(mktemp -d "${TMPDIR:-/tmp}/marquee-test.XXXXXX")
    RUN_DIR=$(cd "$RUN_DIR" && pwd -P)
    chmod 711 "$RUN_DIR"
    mkdir -m 1777 "$RUN_DIR/tmp"
    SERVERS_DIR=$RUN_DIR
    SERVERS_MARK=MARQUEE_TEST_RUN=$RUN_DIR
}

start_servers() {
    step 'starting a PostgreSQL and a Redis for this run'
    postgres_start
    redis_start
    note "PostgreSQL $(postgres_version "$PG_BIN") and $("$REDIS_SERVER" --version | sed -E 's/ server//; s/ sha=.*//'), in $RUN_DIR"
    # Tests that start servers of their own use these programs; PostgreSQL runs as PG_OS_USER if we are root.
    export DATABASE_URL REDIS_URL PG_BIN PG_HOME REDIS_SERVER PG_OS_USER
    export "${SERVERS_MARK?}" TMPDIR=$RUN_DIR/tmp
    if [[ -n ${CHROMIUM:-} ]]; then export CHROMIUM; fi
}

# --- the tests ------------------------------------------------------------------------------------

# With --tests, so that features are unified as in the test run and nothing is compiled twice.
# shellcheck disable=SC2046 # an empty result is dropped on purpose
build() { cargo build --workspace --bins --tests $(profile_flag "$@"); }

# profile_flag ARGUMENTS…: --release if it is among them.
profile_flag() { case " $* " in *' --release '*) printf -- '--release\n' ;; esac; }

# needs_other_programs ARGUMENTS…: true if the selected tests start programs of other crates, as the gateway's do.
# Programs of a test's own crate are built with it.
needs_other_programs() {
    case " $* " in
    *' gateway '* | *'=gateway '* | *' -pgateway '*) true ;;
    *' -p'* | *' --package'*) false ;;
    *) true ;;
    esac
}

# tee_output FILE COMMAND…: shows the output and keeps it for the summary; returns the exit code of COMMAND.
tee_output() {
    local file=$1
    shift
    "$@" 2>&1 | tee -i "$RUN_DIR/$file"
}

# workspace_flag ARGUMENTS…: --workspace, unless crates are named (it would override -p).
workspace_flag() {
    case " $* " in
    *' -p'* | *' --package'* | *' --workspace '* | *' --all '*) ;;
    *) printf -- '--workspace\n' ;;
    esac
}

# shellcheck disable=SC2046 # an empty result is dropped on purpose
nextest() { tee_output nextest.out cargo nextest run $(workspace_flag "$@") --no-fail-fast ${1+"$@"}; }
# shellcheck disable=SC2046
plain_tests() { tee_output cargo-test.out cargo test $(workspace_flag "$@") --no-fail-fast ${1+"$@"}; }
documentation_tests() { tee_output cargo-test.out cargo test --workspace --doc --no-fail-fast; }

run_tests() {
    local code=0
    if [[ -t 1 ]]; then export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}; fi
    if cargo nextest --version >/dev/null 2>&1; then
        run_child nextest ${1+"$@"} || code=$?
        # nextest does not run doctests.
        if (($# == 0)); then run_child documentation_tests || code=$?; fi
    else
        run_child plain_tests ${1+"$@"} || code=$?
    fi
    return "$code"
}

# count_results: sums the summaries of nextest (one line) and cargo test (one line per test binary).
count_results() {
    local file
    for file in nextest cargo-test; do
        [[ ! -f $RUN_DIR/$file.out ]] || sed $'s/\033\\[[0-9;]*m//g' "$RUN_DIR/$file.out" | sed -n -E \
            -e "/^ *Summary \\[/{s/^/$file /;p;}" -e "/^test result: /{s/^/$file /;p;}"
    done | awk '
        function before(word) { return match($0, "[0-9]+ " word) ? substr($0, RSTART, RLENGTH) + 0 : 0 }
        ($1 == "nextest") == ($2 == "Summary") {
            passed += before("passed"); failed += before("failed") + before("timed out") + before("exec failed")
            skipped += before("skipped") + before("ignored")
        }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}

# summarise CODE: the last line has a fixed format for programs that parse it.
summarise() {
    if (($1 == 0)); then good "tests passed in $SECONDS s"; else warn "tests FAILED (exit code $1) after $SECONDS s"; fi
    count_results
}

# --- cleanup ----------------------------------------------------------------------------------------

clean_up() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    stop_child
    if [[ -n $RUN_DIR ]]; then
        if [[ -n $PG_HOME ]]; then postgres_stop QUIT; fi
        redis_stop
        stop_marked "$SERVERS_MARK"
        if [[ -n $PG_HOME ]] && is_our_outside_home "$PG_HOME"; then rm -rf "$PG_HOME"; fi
        rm -rf "$RUN_DIR"
    fi
    exit "$code"
}

main() {
    local code=0
    cd "$ROOT"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    forget_settings
    need_build_tools
    need_openssl
    if (($# == 0)); then want_chromium; else find_chromium || true; fi
    make_run_dir
    start_servers
    if needs_other_programs ${1+"$@"}; then
        step 'building the programs that tests start'
        run_child build ${1+"$@"} || fail 'the build failed: see above'
    fi
    step 'running the tests'
    run_tests ${1+"$@"} || code=$?
    summarise "$code"
    return "$code"
}

main ${1+"$@"}
