#include "gateway/http/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "glog/logging.h"

namespace spotinference::http {
namespace {

ServerOptions WithDefaults(ServerOptions options) {
  if (options.listen == ServerOptions().listen) options.listen = "127.0.0.1:0";
  options.error = [](int status, std::string_view message) {
    return Response{status, {}, std::string(message)};
  };
  return options;
}

}  // namespace

TestServer::TestServer(FunctionHandler::Function function, ServerOptions options)
    : handler(std::move(function)) {
  auto started = Server::Start(WithDefaults(std::move(options)), handler);
  CHECK(started.ok()) << started.status();
  server = *std::move(started);
}

RawClient::RawClient(int port, int receive_buffer_bytes)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  PCHECK(fd_ >= 0);
  if (receive_buffer_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  }
  const timeval limit = {.tv_sec = 20, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  PCHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

void RawClient::EndSending() { shutdown(fd_, SHUT_WR); }

void RawClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void RawClient::Reset() {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  Close();
}

bool RawClient::Receive() {
  char buffer[16 << 10];
  const ssize_t bytes = recv(fd_, buffer, sizeof buffer, 0);
  if (bytes > 0) in_.append(buffer, bytes);
  return bytes > 0;
}

std::string RawClient::ReadUntil(std::string_view end) {
  size_t at;
  while ((at = in_.find(end)) == in_.npos) {
    if (!Receive()) return std::exchange(in_, "");
  }
  std::string read = in_.substr(0, at + end.size());
  in_.erase(0, read.size());
  return read;
}

std::string RawClient::ReadAll() {
  while (Receive()) {
  }
  return std::exchange(in_, "");
}

bool RawClient::AtEnd() {
  char byte;
  return in_.empty() && recv(fd_, &byte, 1, 0) == 0;
}

RawClient::Answer RawClient::ReadAnswer(bool has_body) {
  Answer answer;
  answer.head = ReadUntil("\r\n\r\n");
  if (answer.head.size() < 12 || !absl::EndsWith(answer.head, "\r\n\r\n")) return answer;
  answer.status = std::atoi(answer.head.c_str() + 9);
  const auto take = [this](size_t size) {
    while (in_.size() < size && Receive()) {
    }
    std::string taken = in_.substr(0, size);
    in_.erase(0, taken.size());
    return taken;
  };
  if (!has_body) {
    answer.complete = true;
  } else if (const size_t at = answer.head.find("content-length: "); at != answer.head.npos) {
    const size_t size = std::strtoull(answer.head.c_str() + at + 16, nullptr, 10);
    answer.body = take(size);
    answer.complete = answer.body.size() == size;
  } else if (absl::StrContains(answer.head, "transfer-encoding: chunked")) {
    while (true) {
      const std::string line = ReadUntil("\r\n");
      if (!absl::EndsWith(line, "\r\n")) break;
      const size_t size = std::strtoull(line.c_str(), nullptr, 16);
      const std::string chunk = take(size + 2);
      answer.body += chunk.substr(0, size);
      if (chunk.size() != size + 2) break;
      answer.complete = size == 0;
      if (answer.complete) break;
    }
  } else {
    answer.body = ReadAll();
  }
  return answer;
}

}  // namespace spotinference::http
