// engine — one model on one device, served over gRPC until the machine goes, or SIGTERM comes.
//
// Exit status: 0 drained, 1 failed in a way that may pass, 2 wrong usage or a model that can never be served, 3 nobody
// has spoken to it for --silence_limit.
#include <glog/logging.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/base/status.h"
#include "engine/base/stop_signal.h"
#include "engine/base/weights_source.h"
#include "engine/notice/notice_source.h"
#include "engine/notice/signal_source.h"
#include "engine/notice/silence_source.h"
#include "engine/server/backends.h"
#include "engine/server/boot.h"
#include "engine/server/identity_service.h"
#include "engine/server/interruptions.h"
#include "engine/server/machine_identity.h"
#include "engine/server/notice_sources.h"
#include "engine/server/service.h"
#include "engine/volume/driver_cache.h"
#include "engine/volume/file_system.h"
#include "engine/volume/kv_store.h"
#include "engine/volume/volume.h"

ABSL_FLAG(std::string, model, "",
          "GGUF file, the first of several, or a folder with config.json and safetensors; or, kept on --volume, "
          "https://…#sha256=…, hf://org/repo/file.gguf@revision or, of safetensors, hf://org/repo@revision (token: "
          "HF_TOKEN; another hub: HF_ENDPOINT)");
ABSL_FLAG(std::string, model_query_file, "",
          "file with the query of --model's address, where that is secret: command lines are everybody's to read");
ABSL_FLAG(std::string, model_hash, "",
          "the model's SHA-256 in hex, where it is known: proved at a volume's first boot, and believed without a volume; else "
          "it is computed");
ABSL_FLAG(std::string, head_hash, "",
          "SHA-256 in hex of all that comes before the tensors of the downloaded GGUF file; another one is refused");
ABSL_FLAG(std::string, backend, "auto", "auto, or one that //engine:devices lists");
ABSL_FLAG(std::string, listen, "127.0.0.1:9000", "HOST:PORT; port 0 takes a free one");
ABSL_FLAG(std::string, volume, "", "folder that outlives this machine; made if it is not there");
ABSL_FLAG(int64_t, volume_mib, 0,
          "of cache and KV on the volume, and once more of the weights of models that were served before; 0: half of its "
          "file system");
ABSL_FLAG(std::string, token_file, "", "file with the token that every call must show");
ABSL_FLAG(std::string, identity_dir, "",
          "folder of this machine's identity, with the fleet's authority.pem and this machine's token: mutual TLS, and "
          "only the fleet's gateway gets through; this or --token_file is needed off loopback");
ABSL_FLAG(absl::Duration, silence_limit, absl::InfiniteDuration(),
          "end when nobody who may has spoken to this engine for so long");
ABSL_FLAG(int, ready_fd, -1,
          "descriptor to write 'ready ADDRESS NUMERICS_ID MODEL_HASH' to; before that 'download BYTES OF_BYTES', if so");
ABSL_FLAG(int, context_tokens, 0, "longest sequence; 0: the model's");
ABSL_FLAG(int, threads, 0, "0: all that the process may use");
ABSL_FLAG(int, max_sequences, 0, "computed in one step; 0: 64");
ABSL_FLAG(int, step_tokens, 0, "computed in one step; 0: 128");
ABSL_FLAG(int, draft_tokens, spotinference::kDraftTokens,
          "guesses at a lone sequence's next tokens that a step verifies; 0: none. Changes speed, no token");
ABSL_FLAG(int64_t, kv_memory_mib, 0, "of the KV cache; 0: a quarter of the memory, at most 1024");
ABSL_FLAG(absl::Duration, kv_ttl, spotinference::KvStore::kTimeToLive, "how long KV stays on the volume");
ABSL_FLAG(bool, erase_kv, false, "erase all KV on the volume, and end; refused while an engine has it");
ABSL_FLAG(absl::Duration, save_kv, absl::Seconds(5), "of the time before the end, how much KV may take to go to the volume");
// "local" and "sigterm" cost nothing where nobody uses them; a cloud's service is asked only where it is said to be there.
ABSL_FLAG(std::string, notice, "local,sigterm",
          "who says that this machine goes: aws, gcp, azure, sigterm, local (the call Interrupt), with commas; or none");
