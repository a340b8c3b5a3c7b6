#include "fleet/providers/local/local_provider.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/base/weights_source.h"
#include "fleet/providers/local/machine_folder.h"
#include "fleet/providers/local/process.h"
#include "fleet/providers/local/ready_line.h"

namespace spotinference::fleet {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// The descriptors that an engine finds open, see Spawn.
constexpr int kReadyFd = 3;

constexpr absl::Duration kKillTime =
    absl::Seconds(10);  // what SIGKILL takes at most to free a large process, on a busy computer

struct Machine {
  Machine(asio::io_context& io, MachineSpec spec, absl::string_view data_dir)
      : spec(std::move(spec)),
        folder(data_dir, this->spec.volume),
        timer(io),
        exit(io),
        ready(io) {}

  const MachineSpec spec;
  const MachineFolder folder;
  asio::steady_timer timer;  // of the delay before the start, then of the grace after SIGTERM
  std::optional<Process> process;
  asio::posix::stream_descriptor exit;   // the pidfd
  asio::posix::stream_descriptor ready;  // the pipe's read end
  std::string ready_bytes;
  std::string token;
  int64_t oom_kills = OomKills();  // of this computer when it began
  bool serves = false;
  bool stopping = false;
  absl::Status fault;  // why it was ended, where that was our decision
};

// All but the calls of the interface runs on the one thread of `io_`.
class LocalProvider : public Provider {
 public:
  explicit LocalProvider(LocalProviderOptions options)
      : options_(std::move(options)),
        caps_{.name = "local",
              .market = "on_demand",
              .zone = options_.zone,
              .price_per_hour = options_.price_per_hour,
              .hibernates = true,
              .outlives_host = false},
        thread_([this] { io_.run(); }) {}

  ~LocalProvider() override {
    io_.stop();
    thread_.join();
  }

  const Caps& caps() const override { return caps_; }

  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override {
    {
      absl::MutexLock lock(&listener_mutex_);
      listener_ = std::move(listener);
    }
    asio::post(io_, [this] { TellOffers(); });
  }

  void Launch(const MachineSpec& spec) override {
    asio::post(io_, [this, spec] { Start(spec, options_.launch_delay); });
  }

  void Restore(const MachineSpec& spec) override {
    asio::post(io_, [this, spec] {
      // None is drawn where there is no chance: what else is drawn stays as it was.
      const bool finds_none = options_.restore_failures > 0 && !machines_.contains(spec.id) &&
                              std::bernoulli_distribution(options_.restore_failures)(random_);
      if (!finds_none) return Start(spec, options_.restore_delay);
      TellGone(spec.id, absl::ResourceExhaustedError("it was to find no stock, by restore_failures"));
    });
  }

  void Adopt(const MachineSpec& spec, absl::string_view handle,
             absl::string_view address) override {
    asio::post(io_, [this, spec, handle = std::string(handle), address = std::string(address)] {
      Find(spec, handle, address);
    });
  }

  void Hibernate(absl::string_view machine_id) override {
    asio::post(io_, [this, id = std::string(machine_id)] { Stop(id, SIGTERM); });
  }

  void Terminate(absl::string_view machine_id) override {
    asio::post(io_, [this, id = std::string(machine_id)] { Stop(id, SIGKILL); });
  }

  void TerminateLost(absl::string_view machine_id) override { Terminate(machine_id); }  // its process's end tells

  void Discard(const MachineSpec& spec) override {
    asio::post(io_, [this, spec] { Tell({.machine_id = spec.id, .status = RemoveFolder(spec)}); });
  }

 private:
  using MachinePtr = std::shared_ptr<Machine>;

  void Tell(MachineEvent event) {
    absl::MutexLock lock(&listener_mutex_);
    if (listener_) listener_(std::move(event));
  }

  absl::Status RemoveFolder(const MachineSpec& spec) const {
    const MachineFolder folder(options_.data_dir, spec.volume);
    if (!folder.Exists()) return absl::OkStatus();
    const absl::StatusOr<Fd> lock = folder.LockVolume();
    if (!lock.ok()) return absl::FailedPreconditionError(lock.status().message());
    return folder.Remove();
  }

