#!/bin/sh
# Photographs the status page of a demo run into docs/images/status.png. `make picture` calls it.
# Needs chromium, which will not run as root with its sandbox; the argument is the axis-ntp-exporter
# to run.
set -eu

folder=$(mktemp -d)
"$1" demo --web.listen-address=127.0.0.1:0 >"$folder/demo.txt" 2>"$folder/demo.log" &
demo=$!
trap 'kill $demo; rm -r "$folder"' EXIT

address() { sed -n 's#^ *\(http://[^ ]*\)/  *the fleet at a glance#\1#p' "$folder/demo.txt"; }
until [ -n "$(address)" ]; do sleep 0.2; done
until curl --silent --fail --output /dev/null "$(address)/-/ready"; do sleep 0.5; done
# A second poll tells a hanging device's failures and a clock's uncertainty as they soon will be.
sleep 15

chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$folder/chromium" \
  --window-size=1250,1500 --screenshot="$PWD/docs/images/status.png" "$(address)/" \
  2>"$folder/chromium.log"
