#!/usr/bin/env bash
# Starts servers as managed ones are: PostgreSQL and Redis with TLS only, a set of Sentinels, or a Cluster; to try the
# development stack on them. Prints the settings:
#   eval "$(scripts/managed-servers.sh start tls)"       # or sentinel, or cluster
#   scripts/dev-services.sh start
#   scripts/managed-servers.sh fail                      # kills the master of the Sentinels, or one of the Cluster
#   scripts/dev-services.sh stop; scripts/managed-servers.sh stop
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib/base.sh
source "$ROOT/scripts/lib/base.sh"
# shellcheck source=scripts/lib/install.sh
source "$ROOT/scripts/lib/install.sh"
# shellcheck source=scripts/lib/servers.sh
source "$ROOT/scripts/lib/servers.sh"

# Outside of the checkout, which the user of PostgreSQL may not be able to enter.
HOME_DIR=${TMPDIR:-/tmp}/marquee-managed-$(printf '%s' "$ROOT" | cksum | cut -d ' ' -f 1)
PASSWORD=''
REDIS_CLI=''

# --- certificates ---------------------------------------------------------------------------------

# make_certificates: root.crt, and host.crt with host.key for this machine.
make_certificates() {
    local settings=$HOME_DIR/openssl.cnf
    printf '[req]\ndistinguished_name = name\n[name]\n[root]\nbasicConstraints = critical, CA:TRUE\n[host]\n%s\n%s\n' \
        'basicConstraints = critical, CA:FALSE' 'subjectAltName = IP:127.0.0.1, DNS:localhost' >"$settings"
    sign root root
    sign host host -CA "$HOME_DIR/root.crt" -CAkey "$HOME_DIR/root.key"
}

# sign NAME EXTENSIONS SIGNER…
sign() {
    openssl req -x509 -nodes -days 30 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -config "$HOME_DIR/openssl.cnf" \
        -extensions "$2" -subj "/CN=$1" -out "$HOME_DIR/$1.crt" -keyout "$HOME_DIR/$1.key" "${@:3}" 2>/dev/null
}

# --- Redis ----------------------------------------------------------------------------------------

# run_redis NAME ARGUMENTS…: starts a redis-server and records it.
run_redis() {
    local name=$1
    shift
    spawn_detached "$HOME_DIR/$name.log" "$REDIS_SERVER" "$@" --dir "$HOME_DIR"
    printf '%s %s %s\n' "$SPAWNED_PID" "$(process_identity "$SPAWNED_PID")" "$name" >>"$HOME_DIR/processes"
}

# tls_options PORT: the options of a server with TLS only.
tls_options() {
    printf '%s\n' --port 0 --tls-port "$1" --tls-cert-file "$HOME_DIR/host.crt" --tls-key-file "$HOME_DIR/host.key" \
        --tls-ca-cert-file "$HOME_DIR/root.crt" --tls-auth-clients no
}

cli() { "$REDIS_CLI" --no-auth-warning "$@" 2>/dev/null; }

# eventually COMMAND…: waits until it succeeds, at most 30 s.
eventually() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    fail "waited too long for: $*"
}

is_up() { [[ $(cli -p "$1" -a "$PASSWORD" "${@:2}" PING) == PONG ]]; }
has_quorum() { [[ $(cli -p "$1" SENTINEL CKQUORUM mymaster) == 'OK 3 '* && $(cli -p "$1" SENTINEL REPLICAS mymaster) ]]; }

# --- the kinds of servers ---------------------------------------------------------------------------

start_tls() {
    local port data=$HOME_DIR/postgres/data
    need_postgres
    PG_OS_USER=$(postgres_os_user "$HOME_DIR/postgres")
    mkdir -p "$HOME_DIR/postgres"
    cp "$HOME_DIR/host.crt" "$HOME_DIR/host.key" "$HOME_DIR/postgres/"
    printf '%s' "$PASSWORD" >"$HOME_DIR/postgres/password"
    printf 'hostssl all all all scram-sha-256\n' >"$HOME_DIR/postgres/hba"
    own_folder "$HOME_DIR/postgres"
    chmod 600 "$HOME_DIR/postgres/host.key"
    if is_root; then chown -R "$PG_OS_USER" "$HOME_DIR/postgres"; fi
    port=$(free_port)
    as_postgres "$PG_BIN/initdb" --pgdata="$data" --username=marquee --auth=scram-sha-256 \
        --pwfile="$HOME_DIR/postgres/password" --encoding=UTF8 --locale=C --lc-ctype="$(utf8_locale)" >"$HOME_DIR/initdb.log" 2>&1 ||
        fail "initdb failed; see $HOME_DIR/initdb.log (user $PG_OS_USER must be able to enter $HOME_DIR)"
    as_postgres "$PG_BIN/pg_ctl" start --pgdata="$data" --wait --silent --log="$HOME_DIR/postgres/log" -o "-p $port \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 -c hba_file=$HOME_DIR/postgres/hba \
        -c ssl=on -c ssl_cert_file=$HOME_DIR/postgres/host.crt -c ssl_key_file=$HOME_DIR/postgres/host.key" >/dev/null 2>&1 </dev/null ||
        fail "PostgreSQL did not start; see $HOME_DIR/postgres/log"
    printf 'export DATABASE_URL=%q\n' \
        "postgres://marquee:$PASSWORD@127.0.0.1:$port/postgres?sslmode=verify-full&sslrootcert=$HOME_DIR/root.crt"
    port=$(free_port)
    # shellcheck disable=SC2046 # words without blanks
    run_redis tls $(tls_options "$port") --requirepass "$PASSWORD" --save ''
    eventually is_up "$port" --tls --cacert "$HOME_DIR/root.crt"
    printf 'export REDIS_MODE=standalone REDIS_URL=%q REDIS_TLS_CA_CERT_FILE=%q\n' \
        "rediss://:$PASSWORD@127.0.0.1:$port" "$HOME_DIR/root.crt"
}

