// What a server refuses, whom it gives up on, and how it stops.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gateway/http/test_server.h"
#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

using Answer = RawClient::Answer;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

void Ok(std::shared_ptr<Exchange> exchange) {
  exchange->Reply({200, {}, exchange->request().peer});
}

TEST(ServerLimitsTest, RefusesWithAReasonAndCloses) {
  TestServer server(Ok);
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::pair<int, std::string> cases[] = {
      {400, "\x16\x03\x01 this is no HTTP\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kGet},
      {400, post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
      {413, post + "Content-Length: 33554433\r\n\r\n"},  // before any of it comes
      {413, post + "Content-Length: 33554433\r\nExpect: 100-continue\r\n\r\n"},
      {414, "GET /" + std::string(9000, 'a')},
      {417, post + "Expect: tea\r\n\r\n"},
      {431, "GET / HTTP/1.1\r\nHost: h\r\na: " + std::string(65 << 10, 'a')},
  };
  for (const auto& [status, bytes] : cases) {
    RawClient client(server.port());
    client.Send(bytes);
    const Answer answer = client.ReadAnswer();
    EXPECT_EQ(answer.status, status) << bytes.substr(0, 100);
    EXPECT_TRUE(answer.complete);
    EXPECT_GT(answer.body.size(), 20u);
    EXPECT_TRUE(absl::StrContains(answer.head, "connection: close"));
    EXPECT_TRUE(client.AtEnd());
  }
}

TEST(ServerLimitsTest, ABodyTooLargeIsRefusedWhileItIsBeingSent) {
  ServerOptions options;
  options.request.body_bytes = 100'000;
  TestServer server(Ok, options);
  RawClient client(server.port());
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  // The client sends all of it before it reads, as many do, and still gets its answer.
  const std::string chunk = absl::StrCat("2710\r\n", std::string(10'000, 'x'), "\r\n");
  for (int i = 0; i < 1000; ++i) client.Send(chunk);
  EXPECT_EQ(client.ReadAnswer().status, 413);
}

TEST(ServerLimitsTest, SlowRequests) {
  ServerOptions options;
  options.head_timeout = absl::Milliseconds(60);
  options.body_timeout = absl::Milliseconds(60);
  TestServer server(Ok, options);
  RawClient head(server.port());
  head.Send("GET / HTTP/1.1\r\n");
  EXPECT_EQ(head.ReadAnswer().status, 408);
  EXPECT_TRUE(head.AtEnd());
  RawClient body(server.port());
  body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx");
  EXPECT_EQ(body.ReadAnswer().status, 408);
  EXPECT_TRUE(body.AtEnd());
}

TEST(ServerLimitsTest, IdleConnections) {
  ServerOptions options;
  options.idle_timeout = absl::Seconds(3);
  TestServer server(Ok, options);
  RawClient silent(server.port()), served(server.port());
  served.Send(kGet);
  EXPECT_EQ(served.ReadAnswer().status, 200);
  EXPECT_TRUE(served.AtEnd());
  EXPECT_TRUE(silent.AtEnd());
}

TEST(ServerLimitsTest, AStalledReaderIsDroppedAndCostsNobodyElse) {
  ServerOptions options;
  options.write_timeout = absl::Milliseconds(300);
  absl::Notification closed;
  std::shared_ptr<Exchange> stalled;
  size_t written = 0;
  TestServer server(
      [&](std::shared_ptr<Exchange> exchange) {
        if (exchange->request().path != "/stream") return Ok(exchange);
        exchange->OnClosed([&] { closed.Notify(); });
        const auto write = [&written, weak = std::weak_ptr<Exchange>(exchange)] {
          const auto exchange = weak.lock();
          while (exchange && exchange->Write(std::string(1000, 'x'))) written += 1000;
        };
        exchange->OnWritable(write);
        exchange->StartStream(200, {});
        write();
        stalled = std::move(exchange);
      },
      options);
  RawClient reader(server.port(), /*receive_buffer_bytes=*/4096);
  reader.Send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  reader.ReadUntil("\r\n\r\n");
  RawClient other(server.port());
  for (int i = 0; i < 100; ++i) {
    other.Send(kGet);
    EXPECT_EQ(other.ReadAnswer().status, 200);
    EXPECT_LE(stalled->buffered_bytes(), options.stream.high_bytes + 1000);
  }
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(absl::Seconds(20)));
  // All that ever left the producer: the kernels' buffers (64 KiB and more on loopback) and ours.
  EXPECT_LT(written, 400'000u);
  EXPECT_FALSE(stalled->Write("x"));
}

TEST(ServerLimitsTest, ConnectionsPerAddress) {
  ServerOptions options;
  options.connections_per_address = 2;
  TestServer server(Ok, options);
  RawClient first(server.port()), second(server.port());
  first.Send(kGet);
  EXPECT_EQ(first.ReadAnswer().body, "127.0.0.1");
  second.Send(kGet);
  second.ReadAnswer();
  RawClient third(server.port());
  third.Send(kGet);
  const Answer refused = third.ReadAnswer();
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(absl::StrContains(refused.head, "retry-after: 1\r\n"));
  EXPECT_TRUE(absl::StrContains(refused.head, "retry-after-ms: 1000\r\n"));
  EXPECT_TRUE(third.AtEnd());
  RawClient fourth(server.port());
  EXPECT_EQ(fourth.ReadAnswer().status, 429);  // without waiting for a request
  RawClient fifth(server.port());
  EXPECT_TRUE(fifth.AtEnd());
  third.Close();
  fourth.Close();
  first.Close();
  while (server.server->connections() > 1) std::this_thread::yield();
  RawClient sixth(server.port());
  sixth.Send(kGet);
  EXPECT_EQ(sixth.ReadAnswer().status, 200);
}

TEST(ServerLimitsTest, ATrustedProxySpeaksForItsClients) {
  ServerOptions options;
  options.connections_per_address = 1;
  options.trusted_proxies = {"127.0.0.0/8"};
  std::shared_ptr<Exchange> held;
  absl::Notification holding;
  TestServer server(
      [&](std::shared_ptr<Exchange> exchange) {
        if (exchange->request().path != "/hold") return Ok(exchange);
        held = std::move(exchange);
        holding.Notify();
      },
      options);
  const auto forwarded = [](const char* path, const char* client) {
    return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1, ", client,
                        "\r\n\r\n");
  };
  RawClient one(server.port()), two(server.port());
  one.Send(forwarded("/hold", "198.51.100.7"));
  holding.WaitForNotification();
  two.Send(forwarded("/", "198.51.100.8"));
  EXPECT_EQ(two.ReadAnswer().body, "198.51.100.8");
  two.Send(forwarded("/", "198.51.100.7"));
  EXPECT_EQ(two.ReadAnswer().status, 429);
  Ok(held);
  EXPECT_EQ(one.ReadAnswer().body, "198.51.100.7");
  one.Send(forwarded("/", "198.51.100.7"));
  EXPECT_EQ(one.ReadAnswer().status, 200);
}

TEST(ServerLimitsTest, AtTheLimitNewConnectionsWait) {
  ServerOptions options;
  options.connections = 1;
  TestServer server(Ok, options);
  RawClient first(server.port());
  first.Send(kGet);
  EXPECT_EQ(first.ReadAnswer().status, 200);
  RawClient second(server.port());
  second.Send(kGet);
  first.Send(kGet);
  EXPECT_EQ(first.ReadAnswer().status, 200);
  EXPECT_EQ(server.server->connections(), 1u);
  first.Close();
  EXPECT_EQ(second.ReadAnswer().status, 200);
}

TEST(ServerLimitsTest, SurvivesRunningOutOfFileDescriptors) {
  TestServer server(Ok);
  RawClient before(server.port());
  before.Send(kGet);
  EXPECT_EQ(before.ReadAnswer().status, 200);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int next = dup(0);
  close(next);
  rlimit tight = old;
  tight.rlim_cur = next + 1;  // one more: the client's end, and none for the server's
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  RawClient late(server.port());
  EXPECT_EQ(late.fd(), next);
  for (int i = 0; i < 10; ++i) {
    before.Send(kGet);
    EXPECT_EQ(before.ReadAnswer().status, 200);
  }
  EXPECT_EQ(server.server->connections(), 1u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  late.Send(kGet);
  EXPECT_EQ(late.ReadAnswer().status, 200);
}

size_t ResidentBytes() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * 4096;
}

// Runs `add` 100 times to warm up and `count` times more; the memory that each of the latter kept.
size_t BytesForEach(int count, const std::function<void()>& add) {
  for (int i = 0; i < 100; ++i) add();
  const size_t before = ResidentBytes();
  for (int i = 0; i < count; ++i) add();
  const size_t each = (ResidentBytes() - before) / count;
  std::printf("%zu bytes for each\n", each);
  return each;
}

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kMemoryFactor = 8;  // red zones and shadow
#else
constexpr size_t kMemoryFactor = 1;
#endif

TEST(ServerLimitsTest, AThousandIdleConnectionsCostLittle) {
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  TestServer server(Ok);
  std::vector<std::unique_ptr<RawClient>> clients;
  EXPECT_LT(BytesForEach(1000,
                         [&] {
                           clients.push_back(std::make_unique<RawClient>(server.port()));
                           clients.back()->Send(kGet);
                           ASSERT_EQ(clients.back()->ReadAnswer().status, 200);
                         }),
            4096u * kMemoryFactor);
  EXPECT_EQ(server.server->connections(), 1100u);
  for (const auto& client : clients) {
    client->Send(kGet);
    ASSERT_EQ(client->ReadAnswer().status, 200);
  }
}

TEST(ServerLimitsTest, AStreamToAClientThatReadsNothingIsBounded) {
  std::vector<std::shared_ptr<Exchange>> held;
  absl::Mutex mutex;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    const auto write = [weak = std::weak_ptr<Exchange>(exchange)] {
      const auto exchange = weak.lock();
      while (exchange && exchange->Write(std::string(200, 'x'))) {
      }
    };
    exchange->OnWritable(write);
    exchange->StartStream(200, {});
    write();
    absl::MutexLock lock(&mutex);
    held.push_back(std::move(exchange));
  });
  std::vector<std::unique_ptr<RawClient>> clients;
  EXPECT_LT(BytesForEach(200,
                         [&] {
                           clients.push_back(std::make_unique<RawClient>(
                               server.port(), /*receive_buffer_bytes=*/4096));
                           clients.back()->Send(kGet);
                           const auto begun = [&] { return held.size() == clients.size(); };
                           absl::MutexLock lock(&mutex, absl::Condition(&begun));
                         }),
            (64u << 10) * kMemoryFactor);
}

TEST(ServerStopTest, EndsEachInItsOwnWay) {
  std::vector<std::shared_ptr<Exchange>> held;
  absl::Mutex mutex;
  const auto await = [&](size_t count) {
    const auto there = [&] { return held.size() == count; };
    absl::MutexLock lock(&mutex, absl::Condition(&there));
  };
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    const std::string path = exchange->request().path;
    if (path != "/unanswered") {
      exchange->StartStream(200, {});
      exchange->Write("data: 1\n\n");
    }
    if (path == "/told") {
      exchange->OnShutdown([weak = std::weak_ptr<Exchange>(exchange)] {
        const auto exchange = weak.lock();
        exchange->Write("data: error\n\n");
        exchange->Abort();
      });
    }
    absl::MutexLock lock(&mutex);
    held.push_back(std::move(exchange));
  });
  RawClient idle(server.port()), finishes(server.port()), told(server.port()),
      untold(server.port());
  RawClient unanswered(server.port()), half(server.port());
  finishes.Send("GET /finishes HTTP/1.1\r\nHost: h\r\n\r\n");
  finishes.ReadUntil("data: 1");
  await(1);
  told.Send("GET /told HTTP/1.1\r\nHost: h\r\n\r\n");
  untold.Send("GET /untold HTTP/1.1\r\nHost: h\r\n\r\n");
  unanswered.Send("GET /unanswered HTTP/1.1\r\nHost: h\r\n\r\n");
  half.Send("GET /half HTTP/1.1\r\nHost:");
  await(4);
  while (server.server->connections() < 6) std::this_thread::yield();

  std::thread stop([&] { server.server->Stop(absl::Seconds(5)); });
  EXPECT_TRUE(idle.AtEnd());
  // In progress, and so served to its end within the grace.
  held[0]->Write("data: 2\n\n");
  held[0]->Finish();
  EXPECT_EQ(finishes.ReadUntil("0\r\n\r\n"), "\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n");
  EXPECT_TRUE(finishes.AtEnd());
  const Answer told_answer = told.ReadAnswer();
  EXPECT_EQ(told_answer.body, "data: 1\n\ndata: error\n\n");
  EXPECT_FALSE(told_answer.complete);
  const Answer untold_answer = untold.ReadAnswer();
  EXPECT_EQ(untold_answer.body, "data: 1\n\n");
  EXPECT_FALSE(untold_answer.complete);
  EXPECT_EQ(unanswered.ReadAnswer().status, 503);
  EXPECT_EQ(half.ReadAll(), "");
  for (RawClient* client : {&idle, &finishes, &told, &untold, &unanswered, &half}) client->Close();
  stop.join();
  EXPECT_EQ(server.server->connections(), 0u);
  // Exchanges outlive the server without harm.
  server.server.reset();
  for (const auto& exchange : held) EXPECT_FALSE(exchange->Write("x"));
}

TEST(ServerStopTest, DoesNotWaitForAClientThatReadsNothing) {
  std::shared_ptr<Exchange> held;
  absl::Notification full;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    exchange->StartStream(200, {});
    held = exchange;
    exchange->Write(std::string(900'000, 'x'));
    full.Notify();
  });
  RawClient client(server.port(), /*receive_buffer_bytes=*/4096);
  client.Send(kGet);
  full.WaitForNotification();
  server.server->Stop(absl::ZeroDuration());
  EXPECT_FALSE(client.ReadAnswer().complete);
}

}  // namespace
}  // namespace spotinference::http
