#include "gateway/http/server.h"

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gateway/http/test_server.h"
#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

using Answer = RawClient::Answer;

std::string Get(std::string_view path, std::string_view more = "") {
  return absl::StrCat("GET ", std::string(path), " HTTP/1.1\r\nHost: h\r\n", std::string(more),
                      "\r\n");
}

std::string Post(std::string_view body, std::string_view more = "") {
  return absl::StrCat("POST / HTTP/1.1\r\nHost: h\r\n", std::string(more),
                      "Content-Length: ", body.size(), "\r\n\r\n", std::string(body));
}

// Answers with the path and the body.
void Echo(std::shared_ptr<Exchange> exchange) {
  Request& request = exchange->request();
  exchange->Reply({200, {{"content-type", "text/plain"}}, request.path + "|" + request.body});
}

TEST(ServerTest, KeepsTheConnection) {
  TestServer server(Echo);
  RawClient client(server.port());
  client.Send(Get("/a"));
  const Answer first = client.ReadAnswer();
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, "/a|");
  EXPECT_TRUE(absl::StrContains(first.head, "content-type: text/plain\r\n"));
  EXPECT_TRUE(absl::StrContains(first.head, "\r\nx-request-id: req_"));
  EXPECT_FALSE(absl::StrContains(first.head, "connection:"));
  client.Send(Post("hello"));
  EXPECT_EQ(client.ReadAnswer().body, "/|hello");
  client.Send(Get("/b", "Connection: close\r\n"));
  const Answer last = client.ReadAnswer();
  EXPECT_EQ(last.body, "/b|");
  EXPECT_TRUE(absl::StrContains(last.head, "connection: close\r\n"));
  EXPECT_TRUE(client.AtEnd());
}

TEST(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  // The first answer is held back until the last request has long been sent.
  absl::Notification sent;
  std::thread slow;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path != "/0") return Echo(exchange);
    slow = std::thread([&sent, exchange = std::move(exchange)] {
      sent.WaitForNotification();
      Echo(exchange);
    });
  });
  RawClient client(server.port());
  std::string requests;
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&requests, Get(absl::StrCat("/", i)), "\r\n");
  client.Send(requests);
  sent.Notify();
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(client.ReadAnswer().body, absl::StrCat("/", i, "|"));
  slow.join();
}

TEST(ServerTest, AnswersWithoutABody) {
  TestServer server([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/204") return exchange->Reply({204, {}, "not sent"});
    if (exchange->request().path == "/") return Echo(exchange);
    exchange->StartStream(200, {});
    exchange->Write("not sent");
    exchange->Finish();
  });
  RawClient client(server.port());
  client.Send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(
      absl::StrContains(client.ReadAnswer(/*has_body=*/false).head, "content-length: 2\r\n"));
  client.Send("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/204"));
  EXPECT_EQ(client.ReadAnswer(/*has_body=*/false).status, 200);
  const Answer none = client.ReadAnswer(/*has_body=*/false);
  EXPECT_EQ(none.status, 204);
  EXPECT_FALSE(absl::StrContains(none.head, "content-length"));
  client.Send(Get("/"));
  EXPECT_EQ(client.ReadAnswer().body, "/|");
}

