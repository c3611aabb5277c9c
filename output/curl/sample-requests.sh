#!/usr/bin/env bash
# Made by scripts/api-collection from openapi/marquee.json.
# Sends the requests of a first visit with curl, each of which uses the results of those before it; fails if one does.
# Usage: output/curl/sample-requests.sh [BASE_URL] [TOKEN]. The token must be an administrator's: with AUTH_MODE=mock any
# text is, otherwise `scripts/dev-services.sh token --admin` prints one.
set -euo pipefail

base_url=${1:-http://127.0.0.1:8080}
token=${2:-dev-token}
user_token=$token
username=anna-$(date +%s)
password='correct horse battery staple'
body=''
failures=0

# call TITLE TOKEN METHOD PATH [BODY]: sends a request and shows the response, which it keeps in `body`.
call() {
    local title=$1 authorization=$2 method=$3 path=$4 content=${5:-} status
    local options=(--silent --show-error --max-time 120 --request "$method" --write-out '\n%{http_code}')
    if [[ -n $authorization ]]; then options+=(--header "Authorization: Bearer $authorization"); fi
    if [[ -n $content ]]; then options+=(--header 'Content-Type: application/json' --data "$content"); fi
    printf '\n# %s\n%s %s %s\n' "$title" "$method" "$path" "$content"
    body=$(curl "${options[@]}" "$base_url$path")
    status=${body##*$'\n'}
    body=${body%$'\n'*}
    printf '%s %.600s\n' "$status" "$body"
    if [[ $status != 2?? ]]; then failures=$((failures + 1)); fi
}

# value NAME: the first value of this name in the last response.
value() { grep -o "\"$1\":[^,}]*" <<<"$body" | head -n 1 | sed -e 's/^[^:]*://' -e 's/"//g'; }

call Liveness '' GET /health
call 'Sync the most popular movies' "$token" POST '/api/v1/admin/sync?pages=1'
call 'List movies' "$user_token" GET '/api/v1/movies?page_size=3'
movie_id=$(value id)
call 'List movies' "$user_token" GET '/api/v1/movies?release_date_from=1990-01-01&release_date_to=2029-12-31&sort_by=release_date'
movie_id=$(value id)
call 'Get a movie' "$user_token" GET "/api/v1/movies/${movie_id}?include=credits%2Cproviders"
call 'Search movies' "$user_token" GET '/api/v1/search?q=matrix'
call 'Sign up' '' POST /api/v1/users "{\"username\": \"${username}\", \"email\": \"${username}@example.org\", \"password\": \"${password}\"}"
user_id=$(value id)
call 'Log in' '' POST /api/v1/auth/token "{\"password\": \"${password}\", \"username\": \"${username}\"}"
user_token=$(value access_token)
call 'Get a user' "$user_token" GET "/api/v1/users/${user_id}"
call 'Set preferences' "$user_token" POST "/api/v1/users/${user_id}/preferences" '{"min_rating": 6.5, "preferred_genres": ["Science Fiction", "Drama"], "preferred_language": "en"}'
call 'Get preferences' "$user_token" GET "/api/v1/users/${user_id}/preferences"
call 'Record an interaction' "$user_token" POST "/api/v1/users/${user_id}/interactions" "{\"interaction_type\": \"like\", \"movie_id\": ${movie_id}}"
call 'Set a bookmark' "$user_token" PUT "/api/v1/users/${user_id}/bookmarks/${movie_id}"
call 'Set a rating' "$user_token" PUT "/api/v1/users/${user_id}/ratings/${movie_id}" '{"rating": 4.5}'
call 'List interactions' "$user_token" GET "/api/v1/users/${user_id}/interactions"
call 'Recommend movies to a user' "$user_token" GET "/api/v1/users/${user_id}/recommendations?limit=10&explain=true"
list_id=$(value list_id)
call 'Get a list again' "$user_token" GET "/api/v1/recommendations/${list_id}"
call 'Get a taste profile' "$user_token" GET "/api/v1/users/${user_id}/taste"
call 'List the rules' "$user_token" GET /api/v1/rules

printf '\n%d requests, %d failed\n' 19 "$failures"
[[ $failures == 0 ]]
