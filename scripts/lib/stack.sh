# shellcheck shell=bash
# The programs of the development stack: their settings, start, readiness and stop. .dev/run has one file for each
# running program.
#
# shellcheck disable=SC2034 # the results are read by dev-services.sh
# In:  DEV  the .dev folder;  BIN  the folder of the built programs;  DATABASE_URL, REDIS_URL  the servers

# In start order.
SERVICES='demo-tmdb movie-service preference-service recommendation-service gateway'
START_TIMEOUT_SECONDS=${START_TIMEOUT_SECONDS:-60}

# --- settings -------------------------------------------------------------------------------------

# port_setting SERVICE: the name of its port setting.
port_setting() { printf '%s_PORT\n' "$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')"; }

service_port() {
    local setting
    setting=$(port_setting "$1")
    if [[ -n ${!setting:-} ]]; then printf '%s\n' "${!setting}"; return; fi
    case $1 in
    gateway) echo 8080 ;;
    movie-service) echo 8081 ;;
    preference-service) echo 8082 ;;
    recommendation-service) echo 8083 ;;
    demo-tmdb) echo 8090 ;;
    esac
}

service_url() { printf 'http://127.0.0.1:%s\n' "$(running_port "$1" || service_port "$1")"; }

# Without a TMDB key, movies come from the demo catalogue.
uses_demo_tmdb() { [[ -z ${TMDB_API_KEY:-} || $TMDB_API_KEY == demo ]]; }

wanted_services() {
    local name
    for name in $SERVICES; do
        [[ $name == demo-tmdb ]] && ! uses_demo_tmdb || printf '%s\n' "$name"
    done
}

# kept_secret NAME: generated once, readable by the owner only.
kept_secret() {
    local file=$DEV/secrets/$1
    [[ -s $file ]] || (umask 077 && mkdir -p "$DEV/secrets" && random_secret >"$file")
    cat "$file"
}

# service_settings SERVICE: sets SETTINGS, the variables added to its environment.
service_settings() {
    # NO_COLOR: their output goes to files.
    SETTINGS=("$STACK_MARK" NO_COLOR=1 SERVER_HOST=127.0.0.1 "SERVER_PORT=$(service_port "$1")"
        "INTERNAL_TOKEN=${INTERNAL_TOKEN:-$(kept_secret internal-token)}")
    case $1 in
    gateway)
        SETTINGS+=("AUTH_MODE=$AUTH" "JWT_SECRET=${JWT_SECRET:-$(kept_secret jwt-secret)}"
            "JWKS_URL=${JWKS_URL:-$(service_url preference-service)/.well-known/jwks.json}"
            "JWT_ISSUER=${JWT_ISSUER:-${PUBLIC_URL:-$(service_url gateway)}}" "JWT_AUDIENCE=${JWT_AUDIENCE:-marquee}"
            "MOVIE_SERVICE_URL=$(service_url movie-service)" "USER_PREFERENCE_SERVICE_URL=$(service_url preference-service)"
            "RECOMMENDATION_SERVICE_URL=$(service_url recommendation-service)" "REDIS_URL=$(url_for_database "$REDIS_URL" 0)")
        ;;
    movie-service)
        SETTINGS+=("DATABASE_URL=$(url_for_database "$DATABASE_URL" movie_service)" "REDIS_URL=$(url_for_database "$REDIS_URL" 1)"
            "USER_PREFERENCE_SERVICE_URL=$(service_url preference-service)"
            "RECOMMENDATION_SERVICE_URL=$(service_url recommendation-service)"
            "SEARCH_INDEX_DIR=${SEARCH_INDEX_DIR:-$DEV/search}" "IMAGE_CACHE_DIR=${IMAGE_CACHE_DIR:-$DEV/images}")
        if uses_demo_tmdb; then
            SETTINGS+=(TMDB_API_KEY=demo "TMDB_BASE_URL=$(service_url demo-tmdb)/3" "TMDB_IMAGE_BASE_URL=$(service_url demo-tmdb)/t/p"
                TMDB_RATE_LIMIT_PER_SECOND=1000)
        fi
        ;;
    preference-service)
        SETTINGS+=("AUTH_MODE=$AUTH" "DATABASE_URL=$(url_for_database "$DATABASE_URL" user_preference_service)"
            "REDIS_URL=$(url_for_database "$REDIS_URL" 2)" "MOVIE_SERVICE_URL=$(service_url movie-service)"
            "JWT_ISSUER=${JWT_ISSUER:-${PUBLIC_URL:-$(service_url gateway)}}" "JWT_AUDIENCE=${JWT_AUDIENCE:-marquee}"
            "PUBLIC_URL=${PUBLIC_URL:-$(service_url gateway)}"
            "SIGNING_KEY_SECRET=${SIGNING_KEY_SECRET:-$(kept_secret signing-key-secret)}")
        ;;
    recommendation-service)
        SETTINGS+=("DATABASE_URL=$(url_for_database "$DATABASE_URL" recommendation_service)"
            "REDIS_URL=$(url_for_database "$REDIS_URL" 3)" "MOVIE_SERVICE_URL=$(service_url movie-service)"
            "USER_PREFERENCE_SERVICE_URL=$(service_url preference-service)")
        ;;
    esac
}

