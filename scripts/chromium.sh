#!/usr/bin/env bash
# Sees to a Chromium for the web environment: installs Debian's where none is found and that is possible. Without root
# it says what is missing and goes on; with CI set that is an error.
set -euo pipefail

say() { echo "chromium.sh: $*" >&2; }

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The first cannot show a window, and takes half the time of the others.
for program in "${AGENTGYM_CHROMIUM:-chromium-headless-shell}" chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$program" >/dev/null; then
        exit 0
    fi
done
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    say "installing chromium with apt-get"
    apt-get update -qq >/dev/null && { install chromium-headless-shell 2>/dev/null || install chromium; } && exit 0
    say "apt-get could not install chromium"
else
    say "no Chromium; run 'sudo apt-get install chromium' (or your system's equivalent)"
fi
[[ -z ${CI:-} ]]