ABSL_FLAG(std::string, metadata_url, "", "of the cloud's metadata service; \"\": its own");
ABSL_FLAG(std::string, machine_name, "", "this machine's, as Azure's events have it; \"\": the service is asked");
ABSL_FLAG(absl::Duration, grace, absl::Seconds(30),
          "from SIGTERM to SIGKILL, as their sender has it; without --notice=sigterm, how long live sequences may run on");

namespace spotinference {
namespace {

bool IsLoopback(const std::string& listen) {
  return absl::StartsWith(listen, "127.") || absl::StartsWith(listen, "localhost:") ||
         absl::StartsWith(listen, "[::1]:");
}

// The first line of the file that --`flag` names, not empty; "" without one.
absl::StatusOr<std::string> ReadSecret(absl::string_view flag, const std::string& name) {
  const std::string path = UserPath(name);
  if (path.empty()) return std::string();
  std::ifstream file(path);
  std::string secret;
  if (!std::getline(file, secret) || (absl::StripAsciiWhitespace(&secret), secret.empty())) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", path, ": cannot be read, or holds nothing"));
  }
  return secret;
}

absl::Status EraseVolumeKv() {
  const std::string root = UserPath(absl::GetFlag(FLAGS_volume));
  if (root.empty()) return absl::InvalidArgumentError("--erase_kv: of which --volume?");
  RETURN_IF_ERROR(RealFileSystem().List(root).status());  // what is opened is made
  ASSIGN_OR_RETURN(const std::unique_ptr<Volume> volume, Volume::Open(RealFileSystem(), {root}, RealClock()));
  return EraseKv(*volume);
}

// A model or an option that can never work is not worth a second start.
int ExitStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return 2;
    default:
      return 1;
  }
}

// What is left to do at the end: answers on their way to callers go out, connections close. 32 calls end within 40 ms on
// two busy cores (//tests/e2e:notice_test); a network and 64 calls get twenty-five times that.
constexpr absl::Duration kGoodbye = absl::Seconds(1);

// What the volume lacks goes there, as far as the time that is left allows.
void SaveKv(ModelEngine& engine, const Interruptions& interruptions) {
  absl::Duration budget = absl::GetFlag(FLAGS_save_kv);
  if (const auto notice = interruptions.MostUrgent()) {
    budget = std::min(budget, absl::Milliseconds(notice->left_ms()) - kGoodbye);
  }
  engine.SaveKv(budget);
}

// Until a stop that stays is near: sequences have gone elsewhere by then, KV to the volume, and the cloud has been told
// that nothing holds the machine any more.
void AwaitLastMoment(ModelEngine& engine, Interruptions& interruptions, const NoticeOptions& notices) {
  do {
    interruptions.AwaitHandOver();
    if (!interruptions.stops()) continue;
    SaveKv(engine, interruptions);
    if (!interruptions.hands_over()) continue;  // it was withdrawn meanwhile, and another may stand
    for (const std::unique_ptr<NoticeSource>& source : notices.metadata) source->Drained();
  } while (!interruptions.AwaitEnd(kGoodbye));
}

// Live sequences end by themselves, or are cut after --grace.
void Drain(ModelEngine& engine) {
  absl::Notification drained;
  engine.Drain(absl::GetFlag(FLAGS_grace), [&](uint32_t ended_early) {
    LOG_IF(WARNING, ended_early > 0) << ended_early << " sequences were cut";
    drained.Notify();
  });
  drained.WaitForNotification();
}

constexpr int kSilenceStatus = 3;

// Hears of the machine's end, and waits for it. The exit status.
int ServeUntilTheEnd(const StopSignal& signals, NoticeOptions& notices, ModelEngine& engine,
                      Interruptions& interruptions) {
  for (const std::unique_ptr<NoticeSource>& source : notices.metadata) {
    source->Watch([&interruptions, source = source.get()](const std::optional<Notice>& notice) {
      if (notice.has_value()) interruptions.Announce(*notice);
      else interruptions.Withdraw(source->name());
    });
  }
  const std::unique_ptr<NoticeSource> signal = NewSignalSource(signals, absl::GetFlag(FLAGS_grace), RealClock());
  signal->Watch([&](const std::optional<Notice>& notice) {
    if (notices.sigterm) interruptions.Announce(*notice);
    interruptions.End();
  });
  AwaitLastMoment(engine, interruptions, notices);
  const std::optional<engine::v1::Notice> why = interruptions.MostUrgent();
  if (!interruptions.stops()) {  // a signal that is no notice
    Drain(engine);
    SaveKv(engine, interruptions);
  }
  notices.metadata.clear();
  interruptions.End();  // nobody waits for its word any more
  LOG(INFO) << "the engine ends";
  return why.has_value() && why->source() == kSilence ? kSilenceStatus : 0;
}