  // One offer a zone, which does not change; how many of it are left is known when one is asked for.
  void TellOffers() {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    const auto sell = [&](const std::string& zone) {
      event.offers.push_back({.offer = {.provider = caps_.name,
                                        .region = zone,
                                        .zone = zone,
                                        .machine_type = "process",
                                        .price_per_hour = options_.price_per_hour}});
    };
    sell(options_.zone);
    for (const std::string& zone : options_.more_zones) sell(zone);
    Tell(std::move(event));
  }

  const std::string& ZoneOf(const MachineSpec& spec) const {
    return spec.offer.has_value() ? spec.offer->zone : options_.zone;
  }

  void TellGone(const std::string& id, absl::Status status, bool crashed = false) {
    machines_.erase(id);
    Tell({.kind = MachineEvent::Kind::kGone, .machine_id = id, .crashed = crashed, .status = std::move(status)});
  }

  void Start(const MachineSpec& spec, absl::Duration delay) {
    if (machines_.contains(spec.id)) return;
    const auto beside = [&](const auto& other) { return ZoneOf(other.second->spec) == ZoneOf(spec); };
    if (std::count_if(machines_.begin(), machines_.end(), beside) >= options_.stock) {
      return TellGone(spec.id, absl::ResourceExhaustedError(absl::StrCat(
                                   "all ", options_.stock, " machines of the local provider's stock in ",
                                   ZoneOf(spec), " are in use")));
    }
    if (std::bernoulli_distribution(options_.start_failures)(random_)) {
      return TellGone(spec.id, absl::UnavailableError("it was to fail, by start_failures"));
    }
    const MachinePtr machine = std::make_shared<Machine>(io_, spec, options_.data_dir);
    machines_[spec.id] = machine;
    if (delay <= absl::ZeroDuration()) return Boot(machine);
    machine->timer.expires_after(absl::ToChronoNanoseconds(delay));
    machine->timer.async_wait([this, machine](error_code error) {
      if (!error && !machine->stopping) Boot(machine);
    });
  }

  void Boot(const MachinePtr& machine) {
    if (absl::Status status = Run(*machine); !status.ok())
      return TellGone(machine->spec.id, std::move(status));
    Tell({.kind = MachineEvent::Kind::kStarted,
          .machine_id = machine->spec.id,
          .handle = machine->process->name.ToString()});
    AwaitExit(machine);
    AwaitLine(machine);
  }

  void AwaitLine(const MachinePtr& machine) {
    asio::async_read_until(
        machine->ready, asio::dynamic_buffer(machine->ready_bytes, kMaxReadyLineBytes), '\n',
        [this, machine](error_code error, size_t bytes) { OnLine(machine, error, bytes); });
  }

  absl::Status Run(Machine& machine) {
    RETURN_IF_ERROR(machine.folder.Create());
    ASSIGN_OR_RETURN(const Fd lock, TakeVolume(machine));
    ASSIGN_OR_RETURN(machine.token, machine.folder.NewToken());
    ASSIGN_OR_RETURN(const Fd log, machine.folder.NewLog());
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) != 0)
      return absl::ResourceExhaustedError("no file descriptor left for a pipe");
    const Fd ready(pipe_ends[1]);
    error_code error;
    machine.ready.assign(pipe_ends[0], error);
    if (error) {
      close(pipe_ends[0]);
      return absl::ResourceExhaustedError(absl::StrCat("cannot watch a pipe: ", error.message()));
    }

