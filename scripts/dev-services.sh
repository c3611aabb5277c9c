#!/usr/bin/env bash
# Runs all of Marquee on one machine for development; only Rust must be installed. Finds or installs PostgreSQL and
# Redis, runs private ones under .dev/, builds and starts the services, loads movies. `scripts/dev-services.sh help`
# lists the commands.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib/base.sh
source "$ROOT/scripts/lib/base.sh"
# shellcheck source=scripts/lib/install.sh
source "$ROOT/scripts/lib/install.sh"
# shellcheck source=scripts/lib/servers.sh
source "$ROOT/scripts/lib/servers.sh"
# shellcheck source=scripts/lib/stack.sh
source "$ROOT/scripts/lib/stack.sh"

DEV=$ROOT/.dev
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=''
SERVERS_DIR=$DEV/servers
SERVERS_KEEP=1
STACK_MARK=MARQUEE_DEV_STACK=$DEV
SERVERS_MARK=$STACK_MARK

AUTH=''
PROFILE=''
NO_BUILD=''
LOCKED=''
STARTED_NOW=''
START_DONE=''
NOTHING_RAN=''
POSTGRES_STARTED=''
REDIS_STARTED=''

usage() {
    cat <<'TEXT'
scripts/dev-services.sh COMMAND

  start [--auth mock|jwt] [--release] [--no-build]
                            servers, build, services, movies; does nothing for parts that already run.
                            --release: fully optimized programs, for measurements; their build takes three
                            times as long, and scripts/test.sh cannot use it
  stop                      stops all processes; the data is kept
  restart [--auth mock|jwt] [--release]
                            stop, then start, with the same authentication and build by default
  status                    service, pid, port, memory, uptime, readiness (exit code 0 if all are ready)
  logs [SERVICE] [-f]       the end of the logs; -f follows them
  sync                      fetches the movies again, with progress
  movielens FILE [--audience N] [--links FILE] [--accept-licence] [--dry-run]
                            fits a base model to a MovieLens set (directory or zip archive, fetched by you), which
                            ranks until your own users have done enough; --audience also loads N of its users, to try
                            out charts and experiments
  movielens remove          removes the base model, and the audience with all that it did
  token [--admin] [--user ID]  prints a token for the gateway (default: user 1)
  admin grant|revoke NAME   grants or revokes the role of administrator
  keys rotate               creates a new key for signing tokens
  servers                   starts only PostgreSQL and Redis, and prints their URLs
  reset                     stop, then delete all data under .dev/
  help                      prints this text

Settings come from the environment, then from .env (see .env.example), among them:
  GATEWAY_PORT, MOVIE_SERVICE_PORT, PREFERENCE_SERVICE_PORT, RECOMMENDATION_SERVICE_PORT, DEMO_TMDB_PORT
  DATABASE_URL, REDIS_URL   existing servers instead of private ones; the three databases are created there
  TMDB_API_KEY              movies from TMDB instead of the demo catalogue
  MARQUEE_NO_INSTALL=1      never install packages; report missing ones instead
TEXT
}

# --- settings, folders, one run at a time -----------------------------------------------------------

# load_env_file: exports the variables of .env that the environment does not have.
load_env_file() {
    local line name value
    [[ -f $ROOT/.env ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
        name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]%$'\r'}
        [[ -z ${!name+set} ]] || continue
        case $value in
        \"*\"*) value=${value#\"} value=${value%%\"*} ;;
        \'*\'*) value=${value#\'} value=${value%%\'*} ;;
        *) value=${value%%[[:space:]]#*} value=${value%"${value##*[![:space:]]}"} ;;
        esac
        export "$name=$value"
    done <"$ROOT/.env"
}

prepare_folders() {
    local mode=700
    # The user of PostgreSQL, if we are root, may only traverse it.
    if is_root; then mode=711; fi
    mkdir -p "$DEV" "$SERVERS_DIR"
    chmod "$mode" "$DEV" "$SERVERS_DIR"
    mkdir -p "$DEV/run" "$DEV/logs"
    chmod 700 "$DEV/run" "$DEV/logs"
}

