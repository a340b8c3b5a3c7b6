#include "engine/base/fake_http_server.h"

#include <glog/logging.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spotinference {
namespace {

// nullopt: the client has gone. `buffer` keeps what belongs to the next request.
std::optional<FakeHttpRequest> Read(int connection, std::string& buffer) {
  const auto more = [&] {
    char bytes[4096];
    const ssize_t count = recv(connection, bytes, sizeof bytes, 0);
    if (count > 0) buffer.append(bytes, count);
    return count > 0;
  };
  size_t head;
  while ((head = buffer.find("\r\n\r\n")) == buffer.npos) {
    if (!more()) return std::nullopt;
  }
  FakeHttpRequest request;
  const std::vector<absl::string_view> lines = absl::StrSplit(absl::string_view(buffer).substr(0, head), "\r\n");
  const std::vector<absl::string_view> words = absl::StrSplit(lines[0], ' ');
  if (words.size() != 3) return std::nullopt;
  request.method = std::string(words[0]);
  request.target = std::string(words[1]);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> field = absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
    request.headers.emplace_back(std::string(field.first), std::string(absl::StripAsciiWhitespace(field.second)));
  }
  size_t length = 0;
  (void)absl::SimpleAtoi(FindHeader(request.headers, "content-length").value_or("0"), &length);
  buffer.erase(0, head + 4);
  while (buffer.size() < length) {
    if (!more()) return std::nullopt;
  }
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return request;
}

bool Send(int connection, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

}  // namespace

FakeHttpServer::FakeHttpServer(Handler handler, int port) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  PCHECK(listener_ >= 0 && bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
         listen(listener_, 64) == 0 && getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

FakeHttpServer::~FakeHttpServer() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

std::string FakeHttpServer::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void FakeHttpServer::Accept() {
  for (;;) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    absl::MutexLock lock(&mutex_);
    if (stop_) {
      close(connection);
      return;
    }
    connections_.push_back(connection);
    threads_.emplace_back([this, connection] { Serve(connection); });
  }
}

void FakeHttpServer::Serve(int connection) {
  std::string buffer;
  while (const std::optional<FakeHttpRequest> request = Read(connection, buffer)) {
    const FakeHttpReply reply = handler_(*request);
    std::string head = absl::StrCat("HTTP/1.1 ", reply.status, " Said\r\n");
    for (const auto& [name, value] : reply.headers) {
      if (name != "content-length" || !value.empty()) absl::StrAppend(&head, name, ": ", value, "\r\n");
    }
    if (!FindHeader(reply.headers, "content-length").has_value()) {
      absl::StrAppend(&head, "content-length: ", reply.body.size(), "\r\n");
    }
    const absl::string_view body = request->method == "HEAD" ? "" : absl::string_view(reply.body);
    if (!Send(connection, absl::StrCat(head, "\r\n", body.substr(0, reply.cut_after.value_or(body.npos))))) break;
    if (!reply.cut_after.has_value() && !reply.hangs) continue;
    char byte;
    while (reply.hangs && recv(connection, &byte, 1, 0) > 0) {
    }
    break;
  }
  absl::MutexLock lock(&mutex_);
  connections_.remove(connection);
  close(connection);
}

}  // namespace spotinference