TEST(ServerTest, Http10EndsWithTheConnection) {
  TestServer server([](std::shared_ptr<Exchange> exchange) {
    exchange->StartStream(200, {});
    exchange->Write("body");
    exchange->request().path == "/abort" ? exchange->Abort() : exchange->Finish();
  });
  RawClient whole(server.port());
  whole.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(whole.ReadUntil("body").substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_TRUE(whole.AtEnd());
  RawClient broken(server.port());
  broken.Send("GET /abort HTTP/1.0\r\n\r\n");
  broken.ReadUntil("body");
  EXPECT_FALSE(broken.AtEnd());
}

TEST(ServerTest, ReadsChunkedBodiesAndContinues) {
  TestServer server(Echo);
  RawClient client(server.port());
  client.Send(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
  EXPECT_EQ(client.ReadAnswer().body, "/|abcdefg");
  // A client that does not wait gets no interim answer.
  client.Send(Post("x", "Expect: 100-continue\r\n"));
  EXPECT_EQ(client.ReadAnswer().body, "/|x");
}

TEST(ServerTest, LargeBodiesBothWays) {
  std::string body(20 << 20, '\0');
  std::mt19937 random(1);
  for (char& c : body) c = static_cast<char>(random());
  TestServer server([](std::shared_ptr<Exchange> exchange) {
    exchange->Reply({200, {}, std::move(exchange->request().body)});
  });
  RawClient client(server.port());
  client.Send(Post(body));
  EXPECT_TRUE(client.ReadAnswer().body == body);
}

// Writes `bytes` in uneven pieces from a thread of its own, pausing as it is told, then finishes.
class Producer {
 public:
  Producer(std::shared_ptr<Exchange> exchange, std::string bytes)
      : exchange_(std::move(exchange)), bytes_(std::move(bytes)), thread_([this] { Run(); }) {}
  ~Producer() { thread_.join(); }
  size_t most_buffered() const { return most_buffered_; }

 private:
  void Run() {
    exchange_->OnWritable([this] { SetGo(true); });
    exchange_->OnClosed([this] { SetGo(true); });
    exchange_->StartStream(200, {{"content-type", "text/event-stream"}});
    std::string_view rest = bytes_;
    for (size_t size = 1; !rest.empty(); size = size * 7 % 4001 + 1) {
      SetGo(false);
      const bool more = exchange_->Write(rest.substr(0, size));
      most_buffered_ = std::max(most_buffered_, exchange_->buffered_bytes());
      rest.remove_prefix(std::min(size, rest.size()));
      if (more) continue;
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&go_));
    }
    exchange_->Finish();
    exchange_.reset();
  }
  void SetGo(bool go) {
    absl::MutexLock lock(&mutex_);
    go_ = go;
  }

  std::shared_ptr<Exchange> exchange_;
  const std::string bytes_;
  size_t most_buffered_ = 0;
  absl::Mutex mutex_;
  bool go_ = false;
  std::thread thread_;
};

TEST(ServerTest, StreamsAreExactAndBounded) {
  std::string bytes(3 << 20, '\0');
  std::mt19937 random(2);
  for (char& c : bytes) c = static_cast<char>(random());
  std::optional<Producer> producer;
  TestServer server(
      [&](std::shared_ptr<Exchange> exchange) { producer.emplace(std::move(exchange), bytes); });
  RawClient client(server.port());
  client.Send(Get("/"));
  const Answer answer = client.ReadAnswer();
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.body == bytes);
  EXPECT_LT(producer->most_buffered(), StreamLimits().high_bytes + 4001u);
  EXPECT_GT(producer->most_buffered(), 0u);
}

TEST(ServerTest, FinishIsACleanEndAndAbortIsNot) {
  TestServer server([](std::shared_ptr<Exchange> exchange) {
    const std::string path = exchange->request().path;
    if (path == "/dropped") return;
    if (path == "/silent") return exchange->Abort();
    exchange->StartStream(200, {});
    exchange->Write("data: 1\n\n");
    if (path == "/finish") exchange->Finish();
    if (path == "/abort") exchange->Abort();
  });
  RawClient clean(server.port());
  clean.Send(Get("/finish"));
  Answer answer = clean.ReadAnswer();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body, "data: 1\n\n");
  clean.Send(Get("/dropped"));
  answer = clean.ReadAnswer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_TRUE(answer.complete);

  for (const char* path : {"/abort", "/dropped in mid-stream"}) {
    RawClient broken(server.port());
    broken.Send(Get(absl::StrContains(path, " ") ? "/stream" : path));
    answer = broken.ReadAnswer();
    EXPECT_EQ(answer.body, "data: 1\n\n");
    EXPECT_FALSE(answer.complete);
  }
  RawClient silent(server.port());
  silent.Send(Get("/silent"));
  EXPECT_EQ(silent.ReadAll(), "");
}