# take_lock: prevents two runs from starting and stopping the same processes.
take_lock() {
    local pid identity
    [[ -z $LOCKED ]] || return 0
    prepare_folders
    if ! mkdir "$DEV/lock" 2>/dev/null; then
        read -r pid identity 2>/dev/null <"$DEV/lock/owner" || { sleep 0.5 && read -r pid identity 2>/dev/null <"$DEV/lock/owner"; } || pid=0
        if [[ $pid != 0 && $(process_identity "$pid" || true) == "$identity" ]]; then
            fail "another scripts/dev-services.sh is running here (pid $pid)"
        fi
    fi
    mkdir -p "$DEV/lock"
    printf '%s %s\n' "$$" "$(process_identity $$)" >"$DEV/lock/owner"
    LOCKED=1
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    trap at_exit EXIT
}

# at_exit: a failed or interrupted start stops everything that it started.
at_exit() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    stop_child
    if [[ $START_DONE == no ]]; then undo_start "$code"; fi
    if [[ -n $LOCKED ]]; then rm -rf "$DEV/lock"; fi
    exit "$code"
}

undo_start() {
    [[ -n $STARTED_NOW$POSTGRES_STARTED$REDIS_STARTED ]] || return 0
    locate_servers
    if (($1 > 128)); then step 'interrupted: stopping what this run started'; else step 'stopping what this run started'; fi
    # shellcheck disable=SC2086 # names are meant to be split
    stop_services $STARTED_NOW
    if [[ -n $REDIS_STARTED ]]; then redis_stop && note 'Redis stopped'; fi
    if [[ -n $POSTGRES_STARTED ]]; then postgres_stop INT && note 'PostgreSQL stopped'; fi
    # Processes that were started but not yet recorded when the signal arrived.
    if [[ -n $NOTHING_RAN ]]; then stop_marked "$STACK_MARK"; fi
}

remembered() { cat "$DEV/$1" 2>/dev/null || true; }

# choose_auth: the command line, else the running mode, else the setting, else mock.
choose_auth() {
    if [[ -z $AUTH ]] && running gateway; then AUTH=$(remembered auth-mode); fi
    AUTH=${AUTH:-${AUTH_MODE:-mock}}
    case $AUTH in
    mock | jwt) ;;
    *) fail "AUTH_MODE is \"$AUTH\", but must be mock or jwt" ;;
    esac
}

# choose_profile: the command line, else that of the running programs, else cargo's dev, which scripts/test.sh shares.
choose_profile() {
    if [[ -z $PROFILE ]] && running gateway; then PROFILE=$(remembered profile); fi
    PROFILE=${PROFILE:-dev}
    BIN=$(programs "$PROFILE")
}

# programs PROFILE: the folder of its programs.
programs() {
    local profile=${1:-dev}
    printf '%s/%s\n' "$TARGET" "${profile/#dev/debug}"
}

# --- servers --------------------------------------------------------------------------------------

start_servers() {
    step 'PostgreSQL and Redis'
    if [[ -n ${DATABASE_URL:-} ]]; then use_given_postgres; else use_own_postgres; fi
    if [[ -n ${REDIS_URL:-} ]]; then use_given_redis; else use_own_redis; fi
    local name
    for name in movie_service user_preference_service recommendation_service; do
        create_database "$name" || fail "could not make the database $name on $(without_password "$DATABASE_URL")"
    done
}

use_given_postgres() {
    local version
    need_psql
    version=$(query 'show server_version') || fail "DATABASE_URL is set, but $(without_password "$DATABASE_URL") cannot be used (see above)"
    at_least "$version" "$POSTGRES_MIN" || fail "DATABASE_URL leads to PostgreSQL $version; at least $POSTGRES_MIN is needed"
    without_password "$DATABASE_URL" >"$DEV/given-postgres"
    note "PostgreSQL $version at $(without_password "$DATABASE_URL") (DATABASE_URL)"
}

use_own_postgres() {
    rm -f "$DEV/given-postgres"
    postgres_start
    if [[ -n $POSTGRES_STARTED ]]; then date +%s >"$SERVERS_DIR/postgres.since"; fi
    note "PostgreSQL $(postgres_version "$PG_BIN") at 127.0.0.1:$(postgres_running_port), data in $PG_HOME"
}