# --- processes ------------------------------------------------------------------------------------

service_log() { printf '%s/logs/%s.log\n' "$DEV" "$1"; }

# running SERVICE: true if the process that was started still runs; sets RUN_PID, RUN_PORT and RUN_SINCE.
running() {
    local identity
    read -r RUN_PID identity RUN_PORT RUN_SINCE 2>/dev/null <"$DEV/run/$1" || return 1
    [[ $(process_identity "$RUN_PID" || true) == "$identity" ]]
}

running_port() { (running "$1" && printf '%s\n' "$RUN_PORT"); }

# is_outdated SERVICE: true if it was rebuilt after it was started.
is_outdated() { running "$1" && [[ $BIN/$1 -nt $DEV/run/$1 ]]; }

launch_service() {
    local name=$1 log
    log=$(service_log "$name")
    rotate_log "$log"
    service_settings "$name"
    STARTED_NOW="$name $STARTED_NOW"
    spawn_detached "$log" env "${SETTINGS[@]}" "$BIN/$name"
    printf '%s %s %s %s\n' "$SPAWNED_PID" "$(process_identity "$SPAWNED_PID" || echo gone)" \
        "$(service_port "$name")" "$(date +%s)" >"$DEV/run/$name"
}

# stop_services NAME…: sends TERM to all, then waits for each.
stop_services() {
    local name grace=$((${SHUTDOWN_GRACE_SECONDS:-20} + 5)) signalled=' '
    for name; do
        if running "$name"; then
            kill -TERM "$RUN_PID" 2>/dev/null || true
            signalled+="$name "
        fi
    done
    for name; do
        if running "$name"; then
            stop_process "$RUN_PID" "$(cut -d ' ' -f 2 "$DEV/run/$name")" "$grace" ||
                warn "$name did not stop within $grace s and was killed; its log is $(service_log "$name")"
        fi
        # One that ended while an earlier one was awaited was stopped by us as well.
        case $signalled in *" $name "*) note "$name stopped" ;; esac
        rm -f "$DEV/run/$name"
    done
}

# --- readiness -----------------------------------------------------------------------------

# readiness SERVICE: returns 0 if it is ready; prints "ready" or the reason.
readiness() {
    local answer status
    running "$1" || { echo 'stopped'; return 1; }
    if ! answer=$(http --max-time 3 --write-out '\n%{http_code}' "http://127.0.0.1:$RUN_PORT/health/ready" 2>/dev/null); then
        echo 'does not respond'
        return 1
    fi
    status=${answer##*$'\n'}
    answer=$(failing_dependencies "$answer")
    case $status in
    200) echo "ready${answer:+, without $answer}" ;;
    *)
        echo "not ready: ${answer:-status $status}"
        return 1
        ;;
    esac
}