TEST(ServerTest, NoticesThatTheClientHasGone) {
  absl::Mutex mutex;
  std::vector<std::shared_ptr<Exchange>> exchanges;
  int closed = 0;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    exchange->OnClosed([&] {
      absl::MutexLock lock(&mutex);
      ++closed;
    });
    if (exchange->request().path != "/unanswered") exchange->StartStream(200, {});
    if (exchange->request().path == "/written") exchange->Write("x");
    absl::MutexLock lock(&mutex);
    exchanges.push_back(std::move(exchange));
  });
  for (const bool reset : {false, true}) {
    for (const char* path : {"/unanswered", "/started", "/written"}) {
      RawClient client(server.port());
      client.Send(Get(path));
      if (path != std::string_view("/unanswered")) client.ReadUntil("\r\n\r\n");
      const auto arrived = [&] { return !exchanges.empty(); };
      mutex.LockWhen(absl::Condition(&arrived));
      EXPECT_EQ(closed, 0);
      mutex.Unlock();
      reset ? client.Reset() : client.Close();
      const auto gone = [&] { return closed == 1; };
      mutex.LockWhen(absl::Condition(&gone));
      closed = 0;
      EXPECT_FALSE(exchanges[0]->Write("x"));
      exchanges[0]->Finish();
      const std::vector<std::shared_ptr<Exchange>> done = std::move(exchanges);
      exchanges.clear();
      mutex.Unlock();
    }
  }
}

TEST(ServerTest, AClientMayCloseItsSideOnceAnswered) {
  TestServer server(Echo);
  RawClient client(server.port());
  client.Send(Post("x"));
  client.EndSending();
  EXPECT_EQ(client.ReadAnswer().body, "/|x");
  EXPECT_TRUE(client.AtEnd());
}

// Writes what it sees into a log.
class LogFilter : public Filter {
 public:
  struct Log {
    absl::Mutex mutex;
    std::vector<std::string> lines;
    void Add(std::string line) {
      absl::MutexLock lock(&mutex);
      lines.push_back(std::move(line));
    }
    std::vector<std::string> Await(size_t count) {
      const auto there = [&] { return lines.size() >= count; };
      absl::MutexLock lock(&mutex, absl::Condition(&there));
      return std::exchange(lines, {});
    }
  };
  LogFilter(std::string name, Log& log) : name_(std::move(name)), log_(log) {}

  std::optional<Response> OnRequest(Request& request) override {
    log_.Add(absl::StrCat(name_, " ", request.method, request.path, request.body));
    request.principal += name_;
    if (request.headers.Get("refuse") == name_) return Response{401, {}, "no"};
    return std::nullopt;
  }
  void OnEnd(const Request& request, const Outcome& outcome) override {
    EXPECT_GE(outcome.duration, absl::ZeroDuration());
    log_.Add(absl::StrCat(name_, " ", request.principal, " ", outcome.status, " ",
                          outcome.body_bytes, " ", static_cast<int>(outcome.end)));
  }

 private:
  const std::string name_;
  Log& log_;
};

