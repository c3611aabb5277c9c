# shellcheck shell=bash
# Private PostgreSQL and Redis servers in one folder, on free loopback ports: persistent for the development stack,
# temporary for a test run. Never touches other servers.
#
# In:  SERVERS_DIR   folder of all files, accessible to its owner only
#      SERVERS_MARK  NAME=VALUE, set in the environment of started processes (see stop_marked)
#      SERVERS_KEEP  1: durable, with stable ports; 0: temporary, fast rather than durable
# Out: DATABASE_URL, REDIS_URL of the running servers; PSQL, a psql; POSTGRES_STARTED, REDIS_STARTED set if
#      this call starts them
# shellcheck disable=SC2034 # the results are read by the scripts that source this

SERVERS_DATABASE_USER=marquee

# --- remembered ports -----------------------------------------------------------------------------

# server_port NAME: its previous port if still free, else another free one.
server_port() {
    local port=''
    [[ ! -s $SERVERS_DIR/$1.port ]] || port=$(<"$SERVERS_DIR/$1.port")
    if [[ ! $port =~ ^[0-9]+$ ]] || port_is_taken "$port"; then port=$(free_port); fi
    printf '%s\n' "$port" | tee "$SERVERS_DIR/$1.port"
}

# server_password NAME: generated once, readable by the owner only, because other users can reach loopback ports.
server_password() {
    local file=$SERVERS_DIR/$1.password
    [[ -s $file ]] || (umask 077 && random_secret >"$file")
    cat "$file"
}

# --- PostgreSQL: user and folder --------------------------------------------------------

# postgres_os_user FOLDER: the unprivileged user that runs it, because PostgreSQL refuses to run as root: the owner of
# FOLDER if it has data already.
postgres_os_user() {
    is_root || return 0
    local user
    if [[ -d $1/data ]]; then owner_of "$1"; return; fi
    for user in postgres nobody; do
        id -u "$user" >/dev/null 2>&1 && { printf '%s\n' "$user"; return 0; }
    done
    fail 'PostgreSQL cannot run as root, and neither the user "postgres" nor "nobody" exists'
}

# shellcheck disable=SC2012 # stat's options differ between systems, ls's do not
owner_of() { ls -ld "$1" | awk '{ print $3 }'; }