use_given_redis() {
    without_password "$REDIS_URL" >"$DEV/given-redis"
    note "Redis at $(without_password "$REDIS_URL") (REDIS_URL)"
    given_redis_answers || warn 'it does not respond; the services run without it, only slower'
}

given_redis_answers() {
    local rest=${REDIS_URL#*://} login='' address
    # Encrypted connections, Unix sockets, Sentinels and Clusters are for the services to check.
    [[ $REDIS_URL == redis://* && ${REDIS_MODE:-standalone} == standalone ]] || return 0
    rest=${rest%%/*}
    [[ $rest != *@* ]] || login=${rest%@*}
    address=${rest##*@}
    [[ $address == *:* ]] || address=$address:6379
    login=${login#:}
    [[ $(redis_talk "${address%:*}" "${address##*:}" "${login/:/ }" PING) == +PONG ]]
}

use_own_redis() {
    rm -f "$DEV/given-redis"
    redis_start
    if [[ -n $REDIS_STARTED ]]; then date +%s >"$SERVERS_DIR/redis.since"; fi
    note "Redis $("$REDIS_SERVER" --version | sed -E 's/.* v=([0-9.]+).*/\1/') at 127.0.0.1:$(<"$SERVERS_DIR/redis.port")"
}

# locate_servers: sets PG_HOME of the private PostgreSQL without creating it.
locate_servers() {
    PG_HOME=$SERVERS_DIR/postgres
    if [[ -s $SERVERS_DIR/postgres.location ]] && is_our_outside_home "$(<"$SERVERS_DIR/postgres.location")"; then
        PG_HOME=$(<"$SERVERS_DIR/postgres.location")
    fi
}

# --- start ----------------------------------------------------------------------------------------

# begin_clean: stops leftover processes of a .dev folder that was deleted manually.
begin_clean() {
    local name
    locate_servers
    for name in $SERVICES; do running "$name" && return 0; done
    if postgres_pid >/dev/null || redis_pid >/dev/null; then return 0; fi
    NOTHING_RAN=1
    stop_marked "$STACK_MARK"
}

# start_build: in the background, while the servers are installed and started.
start_build() {
    [[ -z $NO_BUILD ]] || return 0
    step "building (profile $PROFILE; the first build takes some minutes)"
    # There are no examples. With this flag cargo unifies the features as for tests, which therefore compile none of the
    # dependencies again.
    start_child cargo build --profile "$PROFILE" --workspace --bins --examples --manifest-path "$ROOT/Cargo.toml"
}

finish_build() {
    [[ -z $NO_BUILD ]] || return 0
    wait_child || fail 'the build failed: see above'
}

# start_services: starts those that do not run, and restarts the gateway if its authentication changes.
start_services() {
    local name
    step "starting the services (AUTH_MODE=$AUTH)"
    if running gateway && [[ $(remembered auth-mode) != "$AUTH" ]]; then
        note "the gateway restarts: it ran with AUTH_MODE=$(remembered auth-mode)"
        stop_services gateway
    fi
    if ! uses_demo_tmdb && running demo-tmdb; then warn 'demo-tmdb still serves movies; restart to use your TMDB_API_KEY'; fi
    printf '%s\n' "$AUTH" >"$DEV/auth-mode"
    printf '%s\n' "$PROFILE" >"$DEV/profile"
    for name in $(wanted_services); do
        [[ -x $BIN/$name ]] || fail "$BIN/$name is missing"
        running "$name" || launch_service "$name"
    done
    for name in $(wanted_services); do
        wait_until_ready "$name"
        if is_outdated "$name"; then warn "$name runs an older build; scripts/dev-services.sh restart takes the new one"; fi
    done
}

start() {
    take_lock
    choose_auth
    choose_profile
    START_DONE=no
    step 'checking requirements'
    need_build_tools
    begin_clean
    # shellcheck disable=SC2046 # names are meant to be split
    check_ports $(wanted_services)
    start_build
    start_servers
    finish_build
    local since=$SECONDS
    start_services
    note "ready after $((SECONDS - since)) s"
    first_films
    demo_user
    START_DONE=yes
    show_how_to_use
}

servers() {
    take_lock
    START_DONE=no
    begin_clean
    start_servers
    START_DONE=yes
    printf 'DATABASE_URL=%s\nREDIS_URL=%s\n' "$DATABASE_URL" "$REDIS_URL"
}

# --- movies, a user, a token -------------------------------------------------------------------------

# mint_token ROLE USER: issued by the gateway. In mock mode any text is accepted.
mint_token() {
    AUTH=$(remembered auth-mode)
    if [[ ${AUTH:-mock} == mock ]]; then echo dev-token; return; fi
    local REDIS_URL=${REDIS_URL:-redis://127.0.0.1/0}
    service_settings gateway
    (cd "$ROOT" && env "${SETTINGS[@]}" "$BIN/gateway" token --role "$1" --subject "$2" --ttl-seconds 86400) ||
        fail "the gateway could not issue a token; is it built? ($BIN/gateway)"
}

token() {
    local role=user subject=1
    while (($# > 0)); do
        case $1 in
        --admin) role='admin' ;;
        --user) subject=${2:?--user needs an id} && shift ;;
        *) fail "token takes --admin and --user ID, not \"$1\"" ;;
        esac
        shift
    done
    mint_token "$role" "$subject"
}

# preference_service COMMAND…: runs a command of the service with its settings.
preference_service() {
    choose_auth
    start_servers >/dev/null 2>&1 || fail 'PostgreSQL did not start; scripts/dev-services.sh servers shows the reason'
    service_settings preference-service
    (cd "$ROOT" && env "${SETTINGS[@]}" "$BIN/preference-service" "$@")
}

# recommendation_service COMMAND…: as preference_service.
recommendation_service() {
    start_servers >/dev/null 2>&1 || fail 'PostgreSQL did not start; scripts/dev-services.sh servers shows the reason'
    service_settings recommendation-service
    (cd "$ROOT" && env "${SETTINGS[@]}" "$BIN/recommendation-service" "$@")
}

# call METHOD PATH [CURL-ARGUMENTS…]: through the gateway as an administrator; sets STATUS and BODY.
call() {
    local method=$1 path=$2 answer
    shift 2
    answer=$(http --request "$method" --header "Authorization: Bearer $(mint_token admin 1)" --write-out '\n%{http_code}' \
        --max-time 130 ${1+"$@"} "$(service_url gateway)$path" 2>&1) || true
    STATUS=${answer##*$'\n'} BODY=${answer%$'\n'*}
}

# number_of NAME: a number field of BODY.
number_of() { printf '%s' "$BODY" | sed -n -E "s/.*\"$1\": *([0-9]+).*/\1/p" | head -n 1; }

# text_of NAME: a string field of BODY without escapes.
text_of() { printf '%s' "$BODY" | sed -n -E "s/.*\"$1\": *\"([^\"]*)\".*/\1/p" | head -n 1; }

# draw_progress: the progress of the job in BODY, as a bar on a terminal, else as dots.
draw_progress() {
    local done_now total width=40 filled
    done_now=$(number_of processed) total=$(number_of total)
    if [[ ! -t 2 ]]; then printf '.' >&2; return; fi
    if ((${total:-0} == 0)); then total=1; fi
    filled=$((${done_now:-0} * width / total))
    # The total is an estimate until all pages are read.
    if ((filled > width)); then filled=$width; fi
    printf '\r    [%s%s] %d of %d movies ' "$(repeat '#' "$filled")" "$(repeat ' ' $((width - filled)))" "${done_now:-0}" "$total" >&2
}

# repeat CHARACTER TIMES
repeat() {
    local text
    printf -v text '%*s' "$2" ''
    printf '%s' "${text// /$1}"
}

# follow_job ID: draws its progress until it ends, with its last state in BODY. TMDB allows forty movies a second.
follow_job() {
    local misses=0
    if [[ ! -t 2 ]]; then printf '    ' >&2; fi
    while :; do
        call GET "/api/v1/jobs/$1"
        if [[ $STATUS == 200 ]]; then
            misses=0
            draw_progress
            case $(text_of status) in pending | running) ;; *) break ;; esac
        elif ((++misses == 10)); then
            break
        fi
        # Within the gateway's rate limit.
        sleep 1
    done
    printf '\n' >&2
    [[ $STATUS == 200 && $(text_of status) == succeeded ]]
}

sync_films() {
    local pages=5 from=TMDB
    if uses_demo_tmdb; then pages=33 from='the demo catalogue'; fi
    step "fetching movies from $from ($pages pages)"
    call POST "/api/v1/admin/sync?pages=$pages" --header 'Prefer: respond-async'
    if [[ $STATUS == 409 ]]; then note 'a sync is already running'; fi
    if [[ $STATUS != 202 && $STATUS != 409 ]] || ! follow_job "$(text_of job_id)"; then
        note "the gateway returned $STATUS: $(printf '%.500s' "$BODY")"
        show_log_end "$(service_log movie-service)"
        warn "the movies could not be fetched. After correcting the cause run scripts/dev-services.sh sync"
        return 1
    fi
    note "$(number_of succeeded) movies"
    date +%s >"$DEV/synced"
}

first_films() {
    if [[ -s $DEV/synced ]]; then
        call GET '/api/v1/movies?page_size=1'
        [[ $STATUS != 200 || $(number_of total_results) != 0 ]] && return 0
    fi
    # The stack keeps running, for inspection and another try.
    sync_films || { START_DONE=yes && exit 1; }
}

sync() {
    running gateway || fail 'the stack is not running; scripts/dev-services.sh start starts it'
    sync_films || exit 1
}

# movielens FILE [OPTIONS] | remove
movielens() {
    local file='' audience='' dry_run='' options=()
    running recommendation-service || fail 'the stack is not running; scripts/dev-services.sh start starts it'
    if [[ ${1:-} == remove ]]; then
        (($# == 1)) || fail 'movielens remove takes no arguments'
        remove_movielens
        return
    fi
    while (($# > 0)); do
        case $1 in
        --audience) audience=${2:-} && shift ;;
        --audience=*) audience=${1#--audience=} ;;
        --links) options+=(--links "$(from_caller "${2:-}")") && shift ;;
        --links=*) options+=(--links "$(from_caller "${1#--links=}")") ;;
        --accept-licence) options+=("$1") ;;
        --dry-run) dry_run=$1 ;;
        -*) fail "movielens takes FILE, --audience N, --links FILE, --accept-licence and --dry-run, not \"$1\"" ;;
        *) file=$(from_caller "$1") ;;
        esac
        shift || fail 'an option of movielens needs a value'
    done
    [[ -n $file ]] || fail 'movielens needs the directory or zip archive of a MovieLens set, see https://grouplens.org/datasets/movielens/'
    [[ -z $audience || $audience =~ ^[1-9][0-9]*$ ]] || fail "--audience takes a number of users, not \"$audience\""
    step "fitting a base model to $file"
    recommendation_service train --base movielens --from "$file" ${options[@]+"${options[@]}"} ${dry_run:+"$dry_run"} ||
        fail 'the base model could not be fitted: see above'
    [[ -z $dry_run ]] || return 0
    note 'lists use it within two seconds; ?strategy=base shows it alone, ?explain=true its part of each score'
    if [[ -n $audience ]]; then load_audience; fi
}

# load_audience: loads $audience users of $file, then fits models to what they did.
load_audience() {
    step "loading an audience of $audience users"
    # The licence was accepted a moment ago.
    [[ " ${options[*]-} " == *' --accept-licence '* ]] || options+=(--accept-licence)
    date +%s >"$DEV/audience"
    recommendation_service audience --from "$file" --users "$audience" ${options[@]+"${options[@]}"} 2>"$DEV/logs/audience.log" |
        preference_service audience load || fail "the audience could not be loaded: see above, and $DEV/logs/audience.log"
    fit_own_models || fail 'the models could not be fitted: see above'
}

# fit_own_models [OPTIONS]: once recommendation-service has followed the last change.
fit_own_models() {
    local tries=120 statement='select count(*) from user_movie'
    step 'fitting models to what users did'
    while ((tries-- > 0)) && [[ $(in_database recommendation_service "$statement") != $(in_database user_preference_service "$statement") ]]; do
        sleep 1
    done
    recommendation_service train ${1+"$@"}
}

# in_database NAME QUERY
in_database() {
    local url
    url=$(url_for_database "$DATABASE_URL" "$1")
    DATABASE_URL=$url query "$2"
}

# delete_models KIND: deletes its versions that are not live.
delete_models() {
    local version
    for version in $(recommendation_service models list | sed -n -E "s/^ *([0-9]+) +$1 .* not live .*/\1/p"); do
        recommendation_service models delete "$version"
    done
}

remove_movielens() {
    local removed
    step 'removing the base model'
    recommendation_service models deactivate base
    delete_models base
    step 'removing the audience'
    removed=$(preference_service audience remove)
    note "$removed"
    # Models of own users that may have been fitted to it go too, in favour of one without it.
    if [[ -e $DEV/audience || ${removed%% *} != 0 ]]; then
        if ! fit_own_models --promote; then
            note 'own users have done too little for models of their own; content and the rules rank'
            recommendation_service models deactivate own
        fi
        delete_models own
        rm -f "$DEV/audience"
    fi
}

# from_caller PATH: relative to the folder that the command was given in.
from_caller() {
    case $1 in
    '') fail 'an option of movielens needs a file' ;;
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$CALLER/$1" ;;
    esac
}

# demo_user: creates a user for the examples.
demo_user() {
    [[ ! -s $DEV/demo-user ]] || return 0
    local password=''
    # Without mock mode an account needs one.
    if [[ $(remembered auth-mode) == jwt ]]; then password=",\"password\":\"$(kept_secret demo-password)\""; fi
    call POST /api/v1/users --header 'Content-Type: application/json' \
        --data "{\"username\":\"demo\",\"email\":\"demo@example.com\"$password}"
    case $STATUS in
    201) number_of id >"$DEV/demo-user" ;;
    # It exists already, in a database that outlived .dev.
    409) echo 1 >"$DEV/demo-user" ;;
    *) warn "the user \"demo\" could not be created: $STATUS $(printf '%.300s' "$BODY")" ;;
    esac
}

