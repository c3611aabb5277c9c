# shellcheck shell=bash
# Functions shared by all scripts: messages, random secrets, processes, ports, HTTP.
# Works with bash 3.2, and without ss, lsof or ps if /proc exists.

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
    BOLD=$'\033[1m' RED=$'\033[31m' YELLOW=$'\033[33m' GREEN=$'\033[32m' PLAIN=$'\033[0m'
else
    BOLD='' RED='' YELLOW='' GREEN='' PLAIN=''
fi

# Progress goes to stderr, so that stdout of `token` and `status` can be used by other programs.
step() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
good() { printf '    %s%s%s\n' "$GREEN" "$*" "$PLAIN" >&2; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
fail() {
    printf '%serror:%s %s\n' "$RED" "$PLAIN" "$1" >&2
    shift
    local line
    for line in ${1+"$@"}; do printf '       %s\n' "$line" >&2; done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [[ $(id -u) == 0 ]]; }

# random_secret: 48 hexadecimal digits; safe in URLs, configuration files and headers.
random_secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# show_log_end FILE [LINES]: the end of a log, indented, with its name.
show_log_end() {
    local file=$1 lines=${2:-25}
    if [[ ! -s $file ]]; then
        note "$file is empty"
        return 0
    fi
    printf '    --- last lines of %s\n' "$file" >&2
    tail -n "$lines" "$file" | sed 's/^/    | /' >&2
}

# real_path FILE: FILE with symbolic links resolved (macOS has no readlink -f before 12.3).
real_path() {
    local path=$1 target
    while [[ -L $path ]]; do
        target=$(readlink "$path")
        case $target in
        /*) path=$target ;;
        *) path=$(dirname "$path")/$target ;;
        esac
    done
    printf '%s/%s\n' "$(cd "$(dirname "$path")" && pwd -P)" "$(basename "$path")"
}

# at_least VERSION MAJOR: true if the major version is at least MAJOR (at_least 15.18 14).
at_least() {
    local major=${1%%.*}
    [[ $major =~ ^[0-9]+$ ]] && ((major >= $2))
}

# --- processes ------------------------------------------------------------------------------------

# process_identity PID: its start time, which distinguishes it from a later process with the same pid; fails if there is
# no such process or it is a zombie.
process_identity() {
    local stat fields
    if [[ -d /proc/self ]]; then
        { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
        stat=${stat##*) }
        read -r -a fields <<<"$stat"
        [[ ${fields[0]} != Z ]] || return 1
        printf '%s\n' "${fields[19]}"
    else
        stat=$(ps -o state=,lstart= -p "$1" 2>/dev/null) || return 1
        [[ $stat != Z* ]] || return 1
        # shellcheck disable=SC2086 # the split is wanted: it drops the state and the padding
        set -- $stat
        shift
        local IFS=_
        printf '%s\n' "$*"
    fi
}

process_command() {
    if [[ -d /proc/self ]]; then
        { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
    else
        ps -o command= -p "$1" 2>/dev/null || true
    fi
}

# process_memory_mib PID: resident memory, one decimal.
process_memory_mib() {
    local kib=''
    if [[ -d /proc/self ]]; then
        kib=$(awk '/^VmRSS:/ { print $2 }' "/proc/$1/status" 2>/dev/null || true)
    else
        kib=$(ps -o rss= -p "$1" 2>/dev/null || true)
    fi
    [[ -n $kib ]] || { printf -- '-\n'; return 0; }
    awk -v kib="$kib" 'BEGIN { printf "%.1f MiB\n", kib / 1024 }'
}

# spawn_detached LOG COMMAND…: starts COMMAND detached from this script and its terminal, without standard input; sets
# SPAWNED_PID.
spawn_detached() {
    local log=$1
    shift
    if have setsid; then
        # Not a group leader here, so setsid does not fork and $! is the command itself.
        setsid "$@" </dev/null >>"$log" 2>&1 &
    else
        set -m
        nohup "$@" </dev/null >>"$log" 2>&1 &
        set +m
    fi
    SPAWNED_PID=$!
    disown "$SPAWNED_PID" 2>/dev/null || true
}

# stop_process PID IDENTITY SECONDS: TERM, wait, then KILL, if the process still has this identity. Fails if it had to be
# killed.
stop_process() {
    local pid=$1 identity=$2 seconds=$3 tries
    [[ $(process_identity "$pid" || true) == "$identity" ]] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    for ((tries = seconds * 10; tries > 0; tries--)); do
        [[ $(process_identity "$pid" || true) == "$identity" ]] || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    for ((tries = 50; tries > 0; tries--)); do
        [[ $(process_identity "$pid" || true) == "$identity" ]] || break
        sleep 0.1
    done
    return 1
}

# stop_marked NAME=VALUE: stops all remaining processes with this variable in their environment. Needs /proc.
stop_marked() {
    [[ -d /proc/self ]] || return 0
    local environ pid found=()
    while read -r environ; do
        pid=${environ#/proc/} pid=${pid%/environ}
        note "stopping a leftover process: pid $pid ($(process_command "$pid" | cut -c 1-80))"
        found+=("$pid $(process_identity "$pid" || echo gone)")
        # All at the same time, because a server may wait for its clients.
        kill -TERM "$pid" 2>/dev/null || true
    done < <(grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null)
    for pid in ${found[@]+"${found[@]}"}; do stop_process "${pid% *}" "${pid#* }" 5 || true; done
    return 0
}

# start_child COMMAND…: runs COMMAND in the background in a process group of its own, so that stop_child can signal it
# with all of its children. One at a time.
CHILD_PID=''
start_child() {
    set -m
    "$@" </dev/null &
    CHILD_PID=$!
    set +m
}

# wait_child: waits for what start_child started; returns its exit code.
wait_child() {
    local code=0
    wait "$CHILD_PID" || code=$?
    CHILD_PID=''
    return "$code"
}

run_child() {
    start_child "$@"
    wait_child
}

stop_child() {
    [[ -n $CHILD_PID ]] || return 0
    kill -INT -- "-$CHILD_PID" 2>/dev/null || true
    local tries
    for ((tries = 100; tries > 0; tries--)); do
        kill -0 -- "-$CHILD_PID" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$CHILD_PID" 2>/dev/null || true
    CHILD_PID=''
}

# --- ports ----------------------------------------------------------------------------------------

# port_listeners PORT: a line "inode uid" for each listening socket on any address.
port_listeners() {
    local hex
    printf -v hex '%04X' "$1"
    awk -v suffix=":$hex\$" '$4 == "0A" && $2 ~ suffix { print $10, $8 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
}

port_is_taken() {
    if [[ -r /proc/net/tcp ]]; then
        [[ -n $(port_listeners "$1") ]]
    elif have lsof; then
        lsof -nP -iTCP:"$1" -sTCP:LISTEN -t >/dev/null 2>&1
    else
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
    fi
}

# port_pid PORT: the listening process, if visible to this user.
port_pid() {
    local inode
    if [[ -r /proc/net/tcp ]]; then
        read -r inode _ <<<"$(port_listeners "$1")" || true
        [[ -n ${inode:-} ]] || return 0
        find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\\[$inode\\]" 2>/dev/null | head -n 1 | cut -d/ -f3 || true
    elif have lsof; then
        lsof -nP -iTCP:"$1" -sTCP:LISTEN -t 2>/dev/null | head -n 1 || true
    fi
}

# port_holder PORT: "pid 4711 (nginx: nginx -g daemon off;)", or the user if the process is not visible.
port_holder() {
    local pid uid command name
    pid=$(port_pid "$1")
    if [[ -z $pid ]]; then
        read -r _ uid <<<"$(port_listeners "$1")" || true
        printf 'a process of user %s\n' "$(id -nu "${uid:-}" 2>/dev/null || echo "${uid:-unknown}")"
        return 0
    fi
    command=$(process_command "$pid")
    name=$(cat "/proc/$pid/comm" 2>/dev/null || basename "${command%% *}")
    printf 'pid %s (%s: %s)\n' "$pid" "$name" "$(printf '%.80s' "${command% }")"
}

# free_port: an unused port below the ephemeral range.
free_port() {
    local port tries
    for ((tries = 0; tries < 200; tries++)); do
        port=$((20000 + RANDOM % 10000))
        port_is_taken "$port" || { printf '%s\n' "$port"; return 0; }
    done
    fail 'found no free port between 20000 and 29999'
}

# --- HTTP -----------------------------------------------------------------------------------------

# http CURL-ARGUMENTS…: curl to loopback, ignoring proxies and curlrc.
http() { curl -q --noproxy '*' --silent --show-error "$@"; }
