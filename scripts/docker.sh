#!/usr/bin/env bash
# Runs a command with a Docker daemon at hand:
#   scripts/docker.sh run make something
# A daemon that answers (at DOCKER_HOST, where that is set) is used as it is. Otherwise, as root, one is started for as
# long as the command runs; several such runs share it, and the last one stops it. What is missing is installed with
# apt-get where that is possible. Without root the command runs all the same, after a word on what is missing; with
# CI set that is an error.
set -euo pipefail

usage="usage: docker.sh run COMMAND..."
[[ ${1:-} == run && $# -ge 2 ]] || { echo "$usage" >&2; exit 2; }
shift

STATE=/run/agentgym-docker # of the daemon that this script starts
LOG=$STATE/dockerd.log
START_S=60                 # seconds a daemon gets to answer
STOP_S=30                  # and to end
declare -A NEEDED=(
    [dockerd]=docker.io [docker-compose]=docker-compose [iptables]=iptables [debootstrap]=debootstrap [bwrap]=bubblewrap
)
PLUGINS=/usr/libexec/docker/cli-plugins # where some versions of docker-compose are, and nowhere else

say() { echo "docker.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# Asks the daemon for a sign of life. Debian's newer packages bring the daemon without the docker command.
answers() {
    if command -v docker >/dev/null; then
        timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
    else
        timeout 10 python3 - "${DOCKER_HOST:-unix:///var/run/docker.sock}" 2>/dev/null <<'PYTHON'
import http.client, socket, sys
kind, _, place = sys.argv[1].partition("://")
connection = http.client.HTTPConnection("docker" if kind == "unix" else place)
if kind == "unix":
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(place)
connection.request("GET", "/_ping")
sys.exit(connection.getresponse().status != 200)
PYTHON
    fi
}

# Installs the Debian packages whose programs are not there.
install_missing() {
    local program packages=()
    for program in "${!NEEDED[@]}"; do
        command -v "$program" >/dev/null || [[ -x $PLUGINS/$program ]] || packages+=("${NEEDED[$program]}")
    done
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "missing: ${packages[*]}; install them with your system's package manager"
    say "installing ${packages[*]} with apt-get"
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}") \
        >/dev/null || die "apt-get could not install ${packages[*]}"
}

# Whether the daemon that this script started last is still running.
ours_runs() {
    local pid
    pid=$(cat "$STATE/pid" 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]]
}

start_daemon() {
    say "starting dockerd (log: $LOG)"
    # A pid file of its own: dockerd trusts a stale one in the usual place. The locks are not for it to hold.
    rm -f "$STATE/dockerd.pid"
    setsid dockerd --pidfile "$STATE/dockerd.pid" >"$LOG" 2>&1 </dev/null 8>&- 9>&- &
    local pid=$! waited
    echo "$pid" >"$STATE/pid"
    for ((waited = 0; waited < START_S * 10; waited++)); do
        kill -0 "$pid" 2>/dev/null || break
        if answers; then return; fi
        sleep 0.1
    done
    tail -n 5 "$LOG" >&2
    stop_daemon
    die "dockerd does not answer; the end of its log is above, all of it in $LOG"
}

stop_daemon() {
    ours_runs || return 0
    local pid waited
    pid=$(cat "$STATE/pid")
    kill "$pid" 2>/dev/null || true
    for ((waited = 0; waited < STOP_S * 10; waited++)); do
        ours_runs || { rm -f "$STATE/pid"; return 0; }
        sleep 0.1
    done
    say "dockerd (process $pid) does not end; killing it"
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$STATE/pid"
}

# Lock 9 guards starting and stopping; every run holds lock 8, shared, as long as it uses the daemon.
leave() {
    flock 9
    flock -u 8
    if flock -n 8; then stop_daemon; fi
}

if [[ $(id -u) == 0 ]]; then
    install_missing
    mkdir -p "$STATE"
    exec 8>"$STATE/users" 9>"$STATE/lock"
    flock 9
    flock -s 8
    trap leave EXIT
    if ! answers; then
        [[ -z ${DOCKER_HOST:-} ]] || die "no daemon answers at DOCKER_HOST=$DOCKER_HOST"
        start_daemon
    fi
    flock -u 9
elif ! answers; then
    hint="no Docker daemon answers; start one with 'sudo systemctl start docker' (Debian: sudo apt-get install docker.io)"
    [[ -z ${CI:-} ]] || die "$hint"
    say "$hint; what needs it is left out"
fi

# In the background, so that this shell can pass a signal on; env undoes what the shell does to background commands.
env --default-signal=INT,QUIT "$@" <&0 8>&- 9>&- &
child=$!
trap : INT # a terminal sends it to the command as well
trap 'kill -TERM "$child" 2>/dev/null' TERM HUP
status=0
while :; do
    wait "$child" && status=0 || status=$?
    kill -0 "$child" 2>/dev/null || break
done
exit "$status"