# as_postgres COMMAND…: as that user, from a folder that it can enter.
as_postgres() {
    if ! is_root; then "$@"; return; fi
    local user=$PG_OS_USER
    if have setpriv; then
        (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@")
    elif have runuser; then
        (cd / && runuser -u "$user" -- "$@")
    else
        (cd / && su -s /bin/bash "$user" -c "$(printf '%q ' "$@")")
    fi
}

# choose_postgres_home: sets PG_HOME. That is SERVERS_DIR/postgres, unless we are root and the other user
# cannot enter it: then a folder outside, named after the checkout, with a pointer to it left here.
choose_postgres_home() {
    local pointer=$SERVERS_DIR/postgres.location
    PG_HOME=$SERVERS_DIR/postgres
    if [[ -s $pointer ]] && is_our_outside_home "$(<"$pointer")"; then PG_HOME=$(<"$pointer"); fi
    PG_OS_USER=$(postgres_os_user "$PG_HOME")
    own_folder "$PG_HOME"
    if ! as_postgres test -w "$PG_HOME"; then move_postgres_outside "$pointer"; fi
}

move_postgres_outside() {
    rmdir "$PG_HOME" || fail "user $PG_OS_USER cannot enter $PG_HOME any more, and there is data in it." \
        'Let that user pass through the folders above, or give the data up: scripts/dev-services.sh reset'
    PG_HOME=$(outside_home)
    if [[ -e $PG_HOME ]]; then drop_outside_home; fi
    own_folder "$PG_HOME"
    printf '%s\n' "$SERVERS_DIR" >"$PG_HOME/made-for"
    printf '%s\n' "$PG_HOME" >"$1"
    note "user $PG_OS_USER cannot enter $SERVERS_DIR: PostgreSQL's data goes to $PG_HOME"
}

own_folder() {
    mkdir -p "$1"
    chmod 700 "$1"
    if is_root; then chown "$PG_OS_USER" "$1"; fi
}

outside_home() {
    local parent=/var/lib
    as_postgres test -x "$parent" || parent=/var/tmp
    printf '%s/marquee-dev-%s\n' "$parent" "$(printf '%s' "$SERVERS_DIR" | cksum | cut -d ' ' -f 1)"
}

is_our_outside_home() { [[ -f $1/made-for && $(<"$1/made-for") == "$SERVERS_DIR" ]]; }

# drop_outside_home: removes the data of a .dev folder that was deleted manually, and its password with it.
drop_outside_home() {
    is_our_outside_home "$PG_HOME" || fail "$PG_HOME exists and does not belong to this checkout. Move it, then try again."
    note "removing $PG_HOME, left over from a .dev that was removed"
    if postgres_pid >/dev/null; then postgres_stop INT; fi
    rm -rf "$PG_HOME"
}

# --- PostgreSQL: the server -------------------------------------------------------------------------

postgres_pid() {
    local pid=''
    [[ -r $PG_HOME/data/postmaster.pid ]] && read -r pid <"$PG_HOME/data/postmaster.pid"
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    process_identity "$pid" >/dev/null || return 1
    # After a crash or reboot the pid may belong to another process.
    [[ $(process_command "$pid") == *"$PG_HOME/data"* ]] || return 1
    printf '%s\n' "$pid"
}

postgres_running_port() { sed -n 4p "$PG_HOME/data/postmaster.pid" 2>/dev/null; }

# need_postgres_for_data: requires the version that wrote the data in PG_HOME, if there is any.
need_postgres_for_data() {
    if [[ -s $PG_HOME/data/PG_VERSION ]]; then need_postgres "$(<"$PG_HOME/data/PG_VERSION")"; else need_postgres; fi
}

# utf8_locale: a UTF-8 locale for character classes; collation is C everywhere, so that order is the same on every
# machine.
utf8_locale() {
    local name
    for name in C.UTF-8 C.utf8 en_US.UTF-8 en_US.utf8 UTF-8; do
        locale -a 2>/dev/null | grep -qxF "$name" && { printf '%s\n' "$name"; return 0; }
    done
    printf 'C\n'
}

postgres_init() {
    local password_file=$PG_HOME/password log=$SERVERS_DIR/initdb.log sync=''
    [[ $SERVERS_KEEP == 1 ]] || sync=--no-sync
    rm -rf "$PG_HOME/data.new"
    (umask 077 && server_password postgres >"$password_file")
    if is_root; then chown "$PG_OS_USER" "$password_file"; fi
    # shellcheck disable=SC2086 # an empty $sync is dropped on purpose
    if ! as_postgres "$PG_BIN/initdb" --pgdata="$PG_HOME/data.new" --username="$SERVERS_DATABASE_USER" \
        --auth=scram-sha-256 --pwfile="$password_file" --encoding=UTF8 --locale=C --lc-ctype="$(utf8_locale)" \
        $sync >"$log" 2>&1 </dev/null; then
        rm -f "$password_file"
        show_log_end "$log"
        fail "PostgreSQL could not create its data folder; the whole log is $log"
    fi
    rm -f "$password_file" "$log"
    printf "include = 'marquee.conf'\n" >>"$PG_HOME/data.new/postgresql.conf"
    mv "$PG_HOME/data.new" "$PG_HOME/data"
}

postgres_configure() {
    {
        printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = ''\n" "$1"
        printf "max_connections = 300\nshared_buffers = 128MB\nlogging_collector = off\n"
        [[ $SERVERS_KEEP == 1 ]] || printf 'fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n'
    } >"$PG_HOME/data/marquee.conf"
    if is_root; then chown "$PG_OS_USER" "$PG_HOME/data/marquee.conf"; fi
}

# postgres_launch: returns 0 if it responds, 1 otherwise.
postgres_launch() {
    if ! postgres_pid >/dev/null; then rm -f "$PG_HOME/data/postmaster.pid"; fi
    as_postgres env "$SERVERS_MARK" "$PG_BIN/pg_ctl" start --pgdata="$PG_HOME/data" --wait --timeout=60 --silent \
        --log="$PG_HOME/postgres.log" >/dev/null 2>&1 </dev/null
}

# postgres_start: creates the cluster if needed, starts it if it is not running, sets DATABASE_URL.
postgres_start() {
    local port tries
    # Installing comes first, because it may create the user that choose_postgres_home needs.
    find_postgres || need_postgres
    choose_postgres_home
    need_postgres_for_data
    if ! postgres_pid >/dev/null; then
        [[ -s $PG_HOME/data/PG_VERSION ]] || postgres_init
        for tries in 1 2 3; do
            port=$(server_port postgres)
            postgres_configure "$port"
            rotate_log "$PG_HOME/postgres.log"
            POSTGRES_STARTED=1
            if postgres_launch; then break; fi
            # The port may have been taken meanwhile; other failures are permanent.
            if ((tries == 3)) || ! grep -qs 'could not bind' "$PG_HOME/postgres.log"; then
                show_log_end "$PG_HOME/postgres.log"
                fail "PostgreSQL did not start; the whole log is $PG_HOME/postgres.log"
            fi
        done
    fi
    port=$(postgres_running_port)
    DATABASE_URL="postgres://$SERVERS_DATABASE_USER:$(server_password postgres)@127.0.0.1:$port/postgres"
    PSQL=$PG_BIN/psql
}

# postgres_stop MODE: INT (fast: ends sessions, keeps everything) or QUIT (immediate); only ours, verified by identity. Waits.
postgres_stop() {
    local pid identity tries
    pid=$(postgres_pid) || return 0
    identity=$(process_identity "$pid") || return 0
    kill "-$1" "$pid" 2>/dev/null || true
    for ((tries = 600; tries > 0; tries--)); do
        [[ $(process_identity "$pid" || true) == "$identity" ]] || return 0
        sleep 0.1
    done
    warn "PostgreSQL (pid $pid) did not stop within 60 s; its log is $PG_HOME/postgres.log"
}

# rotate_log FILE: keeps the previous log as FILE.1, so that FILE is about this run only.
rotate_log() { if [[ -s $1 ]]; then mv -f "$1" "$1.1"; fi; }

# --- databases -----------------------------------------------------------------

# url_for_database URL NAME: the same server, another database (PostgreSQL) or number (Redis).
url_for_database() {
    local base=${1%%\?*} query='' rest
    [[ $1 != *\?* ]] || query="?${1#*\?}"
    rest=${base#*://}
    printf '%s://%s/%s%s\n' "${base%%://*}" "${rest%%/*}" "$2" "$query"
}

# without_password URL: for messages.
without_password() { printf '%s\n' "$1" | sed -E 's#^([a-z]+://[^:/@]*):[^@]*@#\1:…@#'; }

# query SQL: on the server of DATABASE_URL, one value or nothing.
query() {
    PGCONNECT_TIMEOUT=5 "$PSQL" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
        --dbname="$DATABASE_URL" --command="$1" </dev/null
}

# create_database NAME: creates it if missing.
create_database() {
    [[ $(query "select 1 from pg_database where datname = '$1'") == 1 ]] || query "create database $1"
}

# --- Redis --------------------------------------------------------------------------------------------

redis_configure() {
    (
        umask 077
        mkdir -p "$SERVERS_DIR/redis"
        {
            printf 'bind 127.0.0.1\nport %s\ndir "%s"\nrequirepass %s\n' "$1" "$SERVERS_DIR/redis" "$(server_password redis)"
            # Everything in Redis can be rebuilt, so nothing is written to disk.
            printf 'save ""\nappendonly no\ndaemonize no\n'
            # A process title would overwrite the environment that contains SERVERS_MARK.
            [[ $("$REDIS_SERVER" --version) == *v=6.[01].* ]] || printf 'set-proc-title no\n'
            [[ $SERVERS_KEEP != 1 ]] || printf 'maxmemory 256mb\nmaxmemory-policy allkeys-lru\n'
        } >"$SERVERS_DIR/redis/redis.conf"
    )
}

# redis_talk HOST PORT PASSWORD COMMAND: the first line of the reply, without redis-cli.
redis_talk() {
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        [[ -z $3 ]] || { printf 'AUTH %s\r\n' "$3" >&3 && read -r -t 2 _ <&3; }
        printf '%s\r\n' "$4" >&3
        read -r -t 2 line <&3
        printf '%s\n' "${line%$'\r'}"
    ) 2>/dev/null
}

redis_answers() { [[ $(redis_talk 127.0.0.1 "$1" "$(server_password redis)" PING) == +PONG ]]; }

# redis_pid: the pid in the record "pid identity port", if it is still the process that we started.
redis_pid() {
    local pid identity
    read -r pid identity _ 2>/dev/null <"$SERVERS_DIR/redis.process" || return 1
    [[ $(process_identity "$pid" || true) == "$identity" ]] || return 1
    printf '%s\n' "$pid"
}

redis_launch() {
    local port=$1 log=$SERVERS_DIR/redis.log pid tries
    redis_configure "$port"
    rotate_log "$log"
    spawn_detached "$log" env "$SERVERS_MARK" "$REDIS_SERVER" "$SERVERS_DIR/redis/redis.conf"
    pid=$SPAWNED_PID
    printf '%s %s %s\n' "$pid" "$(process_identity "$pid" || echo gone)" "$port" >"$SERVERS_DIR/redis.process"
    for ((tries = 0; tries < 100; tries++)); do
        process_identity "$pid" >/dev/null || return 1
        # Our process must be the one that replies; setsid has become redis-server by then.
        redis_answers "$port" && return 0
        sleep 0.1
    done
    return 1
}

# redis_start: starts it if it is not running, sets REDIS_URL.
redis_start() {
    local port tries
    need_redis
    if ! redis_pid >/dev/null; then
        for tries in 1 2 3; do
            port=$(server_port redis)
            REDIS_STARTED=1
            if redis_launch "$port"; then break; fi
            if ((tries == 3)) || ! grep -qs 'Address already in use' "$SERVERS_DIR/redis.log"; then
                show_log_end "$SERVERS_DIR/redis.log"
                fail "Redis did not start; the whole log is $SERVERS_DIR/redis.log"
            fi
        done
    fi
    redis_pid >/dev/null || fail "Redis stopped again; its log is $SERVERS_DIR/redis.log"
    read -r _ _ port <"$SERVERS_DIR/redis.process"
    REDIS_URL="redis://:$(server_password redis)@127.0.0.1:$port/0"
}

redis_stop() {
    local pid identity
    read -r pid identity _ 2>/dev/null <"$SERVERS_DIR/redis.process" || return 0
    stop_process "$pid" "$identity" 10 || warn "Redis (pid $pid) did not stop in time and was killed"
    rm -f "$SERVERS_DIR/redis.process"
}