// While the engine boots there is nothing to hand over or to save yet: the process ends at once.
class EarlyEnd {
 public:
  EarlyEnd(const StopSignal& signals, const Silence& silence, const std::string& contact_file)
      : signal_(NewSignalSource(signals, absl::ZeroDuration(), RealClock())),
        silence_(NewSilenceSource(silence, contact_file, RealClock())) {
    signal_->Watch([](const std::optional<Notice>&) { End(0); });
    silence_->Watch([](const std::optional<Notice>&) { End(kSilenceStatus); });
  }

 private:
  static void End(int status) {
    google::FlushLogFiles(google::INFO);
    _exit(status);
  }

  const std::unique_ptr<NoticeSource> signal_, silence_;
};

absl::Status WriteReadyFd(const std::string& line) {
  const int fd = absl::GetFlag(FLAGS_ready_fd);
  if (fd < 0 || write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--ready_fd ", fd, ": cannot be written"));
}

absl::StatusOr<BootOptions> BootOptionsOfFlags() {
  BootOptions options;
  options.model = absl::GetFlag(FLAGS_model);
  if (!absl::StrContains(options.model, "://")) options.model = UserPath(options.model);
  ASSIGN_OR_RETURN(const std::string query, ReadSecret("model_query_file", absl::GetFlag(FLAGS_model_query_file)));
  options.model = WithQuery(options.model, query);
  if (const char* const hub = std::getenv("HF_ENDPOINT")) options.hub_url = hub;
  if (const char* const token = std::getenv("HF_TOKEN")) options.hub_token = token;
  options.model_hash = absl::GetFlag(FLAGS_model_hash);
  options.head_hash = absl::GetFlag(FLAGS_head_hash);
  options.volume = UserPath(absl::GetFlag(FLAGS_volume));
  options.volume_bytes = static_cast<uint64_t>(std::max<int64_t>(0, absl::GetFlag(FLAGS_volume_mib))) << 20;
  options.kv_time_to_live = absl::GetFlag(FLAGS_kv_ttl);
  options.backend = absl::GetFlag(FLAGS_backend);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.context_tokens = absl::GetFlag(FLAGS_context_tokens);
  options.max_sequences = absl::GetFlag(FLAGS_max_sequences);
  options.step_tokens = absl::GetFlag(FLAGS_step_tokens);
  options.draft_tokens = absl::GetFlag(FLAGS_draft_tokens);
  options.kv_memory_bytes = absl::GetFlag(FLAGS_kv_memory_mib) << 20;
  // Nothing on a lost device can be saved: the process says so and ends, and the fleet replaces it.
  options.on_fatal = [](const absl::Status&) {
    google::FlushLogFiles(google::INFO);
    _exit(1);
  };
  return options;
}

// Who may call, and where.
class Listener {
 public:
  // Listens from now on.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(std::function<void()> heard, bool takes_interrupt) {
    const std::string listen = absl::GetFlag(FLAGS_listen);
    ASSIGN_OR_RETURN(std::string token, ReadSecret("token_file", absl::GetFlag(FLAGS_token_file)));
    const std::string folder = UserPath(absl::GetFlag(FLAGS_identity_dir));
    if (token.empty() && folder.empty() && !IsLoopback(listen)) {
      return absl::InvalidArgumentError(absl::StrCat("--listen ", listen, ": anyone could use this engine; give "
                                                     "--identity_dir or --token_file, or listen on 127.0.0.1"));
    }
    auto listener = std::make_unique<Listener>();
    if (!folder.empty()) {
      ASSIGN_OR_RETURN(listener->identity_, MachineIdentity::Open(folder, absl::Now()));
      listener->identity_service_ = CreateIdentityService(*listener->identity_, heard);
    }
    listener->engine_ = CreateEngineService(RealClock(), {std::move(token), takes_interrupt, heard});
    RETURN_IF_ERROR(listener->Listen(listen));
    return listener;
  }

  EngineService& engine() { return *engine_; }
  const std::string& address() const { return address_; }

  // Calls that run on have kGoodbye to end.
  void Close() { server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(kGoodbye)); }

 private:
  absl::Status Listen(const std::string& listen) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a taken port is an error, not a lottery
    // The gateway asks every 10 s whether we are there; from 5 minutes down gRPC would call that an attack.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    builder.AddListeningPort(
        listen, identity_.has_value() ? MachineCredentials(identity_->files()) : grpc::InsecureServerCredentials(),
        &port);
    builder.RegisterService(&engine_->service());
    if (identity_service_ != nullptr) builder.RegisterService(identity_service_.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError(absl::StrCat("--listen ", listen, ": the address cannot be bound"));
    }
    address_ = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
    return absl::OkStatus();
  }

  std::optional<MachineIdentity> identity_;
  std::unique_ptr<grpc::Service> identity_service_;
  std::unique_ptr<EngineService> engine_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