start_sentinel() {
    local master replica port ports='' number
    master=$(free_port)
    run_redis master --port "$master" --requirepass "$PASSWORD" --masterauth "$PASSWORD" --save ''
    eventually is_up "$master"
    replica=$(free_port)
    run_redis replica --port "$replica" --requirepass "$PASSWORD" --masterauth "$PASSWORD" --save '' --replicaof "127.0.0.1 $master"
    eventually is_up "$replica"
    for number in 1 2 3; do
        port=$(free_port)
        printf '%s\n' "port $port" "sentinel monitor mymaster 127.0.0.1 $master 2" "sentinel auth-pass mymaster $PASSWORD" \
            'sentinel down-after-milliseconds mymaster 1000' 'sentinel failover-timeout mymaster 5000' >"$HOME_DIR/sentinel-$number.conf"
        run_redis "sentinel-$number" "$HOME_DIR/sentinel-$number.conf" --sentinel
        eventually cli -p "$port" PING
        ports+=",127.0.0.1:$port"
    done
    eventually has_quorum "$port"
    printf 'export REDIS_MODE=sentinel REDIS_SENTINEL_MASTER=mymaster REDIS_TLS_CA_CERT_FILE= REDIS_URL=%q\n' \
        "redis://:$PASSWORD@${ports#,}"
}

start_cluster() {
    local port addresses=() number
    for number in 1 2 3 4 5 6; do
        port=$(free_port)
        # shellcheck disable=SC2046 # words without blanks
        run_redis "node-$number" $(tls_options "$port") --tls-cluster yes --tls-replication yes --requirepass "$PASSWORD" \
            --masterauth "$PASSWORD" --save '' --cluster-enabled yes --cluster-config-file "node-$number.conf" --cluster-node-timeout 2000
        eventually is_up "$port" --tls --cacert "$HOME_DIR/root.crt"
        addresses+=("127.0.0.1:$port")
    done
    cli -a "$PASSWORD" --tls --cacert "$HOME_DIR/root.crt" --cluster create "${addresses[@]}" --cluster-replicas 1 \
        --cluster-yes >"$HOME_DIR/cluster.log" || fail "the Cluster was not created; see $HOME_DIR/cluster.log"
    printf 'export REDIS_MODE=cluster REDIS_TLS_CA_CERT_FILE=%q REDIS_URL=%q\n' "$HOME_DIR/root.crt" \
        "rediss://:$PASSWORD@${addresses[0]},${addresses[1]},${addresses[2]}"
}

# --- commands -------------------------------------------------------------------------------------

start() {
    case ${1:-} in
    tls | sentinel | cluster) ;;
    *) fail "start takes tls, sentinel or cluster, not \"${1:-}\"" ;;
    esac
    [[ ! -e $HOME_DIR ]] || fail 'servers run already: scripts/managed-servers.sh stop'
    need_redis
    need_openssl
    REDIS_CLI=$(command -v redis-cli || command -v valkey-cli || true)
    [[ -n $REDIS_CLI ]] || fail 'redis-cli is missing; it is part of the packages of Redis'
    mkdir -m 711 "$HOME_DIR"
    PASSWORD=$(random_secret)
    make_certificates
    "start_$1"
    note "the servers run, their files are in $HOME_DIR"
}

# fail_master: kills the first master.
fail_master() {
    local pid identity name
    while read -r pid identity name; do
        case $name in
        master | node-1)
            [[ $(process_identity "$pid" || true) == "$identity" ]] || fail "$name does not run any more"
            kill -KILL "$pid"
            note "killed $name (pid $pid)"
            return
            ;;
        esac
    done <"$HOME_DIR/processes"
    fail 'neither Sentinels nor a Cluster run'
}

stop() {
    local pid identity name
    [[ -O $HOME_DIR ]] || fail 'no servers run'
    if [[ -s $HOME_DIR/postgres/data/postmaster.pid ]]; then
        find_postgres || fail 'PostgreSQL is not installed any more'
        PG_OS_USER=$(postgres_os_user "$HOME_DIR/postgres")
        as_postgres "$PG_BIN/pg_ctl" stop --pgdata="$HOME_DIR/postgres/data" --mode=fast --silent || true
    fi
    if [[ -s $HOME_DIR/processes ]]; then
        while read -r pid identity name; do
            stop_process "$pid" "$identity" 5 || warn "$name (pid $pid) had to be killed"
        done <"$HOME_DIR/processes"
    fi
    rm -rf "$HOME_DIR"
    note 'stopped'
}

case ${1:-} in
start) start "${2:-}" ;;
fail) fail_master ;;
stop) stop ;;
*) fail 'usage: scripts/managed-servers.sh start tls|sentinel|cluster, fail, or stop' ;;
esac