# example_movie: the id of a movie that the catalogue has.
example_movie() {
    local id
    for id in 27205 603; do
        call GET "/api/v1/movies/$id"
        [[ $STATUS != 200 ]] || { printf '%s\n' "$id"; return; }
    done
    call GET '/api/v1/movies?page_size=1'
    printf '%s' "$BODY" | sed -n -E 's/.*"data": *\[ *\{[^}]*"id": *([0-9]+).*/\1/p'
}

show_how_to_use() {
    local url api user token hint=''
    url=$(service_url gateway) api=$url/api/v1
    user=$(remembered demo-user) user=${user:-1}
    token=$(mint_token user "$user")
    if [[ $AUTH == mock ]]; then hint='  (any text is accepted: AUTH_MODE=mock)'; fi
    printf '\n%sMarquee runs.%s\n' "$BOLD" "$PLAIN"
    printf '  %-10s %s\n' 'Page' "$url/" 'API' "$api" 'Swagger' "$url/swagger/" 'Token' "$token$hint"
    printf '\nTry:\n'
    printf "  curl -H 'Authorization: Bearer %s' '%s'\n" \
        "$token" "$api/movies?page_size=3" \
        "$token" "$api/movies/$(example_movie)" \
        "$token" "$api/users/$user/recommendations?limit=3"
    printf '\n'
}