// The exit status.
absl::StatusOr<int> Serve(const StopSignal& signals) {
  ASSIGN_OR_RETURN(NoticeOptions notices,
                   ParseNoticeOptions(absl::GetFlag(FLAGS_notice), absl::GetFlag(FLAGS_metadata_url),
                                      absl::GetFlag(FLAGS_machine_name), RealClock()));
  ASSIGN_OR_RETURN(BootOptions options, BootOptionsOfFlags());
  Silence silence(absl::GetFlag(FLAGS_silence_limit), RealClock());
  const std::string identity = UserPath(absl::GetFlag(FLAGS_identity_dir));
  const std::string contact_file = identity.empty() ? "" : identity + "/contact";
  // Whoever speaks again is not told any more that the engine goes for want of a word.
  std::atomic<Interruptions*> serving = nullptr;
  const auto heard = [&silence, &serving] {
    silence.Heard();
    if (Interruptions* const interruptions = serving.load()) interruptions->Withdraw(kSilence);
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<Listener> listener, Listener::Create(heard, notices.local));

  options.on_download = [&listener](uint64_t done, uint64_t total) {
    listener->engine().SetDownload(done, total);
    WriteReadyFd(absl::StrCat("download ", done, " ", total, "\n")).IgnoreError();  // the last line will tell
  };

  const std::vector<Backend> backends = AllBackends();
  absl::StatusOr<BootedEngine> boot = [&] {
    const EarlyEnd early(signals, silence, contact_file);
    return Boot(options, backends);
  }();
  ASSIGN_OR_RETURN(const BootedEngine booted, std::move(boot));
  // KV is saved, and a goodbye said, in the second before the machine goes and in one more for a clock that is not ours.
  Interruptions interruptions(*booted.engine, RealClock(), absl::GetFlag(FLAGS_save_kv) + 2 * kGoodbye);
  const absl::Cleanup close_listener = [&listener] { listener->Close(); };  // before what it leads to goes
  serving = &interruptions;
  listener->engine().Open(*booted.engine, interruptions);
  LOG(INFO) << "serving on " << listener->address();
  const EngineInfo& info = booted.engine->info();
  RETURN_IF_ERROR(
      WriteReadyFd(absl::StrCat("ready ", listener->address(), " ", info.numerics_id, " ", info.model_hash, "\n")));
  if (const int fd = absl::GetFlag(FLAGS_ready_fd); fd >= 0) close(fd);

  if (silence.limit() < absl::InfiniteDuration()) {
    notices.metadata.push_back(NewSilenceSource(silence, contact_file, RealClock()));
  }
  return ServeUntilTheEnd(signals, notices, *booted.engine, interruptions);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  const spotinference::StopSignal stop;
  spotinference::ParseFlags(argc, argv,
                            "Serves one model on one device over gRPC.\n"
                            "  engine -- --model FILE [--backend auto] [--listen 127.0.0.1:9000] [--volume DIR] …");
  const bool erase_kv = absl::GetFlag(FLAGS_erase_kv);
  if (!erase_kv && absl::GetFlag(FLAGS_model).empty()) {
    std::fprintf(stderr, "engine: --model FILE is needed; see --help\n");
    return 2;
  }
  if (const std::string volume = spotinference::UserPath(absl::GetFlag(FLAGS_volume)); !erase_kv && !volume.empty()) {
    spotinference::UseDriverCache(volume);
  }
  absl::StatusOr<int> status = 0;
  if (!erase_kv) {
    status = spotinference::Serve(stop);
  } else if (const absl::Status erased = spotinference::EraseVolumeKv(); !erased.ok()) {
    status = erased;
  }
  if (status.ok()) return *status;
  std::fprintf(stderr, "engine: %s\n", std::string(status.status().message()).c_str());
  return spotinference::ExitStatus(status.status());
}