    const MachineSpec& spec = machine.spec;
    const auto [weights, query] = SplitQuery(spec.weights);
    RETURN_IF_ERROR(machine.folder.WriteQuery(query));
    std::vector<std::string> arguments = {options_.engine,
                                          absl::StrCat("--model=", weights),
                                          absl::StrCat("--backend=", spec.backend),
                                          "--listen=127.0.0.1:0",
                                          absl::StrCat("--volume=", machine.folder.volume()),
                                          absl::StrCat("--ready_fd=", kReadyFd),
                                          TokenArgument(machine),
                                          absl::StrCat("--grace=", absl::FormatDuration(options_.stop_grace)),
                                          absl::StrCat("--model_hash=", spec.model_hash)};
    if (!query.empty()) arguments.push_back(absl::StrCat("--model_query_file=", machine.folder.query_file()));
    if (!spec.head_hash.empty()) arguments.push_back(absl::StrCat("--head_hash=", spec.head_hash));
    if (spec.context_tokens > 0)
      arguments.push_back(absl::StrCat("--context_tokens=", spec.context_tokens));
    ASSIGN_OR_RETURN(machine.process, Spawn({.arguments = std::move(arguments),
                                             .output = log.get(),
                                             .inherited = {ready.get(), lock.get()}}));
    return Watch(machine);
  }

  // An engine that nobody remembers, since the store was lost, gives up its volume.
  absl::StatusOr<Fd> TakeVolume(const Machine& machine) const {
    absl::StatusOr<Fd> lock = machine.folder.LockVolume();
    if (!absl::IsUnavailable(lock.status())) return lock;
    for (const auto& [id, other] : machines_) {
      if (other.get() != &machine && other->spec.volume == machine.spec.volume) return lock;
    }
    for (const Process& process : FindProcessesByArgument(TokenArgument(machine))) {
      Signal(process, SIGKILL);
      AwaitEnd(process, kKillTime);
    }
    return machine.folder.LockVolume();
  }

  // What cannot be watched is ended.
  static absl::Status Watch(Machine& machine) {
    const int copy = fcntl(machine.process->pidfd.get(), F_DUPFD_CLOEXEC, 0);
    error_code error(errno, boost::system::system_category());
    if (copy >= 0) machine.exit.assign(copy, error);
    if (copy >= 0 && !error) return absl::OkStatus();
    if (copy >= 0) close(copy);
    Signal(*machine.process, SIGKILL);
    return absl::ResourceExhaustedError(absl::StrCat("cannot watch a process: ", error.message()));
  }

  static std::string TokenArgument(const Machine& machine) {
    return absl::StrCat("--token_file=", machine.folder.token_file());
  }

  void AwaitExit(const MachinePtr& machine) {
    machine->exit.async_wait(asio::posix::stream_descriptor::wait_read,
                             [this, machine](error_code error) {
                               if (!error) OnExit(machine);
                             });
  }

  void OnLine(const MachinePtr& machine, error_code error, size_t bytes) {
    if (machine->stopping) return;
    if (error == asio::error::eof || error == asio::error::operation_aborted) {
      // It ended, or it will never say more. A process that is ending keeps its exit status.
      machine->fault = absl::UnavailableError("the engine closed its ready_fd without a word");
      return Signal(*machine->process, SIGKILL);
    }
    const absl::string_view text = machine->ready_bytes;
    const auto line = ParseReadyLine(text.substr(0, error ? bytes : bytes - 1));
    machine->fault =
        error ? absl::FailedPreconditionError("the engine's ready line has no end") : line.status();
    if (machine->fault.ok() && std::holds_alternative<DownloadLine>(*line)) {
      const auto& [done, total] = std::get<DownloadLine>(*line);
      Tell({.kind = MachineEvent::Kind::kDownload,
            .machine_id = machine->spec.id,
            .done_bytes = done,
            .total_bytes = total});
      machine->ready_bytes.erase(0, bytes);
      return AwaitLine(machine);
    }
    const ReadyLine ready = machine->fault.ok() ? std::get<ReadyLine>(*line) : ReadyLine();
    const std::string& wanted = machine->spec.model_hash;
    if (machine->fault.ok() && !wanted.empty() && ready.model_hash != wanted) {
      machine->fault = absl::FailedPreconditionError(
          absl::StrCat("the engine serves a model with hash ", ready.model_hash, ", not ", wanted));
    }
    if (!machine->fault.ok()) return Signal(*machine->process, SIGKILL);
    error_code ignored;
    machine->ready.close(ignored);
    machine->serves = true;
    Tell({.kind = MachineEvent::Kind::kReady,
          .machine_id = machine->spec.id,
          .endpoint = {.machine_id = machine->spec.id,
                       .address = ready.address,
                       .token = machine->token,
                       .model_hash = ready.model_hash,
                       .numerics_id = ready.numerics_id}});
  }

  void OnExit(const MachinePtr& machine) {
    const std::optional<Exit> exit = Reap(*machine->process);
    machine->timer.cancel();
    error_code ignored;
    machine->ready.close(ignored);
    const bool crashed = machine->serves && exit.has_value() && IsCrash(*machine, *exit);
    TellGone(machine->spec.id, machine->stopping ? absl::OkStatus() : WhyItEnded(*machine, exit), crashed);
  }

  // The signals of people and of a shutdown are somebody's doing, as if the machine had been taken away; SIGKILL is the
  // kernel's too where it ran out of memory. An engine that was told to stop may do so with any status.
  static bool IsCrash(const Machine& machine, const Exit& exit) {
    switch (exit.signal) {
      case 0: return !machine.stopping && exit.status != 0;
      case SIGTERM:
      case SIGINT:
      case SIGHUP: return false;
      case SIGKILL: return OomKills() != machine.oom_kills;
      default: return true;
    }
  }

  static absl::Status WhyItEnded(const Machine& machine, const std::optional<Exit>& exit) {
    absl::Status why;
    if (!exit.has_value()) {
      why = absl::UnavailableError("the engine ended");
    } else if (exit->signal != 0 && !machine.fault.ok()) {
      why = machine.fault;
    } else if (exit->signal != 0) {
      why = absl::UnavailableError(absl::StrCat("the engine was killed by signal ", exit->signal));
    } else {
      const std::string message = absl::StrCat("the engine ended with status ", exit->status);
      why = exit->status == 2 && !machine.serves ? absl::FailedPreconditionError(message)
                                                 : absl::UnavailableError(message);
    }
    const std::string tail = machine.folder.LogTail();
    return tail.empty()
               ? why
               : absl::Status(why.code(), absl::StrCat(why.message(), "; its last words: ", tail));
  }

  void Find(const MachineSpec& spec, const std::string& handle, const std::string& address) {
    if (machines_.contains(spec.id)) return;
    const MachinePtr machine = std::make_shared<Machine>(io_, spec, options_.data_dir);
    if (const std::optional<ProcessName> name = ParseProcessName(handle); name.has_value()) {
      machine->process = FindProcess(*name);
    } else {
      // The caller's former life ended between the start and the writing down of it. The volume's
      // lock allows one.
      std::vector<Process> found = FindProcessesByArgument(TokenArgument(*machine));
      if (!found.empty()) machine->process = std::move(found[0]);
    }
    if (!machine->process.has_value())
      return TellGone(spec.id, absl::UnavailableError("its process is gone"));
    if (absl::Status status = Watch(*machine); !status.ok())
      return TellGone(spec.id, std::move(status));
    machine->token = machine->folder.ReadToken().value_or("");
    machine->serves = true;
    machines_[spec.id] = machine;
    Tell({.kind = MachineEvent::Kind::kAdopted,
          .machine_id = spec.id,
          .handle = machine->process->name.ToString(),
          .endpoint = {.machine_id = spec.id, .address = address, .token = machine->token}});
    AwaitExit(machine);
  }

  void Stop(const std::string& id, int signal) {
    const auto found = machines_.find(id);
    if (found == machines_.end()) return TellGone(id, absl::OkStatus());
    const MachinePtr machine = found->second;
    machine->stopping = true;
    machine->timer.cancel();
    if (!machine->process.has_value()) return TellGone(id, absl::OkStatus());
    Signal(*machine->process, signal);
    if (signal == SIGKILL) return;
    machine->timer.expires_after(absl::ToChronoNanoseconds(options_.stop_grace));
    machine->timer.async_wait([machine](error_code error) {
      if (!error) Signal(*machine->process, SIGKILL);
    });
  }

  const LocalProviderOptions options_;
  const Caps caps_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::mt19937 random_;
  std::map<std::string, MachinePtr> machines_;  // by id; all that are not gone
  absl::Mutex listener_mutex_;
  absl::AnyInvocable<void(MachineEvent)> listener_ ABSL_GUARDED_BY(listener_mutex_);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Provider> NewLocalProvider(LocalProviderOptions options) {
  return std::make_unique<LocalProvider>(std::move(options));
}

}  // namespace spotinference::fleet
