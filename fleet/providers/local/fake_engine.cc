// An engine without a model, for tests of the local provider. Takes the real one's flags; what it
// does stands in the file that --model names:
//   serve        writes the ready line, answers all but Generate and Drain, ends with status 0 on
//                SIGTERM
//   download     the same, after two lines that say how its weights come
//   deaf         the same, but ignores SIGTERM
//   exit N TEXT  writes TEXT to stderr and ends with status N
//   hang         never says a word
//   say TEXT     writes TEXT to ready_fd and then hangs
//   close        closes ready_fd and then hangs
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/api/engine.grpc.pb.h"

ABSL_FLAG(std::string, model, "", "");
ABSL_FLAG(std::string, backend, "", "");
ABSL_FLAG(std::string, listen, "", "");
ABSL_FLAG(std::string, volume, "", "");
ABSL_FLAG(int, ready_fd, -1, "");
ABSL_FLAG(std::string, token_file, "", "");
ABSL_FLAG(std::string, model_hash, "", "");
ABSL_FLAG(int, context_tokens, 0, "");
ABSL_FLAG(std::string, grace, "", "");
ABSL_FLAG(std::string, head_hash, "", "");
ABSL_FLAG(std::string, model_query_file, "", "");

namespace {

using namespace spotinference::engine::v1;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void WriteReadyFd(const std::string& text) {
  if (write(absl::GetFlag(FLAGS_ready_fd), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size()))
    _exit(1);
}

class FakeService : public Engine::Service {
 public:
  explicit FakeService(const std::string& token) : bearer_(absl::StrCat("Bearer ", token)) {}

  grpc::Status Handshake(grpc::ServerContext* context, const HandshakeRequest* request,
                         HandshakeReply* reply) override {
    if (!Authenticated(*context))
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "wrong token");
    reply->set_api_version(request->api_version());
    reply->set_model_hash(absl::GetFlag(FLAGS_model_hash));
    reply->set_numerics_id("fake-1");
    return grpc::Status::OK;
  }

  grpc::Status Health(grpc::ServerContext* context, const HealthRequest*,
                      HealthReply* reply) override {
    if (!Authenticated(*context))
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "wrong token");
    reply->set_state(HealthReply::STATE_SERVING);
    return grpc::Status::OK;
  }

  // Every figure is another number.
  grpc::Status Stats(grpc::ServerContext* context, const StatsRequest*,
                     StatsReply* reply) override {
    if (!Authenticated(*context))
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "wrong token");
    reply->set_running_sequences(1);
    reply->set_waiting_sequences(2);
    reply->set_prompt_tokens(3);
    reply->set_cached_tokens(4);
    reply->set_generated_tokens(5);
    reply->set_preemptions(6);
    reply->set_kv_blocks_total(70);
    reply->set_kv_blocks_used(8);
    reply->set_kv_blocks_cached(9);
    reply->set_kv_blocks_restored(4);
    reply->set_volume_full(true);
    reply->set_weights_bytes(uint64_t{10} << 32);
    reply->set_programs_compiled(11);
    reply->set_busy_microseconds(12);
    reply->set_drafted_tokens(13);
    reply->set_accepted_tokens(14);
    return grpc::Status::OK;
  }

 private:
  bool Authenticated(const grpc::ServerContext& context) const {
    const auto found = context.client_metadata().find("authorization");
    return found != context.client_metadata().end() &&
           absl::string_view(found->second.data(), found->second.size()) == bearer_;
  }

  const std::string bearer_;
};

int Serve(bool deaf) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // before gRPC starts its threads
  FakeService service(ReadFile(absl::GetFlag(FLAGS_token_file)));
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::GetFlag(FLAGS_listen), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  WriteReadyFd(
      absl::StrCat("ready 127.0.0.1:", port, " fake-1 ", absl::GetFlag(FLAGS_model_hash), "\n"));
  close(absl::GetFlag(FLAGS_ready_fd));
  int signal = 0;
  do {
    sigwait(&signals, &signal);
  } while (deaf);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const std::string mode(absl::StripAsciiWhitespace(ReadFile(absl::GetFlag(FLAGS_model))));
  absl::string_view rest = mode;
  if (const std::string query = absl::GetFlag(FLAGS_model_query_file); !query.empty()) {
    std::fprintf(stderr, "%s ? %s\n", absl::GetFlag(FLAGS_model).c_str(), ReadFile(query).c_str());
    return 2;
  }
  if (mode == "download") WriteReadyFd("download 10 100\ndownload 100 100\n");
  if (mode == "serve" || mode == "deaf" || mode == "download") return Serve(mode == "deaf");
  if (absl::ConsumePrefix(&rest, "exit ")) {
    std::fprintf(stderr, "%s\n", std::string(rest.substr(1)).c_str());
    return rest[0] - '0';
  }
  if (absl::ConsumePrefix(&rest, "say ")) WriteReadyFd(absl::StrCat(rest, "\n"));
  if (mode == "close") close(absl::GetFlag(FLAGS_ready_fd));
  for (;;) pause();
}