# failing_dependencies JSON: "redis (connection refused), postgres (…)" of a health report.
failing_dependencies() {
    printf '%s' "$1" | tr -d '\n' | awk 'BEGIN { RS = "{" } {
        if (!match($0, /"name":"[^"]*"/)) next
        name = substr($0, RSTART + 8, RLENGTH - 9)
        if (!match($0, /"status":"[^"]*"/)) next
        status = substr($0, RSTART + 10, RLENGTH - 11)
        if (status == "ok") next
        printf "%s%s (%s)", separator, name, status
        separator = ", "
    }'
}

# wait_until_ready SERVICE: fails with the end of its log if it exits or takes too long.
wait_until_ready() {
    local name=$1 deadline=$((SECONDS + START_TIMEOUT_SECONDS)) state log
    log=$(service_log "$name")
    until state=$(readiness "$name"); do
        if ! running "$name"; then
            show_log_end "$log"
            fail "$name exited during its start; the whole log is $log"
        fi
        if ((SECONDS >= deadline)); then
            show_log_end "$log"
            fail "$name is not ready after $START_TIMEOUT_SECONDS s ($state); the whole log is $log"
        fi
        sleep 0.1
    done
    note "$(printf '%-23s %s  %s' "$name" "$(service_url "$name")" "$state")"
}

# --- ports ----------------------------------------------------------------------------------------

# check_ports NAME…: fails with the process that holds a required port, and the setting that changes it.
check_ports() {
    local name port taken=() example=''
    for name; do
        running "$name" && continue
        port=$(service_port "$name")
        if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
            fail "$(port_setting "$name")=$port is not a port number from 1 to 65535"
        fi
        port_is_taken "$port" || continue
        taken+=("port $port, wanted for $name, is taken by $(port_holder "$port")")
        example="$example$(port_setting "$name")=$((port + 1000)) "
    done
    ((${#taken[@]} == 0)) || fail 'ports are in use:' "${taken[@]}" \
        'Stop those, or choose other ports, here or in .env:' "${example}scripts/dev-services.sh start"
}

# --- the table ------------------------------------------------------------------------------------

duration() {
    local s=$1
    if ((s < 60)); then printf '%ds\n' "$s"
    elif ((s < 3600)); then printf '%dm %02ds\n' $((s / 60)) $((s % 60))
    elif ((s < 86400)); then printf '%dh %02dm\n' $((s / 3600)) $((s % 3600 / 60))
    else printf '%dd %02dh\n' $((s / 86400)) $((s % 86400 / 3600)); fi
}

# table_row NAME PID PORT MEMORY UPTIME STATE: the state comes last, because a reason may be long.
table_row() { printf '%-23s %8s %6s %10s %9s  %s\n' "$@"; }

service_row() {
    local state
    state=$(readiness "$1") || STATUS_CODE=1
    if ! running "$1"; then
        [[ ! -f $DEV/run/$1 ]] || state="died; see: scripts/dev-services.sh logs $1"
        table_row "$1" - "$(service_port "$1")" - - "$state"
        return
    fi
    if is_outdated "$1"; then state="$state (older than the build: restart)"; fi
    table_row "$1" "$RUN_PID" "$RUN_PORT" "$(process_memory_mib "$RUN_PID")" "$(duration $(($(date +%s) - RUN_SINCE)))" "$state"
}

# server_row NAME PID PORT SINCE-FILE STATE
server_row() {
    [[ $5 == ready ]] || STATUS_CODE=1
    if [[ -z $2 ]]; then table_row "$1" - "${3:--}" - - "$5"; return; fi
    table_row "$1" "$2" "$3" "$(process_memory_mib "$2")" "$(duration $(($(date +%s) - $(cat "$4" 2>/dev/null || date +%s))))" "$5"
}