TEST(ServerTest, FiltersSeeHeadAndEnd) {
  using Lines = std::vector<std::string>;
  LogFilter::Log log;
  ServerOptions options;
  options.filters = {[&] { return std::make_unique<LogFilter>("a", log); },
                     [&] { return std::make_unique<LogFilter>("b", log); }};
  std::shared_ptr<Exchange> held;
  TestServer server(
      [&](std::shared_ptr<Exchange> exchange) {
        exchange->request().path == "/hold" ? void(held = std::move(exchange)) : Echo(exchange);
      },
      options);
  RawClient client(server.port());
  client.Send(Post("hi"));
  EXPECT_EQ(client.ReadAnswer().body, "/|hi");
  EXPECT_EQ(log.Await(4), (Lines{"a POST/", "b POST/", "b ab 200 4 0", "a ab 200 4 0"}));

  // Refused with a short body: the connection lives on.
  client.Send(Post("hi", "Refuse: a\r\n"));
  EXPECT_EQ(client.ReadAnswer().status, 401);
  EXPECT_EQ(log.Await(3), (Lines{"a POST/", "b a 401 2 0", "a a 401 2 0"}));
  client.Send(Get("/"));
  EXPECT_EQ(client.ReadAnswer().status, 200);
  log.Await(4);

  // Refused before a long body was sent, or one that waits to be asked for.
  for (const char* more :
       {"Content-Length: 9999999\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n"}) {
    RawClient refused(server.port());
    refused.Send(absl::StrCat("POST / HTTP/1.1\r\nHost: h\r\nRefuse: b\r\n", more, "\r\n"));
    EXPECT_EQ(refused.ReadAnswer().status, 401);
    EXPECT_TRUE(refused.AtEnd());
    EXPECT_EQ(log.Await(4), (Lines{"a POST/", "b POST/", "b ab 401 2 0", "a ab 401 2 0"}));
  }

  RawClient malformed(server.port());
  malformed.Send("nonsense\r\n\r\n");
  EXPECT_EQ(malformed.ReadAnswer().status, 400);
  EXPECT_EQ(log.Await(2).size(), 2u);

  RawClient leaves(server.port());
  leaves.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
  log.Await(2);
  leaves.Close();
  EXPECT_EQ(log.Await(2), (Lines{"b ab 499 0 2", "a ab 499 0 2"}));
  RawClient impatient(server.port());
  impatient.Send(Get("/hold"));
  log.Await(2);
  impatient.Close();
  EXPECT_EQ(log.Await(2), (Lines{"b ab 499 0 2", "a ab 499 0 2"}));
}

TEST(ServerTest, ListensOnIpv6) {
  FunctionHandler handler([](std::shared_ptr<Exchange> exchange) {
    exchange->Reply({200, {}, exchange->request().peer});
  });
  ServerOptions options;
  options.listen = "[::]:0";
  options.error = [](int status, std::string_view) { return Response{status, {}, ""}; };
  const auto server = Server::Start(options, handler);
  if (!server.ok()) GTEST_SKIP() << server.status();
  RawClient client((*server)->port());
  client.Send(Get("/"));
  EXPECT_EQ(client.ReadAnswer().body, "127.0.0.1");  // not ::ffff:127.0.0.1
}

TEST(ServerTest, StartSaysWhatIsWrong) {
  FunctionHandler handler(Echo);
  ServerOptions good;
  good.listen = "127.0.0.1:0";
  good.error = [](int status, std::string_view) { return Response{status, {}, ""}; };
  const auto message = [&](const ServerOptions& options) {
    return std::string(Server::Start(options, handler).status().message());
  };
  for (const char* listen :
       {"", "8080", "localhost", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80", ":80"}) {
    ServerOptions options = good;
    options.listen = listen;
    EXPECT_TRUE(absl::StrContains(message(options), "it looks like 127.0.0.1:8080")) << listen;
  }
  const auto first = Server::Start(good, handler);
  ServerOptions options = good;
  options.listen = absl::StrCat("127.0.0.1:", (*first)->port());
  EXPECT_TRUE(absl::StrContains(message(options), "Address already in use"));
  options = good;
  options.trusted_proxies = {"10.0.0.0/99"};
  EXPECT_TRUE(absl::StrContains(message(options), "10.0.0.0/99"));
  options = good;
  options.tls = {{"/nowhere/cert.pem", "/nowhere/key.pem"}};
  EXPECT_TRUE(absl::StrContains(message(options), "/nowhere/cert.pem"));
}

}  // namespace
}  // namespace spotinference::http
