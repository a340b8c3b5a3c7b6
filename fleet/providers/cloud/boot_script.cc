#include "fleet/providers/cloud/boot_script.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/weights_source.h"

namespace spotinference::fleet {
namespace {

// SPOTINFERENCE_ROOT is set on emulated machines alone, which have no disks to mount: there a folder stands in the
// device's place, a file says that the machine is off, and its address is one of many on loopback.
constexpr char kBody[] = R"sh(
root=${SPOTINFERENCE_ROOT:-}
home=$root/var/lib/spotinference
identity=$home/identity

power_off() {
  echo "$1: this machine powers off" >&2
  if [ -n "$root" ]; then : > "$root/poweroff"; else systemctl poweroff; fi
}

# Counts its own steps: neither a clock that is set nor a night in hibernation makes it believe in a silence.
watch_contact() {
  seen='' steps=0
  while sleep "${SPOTINFERENCE_STEP:-30}"; do
    contact=$(stat -c %y "$identity/contact" 2> /dev/null || :)
    [ "$contact" = "$seen" ] || steps=0
    seen=$contact steps=$((steps + 1))
    if [ "$steps" -ge 40 ]; then
      power_off "nobody has spoken to the engine for 20 minutes"
      return
    fi
  done
}

# Whether nothing was ever written to it: no signature, and zeros where ext4 has the superblock and its first copy.
is_blank() {
  signature=0
  blkid -p "$1" > /dev/null 2>&1 || signature=$?
  [ "$signature" -eq 2 ] && cmp -s -n 16777216 "$1" /dev/zero && cmp -s -i 134217728:0 -n 1048576 "$1" /dev/zero
}

if [ -z "$root" ]; then
  case ${1:-} in
    boot) ;;
    watch) watch_contact; exit ;;
    *)
      install -m 700 "$0" /usr/local/sbin/spotinference-boot
      cat > /etc/systemd/system/spotinference.service <<'UNIT'
[Unit]
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/sbin/spotinference-boot boot
Restart=on-failure
RestartPreventExitStatus=3
RestartSec=2
TimeoutStopSec=20
[Install]
WantedBy=multi-user.target
UNIT
      cat > /etc/systemd/system/spotinference-watch.service <<'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/sbin/spotinference-boot watch
Restart=always
RestartSec=30
OOMScoreAdjust=-1000
[Install]
WantedBy=multi-user.target
UNIT
      systemctl daemon-reload
      exec systemctl enable --now --no-block spotinference.service spotinference-watch.service
      ;;
  esac
else
  watch_contact &
  watch=$!
  trap 'kill "$watch" 2> /dev/null || :' EXIT
fi

mkdir -p "$identity"
disk=$root$device
until [ -e "$disk" ]; do sleep 0.2; done
if [ -d "$disk" ]; then
  ln -sfn "$disk" "$home/volume"
else
  mkdir -p "$home/volume"
  ! is_blank "$disk" || mkfs.ext4 -q "$disk"
  mountpoint -q "$home/volume" || mount "$disk" "$home/volume"
fi

engine=$home/volume/engine-$engine_sha256
holds() { echo "$engine_sha256  $1" | sha256sum --status -c -; }
if ! holds "$engine" 2> /dev/null; then
  case $engine_url in
    file://*) cp "${engine_url#file://}" "$engine.new" ;;
    *)
      curl -fsSL --retry 5 --connect-timeout 20 --speed-limit 1000 --speed-time 60 -o "$engine.new" "$engine_url"
      ;;
  esac
  if ! holds "$engine.new"; then
    echo "the engine of $engine_url is another one" >&2
    rm -f "$engine.new"
    [ -n "$root" ] || sleep 60  # it is fetched again
    exit 2
  fi
  chmod 700 "$engine.new"
  mv "$engine.new" "$engine"
fi
for other in "$home/volume/engine-"*; do
  [ "$other" = "$engine" ] || rm -f "$other"
done

printf '%s' "$authority" > "$identity/authority.pem"
if [ ! -e "$identity/key.pem" ]; then
  printf '%s' "$token" > "$identity/token"
  sync "$identity/token"
fi
set -- "--model=$model" "--backend=$backend" "--listen=${SPOTINFERENCE_ADDRESS:-0.0.0.0}:$port" \
  "--volume=$home/volume/data" "--identity_dir=$identity" --silence_limit=15m "--notice=$notice"
if [ -n "$model_query" ]; then
  printf '%s' "$model_query" > "$home/model_query"
  set -- "$@" "--model_query_file=$home/model_query"
fi
[ -z "$model_hash" ] || set -- "$@" "--model_hash=$model_hash"
[ -z "$head_hash" ] || set -- "$@" "--head_hash=$head_hash"
[ -z "$context_tokens" ] || set -- "$@" "--context_tokens=$context_tokens"
[ -z "${SPOTINFERENCE_METADATA:-}" ] || set -- "$@" "--metadata_url=$SPOTINFERENCE_METADATA"
[ -z "$hub_token" ] || export HF_TOKEN="$hub_token"
trap : TERM  # the engine gets it too, and its status counts
status=0
"$engine" "$@" || status=$?
[ "$status" -ne 3 ] || power_off "nobody has spoken to the engine for 15 minutes"
exit "$status"
)sh";

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

}  // namespace

std::string BootScript(const BootOptions& options, const MachineSpec& spec, const Enrolment& enrolment,
                       const std::string& device) {
  const auto [model, query] = SplitQuery(spec.weights);
  std::string script =
      "#!/bin/sh\n# A machine of spotinference: fleet/providers/cloud/boot_script.h.\nset -eu\numask 077\n";
  const auto set = [&](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&script, name, "=", Quoted(value), "\n");
  };
  set("engine_url", options.engine_url);
  set("engine_sha256", options.engine_sha256);
  set("notice", options.notice);
  set("port", absl::StrCat(options.engine_port));
  set("device", device);
  set("authority", enrolment.authority);
  set("token", enrolment.token);
  set("model", model);
  set("model_query", query);
  set("hub_token", absl::StartsWith(spec.weights, "hf://") ? options.hub_token : "");
  set("backend", spec.backend);
  set("model_hash", spec.model_hash);
  set("head_hash", spec.head_hash);
  set("context_tokens", spec.context_tokens == 0 ? "" : absl::StrCat(spec.context_tokens));
  return absl::StrCat(script, kBody);
}

}  // namespace spotinference::fleet
