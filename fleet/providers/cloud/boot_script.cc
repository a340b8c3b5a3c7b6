#include "fleet/providers/cloud/boot_script.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/weights_source.h"

namespace spotinference::fleet {
namespace {

// SPOTINFERENCE_ROOT is set on emulated machines alone, which have no disks to mount: there a folder stands in the
// device's place, and the machine's address is one of many on loopback.
constexpr char kBody[] = R"sh(
root=${SPOTINFERENCE_ROOT:-}
if [ -z "$root" ] && [ "${1:-}" != boot ]; then
  install -m 700 "$0" /usr/local/sbin/spotinference-boot
  cat > /etc/systemd/system/spotinference.service <<'UNIT'
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
ExecStart=/usr/local/sbin/spotinference-boot boot
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  exec systemctl enable --now --no-block spotinference.service
fi

home=$root/var/lib/spotinference
mkdir -p "$home"
device=$root$device
until [ -e "$device" ]; do sleep 0.2; done
if [ -d "$device" ]; then
  ln -sfn "$device" "$home/volume"
else
  mkdir -p "$home/volume"
  # Only what is as blank as a new disk is formatted: that blkid finds nothing may also be a disk that cannot be read.
  ! cmp -s -n 1048576 "$device" /dev/zero || mkfs.ext4 -q "$device"
  mountpoint -q "$home/volume" || mount "$device" "$home/volume"
fi

engine=$home/volume/engine-$engine_sha256
holds() { echo "$engine_sha256  $1" | sha256sum --status -c -; }
if ! holds "$engine" 2> /dev/null; then
  case $engine_url in
    file://*) cp "${engine_url#file://}" "$engine.new" ;;
    *) curl -fsSL --retry 5 -o "$engine.new" "$engine_url" ;;
  esac
  holds "$engine.new" || { echo "the engine of $engine_url is another one" >&2; exit 2; }
  chmod 700 "$engine.new"
  mv "$engine.new" "$engine"
fi

printf '%s' "$token" > "$home/token"
set -- "--model=$model" "--backend=$backend" "--listen=${SPOTINFERENCE_ADDRESS:-0.0.0.0}:$port" \
  "--volume=$home/volume/data" "--token_file=$home/token" "--notice=$notice"
if [ -n "$model_query" ]; then
  printf '%s' "$model_query" > "$home/model_query"
  set -- "$@" "--model_query_file=$home/model_query"
fi
[ -z "$model_hash" ] || set -- "$@" "--model_hash=$model_hash"
[ -z "$head_hash" ] || set -- "$@" "--head_hash=$head_hash"
[ -z "$context_tokens" ] || set -- "$@" "--context_tokens=$context_tokens"
[ -z "${SPOTINFERENCE_METADATA:-}" ] || set -- "$@" "--metadata_url=$SPOTINFERENCE_METADATA"
exec "$engine" "$@"
)sh";

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

}  // namespace

std::string BootScript(const BootOptions& options, const MachineSpec& spec, const std::string& token,
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
  set("token", token);
  set("model", model);
  set("model_query", query);
  set("backend", spec.backend);
  set("model_hash", spec.model_hash);
  set("head_hash", spec.head_hash);
  set("context_tokens", spec.context_tokens == 0 ? "" : absl::StrCat(spec.context_tokens));
  return absl::StrCat(script, kBody);
}

}  // namespace spotinference::fleet