# --- stop, reset ------------------------------------------------------------------------------------

stop_everything() {
    step 'stopping'
    # shellcheck disable=SC2046 # names are meant to be split
    stop_services $(printf '%s\n' "$SERVICES" | tr ' ' '\n' | sed '1!G;h;$!d')
    locate_servers
    if redis_pid >/dev/null; then redis_stop && note 'Redis stopped'; fi
    if postgres_pid >/dev/null; then postgres_stop INT && note 'PostgreSQL stopped'; fi
    stop_marked "$STACK_MARK"
}

stop() {
    take_lock
    stop_everything
    note 'everything is stopped; the data is kept until reset'
}

reset() {
    local given
    take_lock
    stop_everything
    if postgres_pid >/dev/null; then fail 'PostgreSQL is still running: its data cannot be deleted'; fi
    given=$(remembered given-postgres)
    if [[ $PG_HOME != "$DEV"/* ]]; then rm -rf "$PG_HOME"; fi
    rm -rf "$DEV"
    LOCKED=''
    note "$DEV was deleted"
    if [[ -n $given ]]; then note "the databases on $given were not changed"; fi
}

restart() {
    AUTH=${AUTH:-$(remembered auth-mode)}
    PROFILE=${PROFILE:-$(remembered profile)}
    stop
    start
}

# --- status, logs -----------------------------------------------------------------------------------

status() {
    local name pid port state
    # Set by the rows below.
    STATUS_CODE=0
    locate_servers
    table_row SERVICE PID PORT MEMORY UPTIME STATE
    if [[ -s $DEV/given-postgres ]]; then
        table_row postgres - - - - "external: $(remembered given-postgres)"
    elif pid=$(postgres_pid); then
        port=$(postgres_running_port) state='does not respond'
        if find_postgres && "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$port" -t 2; then state=ready; fi
        server_row postgres "$pid" "$port" "$SERVERS_DIR/postgres.since" "$state"
    else
        state=stopped
        if [[ -s $PG_HOME/data/postmaster.pid ]]; then state='crashed; see: scripts/dev-services.sh logs postgres'; fi
        server_row postgres '' "$(cat "$SERVERS_DIR/postgres.port" 2>/dev/null || true)" '' "$state"
    fi
    port=$(cat "$SERVERS_DIR/redis.port" 2>/dev/null || true)
    if [[ -s $DEV/given-redis ]]; then
        table_row redis - - - - "external: $(remembered given-redis)"
    elif pid=$(redis_pid); then
        state='does not respond'
        if redis_answers "$port"; then state=ready; fi
        server_row redis "$pid" "$port" "$SERVERS_DIR/redis.since" "$state"
    else
        state=stopped
        if [[ -s $SERVERS_DIR/redis.process ]]; then state='crashed; see: scripts/dev-services.sh logs redis'; fi
        server_row redis '' "$port" '' "$state"
    fi
    for name in $SERVICES; do
        [[ $name != demo-tmdb ]] || uses_demo_tmdb || running demo-tmdb || continue
        service_row "$name"
    done
    return "$STATUS_CODE"
}

log_of() {
    case $1 in
    postgres) printf '%s/postgres.log\n' "$PG_HOME" ;;
    redis) printf '%s/redis.log\n' "$SERVERS_DIR" ;;
    *) service_log "$1" ;;
    esac
}

logs() {
    local follow='' name='' names="postgres redis $SERVICES" files=() lines=100
    while (($# > 0)); do
        case $1 in
        -f | --follow) follow=-F ;;
        *) name=$1 ;;
        esac
        shift
    done
    locate_servers
    if [[ -n $name ]]; then
        case " $names " in *" $name "*) ;; *) fail "unknown service \"$name\"; known are: $names" ;; esac
        names=$name
    else
        lines=20
    fi
    for name in $names; do
        [[ ! -f $(log_of "$name") ]] || files+=("$(log_of "$name")")
    done
    ((${#files[@]} > 0)) || fail "there is no log yet"
    # shellcheck disable=SC2086 # an empty $follow is meant to vanish
    exec tail -n "$lines" $follow "${files[@]}"
}

# --- the command line -------------------------------------------------------------------------------

read_start_options() {
    while (($# > 0)); do
        case $1 in
        --auth) AUTH=${2:-} && shift ;;
        --auth=*) AUTH=${1#--auth=} ;;
        --release) PROFILE=release ;;
        --no-build) NO_BUILD=1 ;;
        *) fail "start and restart take --auth mock|jwt, --release and --no-build, not \"$1\"" ;;
        esac
        case $AUTH in mock | jwt | '') ;; *) fail "--auth takes mock or jwt, not \"$AUTH\"" ;; esac
        shift || fail '--auth takes mock or jwt'
    done
}

main() {
    local command=${1:-help}
    shift || true
    load_env_file
    # Programs read .env in the folder they start in.
    CALLER=$PWD
    cd "$ROOT"
    BIN=$(programs "$(remembered profile)")
    case $command in
    start | restart)
        read_start_options ${1+"$@"}
        "$command"
        ;;
    logs | token | movielens) "$command" ${1+"$@"} ;;
    admin | keys) preference_service "$command" ${1+"$@"} ;;
    stop | status | sync | servers | reset)
        (($# == 0)) || fail "$command takes no arguments"
        "$command"
        ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        fail "unknown command \"$command\""
        ;;
    esac
}

main ${1+"$@"}
