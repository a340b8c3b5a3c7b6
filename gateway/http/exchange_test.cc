#include "gateway/http/exchange.h"

#include <memory>

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

using End = Exchange::End;

struct Pair {
  explicit Pair(StreamLimits limits = {.high_bytes = 100, .low_bytes = 20, .max_bytes = 1000}) {
    Exchange::Sides sides = Exchange::Create(Request(), limits, [this] { ++wakes; });
    handler = std::move(sides.handler);
    connection = std::move(sides.connection);
  }
  int wakes = 0;
  std::shared_ptr<Exchange> handler;
  std::shared_ptr<Exchange> connection;
};

TEST(ExchangeTest, AWholeReply) {
  Pair pair;
  pair.handler->Reply({201, {{"a", "b"}}, "body"});
  pair.handler->Reply({500, {}, "late"});
  EXPECT_EQ(pair.wakes, 1);
  EXPECT_TRUE(pair.connection->ended());
  const Exchange::Output output = pair.connection->Take();
  EXPECT_TRUE(output.starts);
  EXPECT_TRUE(output.whole);
  EXPECT_EQ(output.status, 201);
  EXPECT_EQ(output.headers.Get("a"), "b");
  EXPECT_EQ(output.bytes, "body");
  EXPECT_EQ(output.end, End::kClean);
}

TEST(ExchangeTest, NotesAreTheRequestsUntilTheAnswerIsOver) {
  Pair pair;
  pair.handler->StartStream(200, {});
  pair.handler->Note("a", "1");
  pair.handler->Finish();
  pair.handler->Note("b", "2");
  EXPECT_EQ(pair.connection->request().Capture("a"), "1");
  EXPECT_EQ(pair.connection->request().Capture("b"), "");

  Pair gone;
  gone.connection->Close(/*client_gone=*/true);
  gone.handler->Note("a", "1");
  EXPECT_TRUE(gone.connection->request().captures.empty()) << "its filters may be reading them";
}

TEST(ExchangeTest, WritesBetweenTakesAreOne) {
  Pair pair;
  pair.handler->StartStream(200, {});
  EXPECT_TRUE(pair.handler->Write("ab"));
  EXPECT_TRUE(pair.handler->Write("cd"));
  EXPECT_EQ(pair.wakes, 1);
  Exchange::Output output = pair.connection->Take();
  EXPECT_TRUE(output.starts);
  EXPECT_FALSE(output.whole);
  EXPECT_EQ(output.bytes, "abcd");
  EXPECT_EQ(output.end, End::kNone);
  pair.connection->Written();
  pair.handler->Write("ef");
  pair.handler->Finish();
  EXPECT_EQ(pair.wakes, 2);
  EXPECT_FALSE(pair.handler->Write("late"));
  output = pair.connection->Take();
  EXPECT_FALSE(output.starts);
  EXPECT_EQ(output.bytes, "ef");
  EXPECT_EQ(output.end, End::kClean);
}

TEST(ExchangeTest, PausesAtTheHighMarkAndGoesOnAtTheLow) {
  Pair pair;
  int writable = 0;
  pair.handler->OnWritable([&] { ++writable; });
  pair.handler->StartStream(200, {});
  EXPECT_TRUE(pair.handler->Write(std::string(99, 'x')));
  EXPECT_FALSE(pair.handler->Write("x"));
  EXPECT_EQ(pair.handler->buffered_bytes(), 100u);
  pair.connection->Take();
  EXPECT_EQ(pair.handler->buffered_bytes(), 100u);  // not yet with the socket
  EXPECT_FALSE(pair.handler->Write(std::string(21, 'x')));
  pair.connection->Written();
  EXPECT_EQ(writable, 0);  // 21 is more than 20
  pair.connection->Take();
  pair.connection->Written();
  EXPECT_EQ(writable, 1);
  EXPECT_TRUE(pair.handler->Write("x"));
  pair.connection->Take();
  pair.connection->Written();
  EXPECT_EQ(writable, 1);
}

TEST(ExchangeTest, AProducerThatIgnoresThePauseLosesItsStream) {
  Pair pair;
  pair.handler->StartStream(200, {});
  pair.handler->Write(std::string(1000, 'x'));
  EXPECT_FALSE(pair.handler->Write("x"));
  EXPECT_EQ(pair.connection->Take().end, End::kAborted);
  EXPECT_FALSE(pair.handler->Write("x"));
}

TEST(ExchangeTest, AProducerThatLostItsStreamHearsThatItIsOver) {
  Pair pair;
  int closed = 0;
  pair.handler->OnClosed([&] { ++closed; });
  pair.handler->StartStream(200, {});
  pair.handler->Write(std::string(1000, 'x'));
  pair.handler->Write("x");
  pair.connection->Take();
  pair.connection->Close(/*client_gone=*/false);
  EXPECT_EQ(closed, 1);
  pair.handler->OnClosed([&] { closed += 10; });  // too late: at once
  EXPECT_EQ(closed, 11);
}

TEST(ExchangeTest, OneWriteOfAnySizeIsTaken) {
  Pair pair;
  pair.handler->StartStream(200, {});
  EXPECT_TRUE(pair.handler->Write(std::string(99, 'x')));
  EXPECT_FALSE(pair.handler->Write(std::string(5000, 'x')));  // a pause, not an end
  const Exchange::Output output = pair.connection->Take();
  EXPECT_EQ(output.bytes.size(), 5099u);
  EXPECT_EQ(output.end, End::kNone);
}

TEST(ExchangeTest, AbortKeepsWhatWasWritten) {
  Pair pair;
  pair.handler->StartStream(200, {});
  pair.handler->Write("last words");
  pair.handler->Abort();
  pair.handler->Finish();
  const Exchange::Output output = pair.connection->Take();
  EXPECT_EQ(output.bytes, "last words");
  EXPECT_EQ(output.end, End::kAborted);
}

TEST(ExchangeTest, DroppedUnansweredAndInMidStream) {
  Pair silent;
  silent.handler.reset();
  EXPECT_EQ(silent.wakes, 1);
  EXPECT_EQ(silent.connection->Take().end, End::kDropped);

  Pair streaming;
  streaming.handler->StartStream(200, {});
  std::shared_ptr<Exchange> copy = streaming.handler;
  streaming.handler.reset();
  EXPECT_FALSE(streaming.connection->ended());
  copy.reset();
  EXPECT_EQ(streaming.connection->Take().end, End::kAborted);
}

TEST(ExchangeTest, TellsOnceThatTheClientHasGone) {
  Pair pair;
  int closed = 0;
  pair.handler->OnClosed([&] { ++closed; });
  pair.handler->StartStream(200, {});
  pair.connection->Close(/*client_gone=*/true);
  pair.connection->Close(/*client_gone=*/true);
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(pair.handler->Write("x"));
  EXPECT_EQ(pair.handler->buffered_bytes(), 0u);
  pair.handler->OnClosed([&] { closed += 10; });  // too late: at once
  EXPECT_EQ(closed, 11);
  pair.handler->Finish();
}

TEST(ExchangeTest, AClientThatLeavesAfterTheEndIsNoNews) {
  Pair pair;
  int closed = 0;
  pair.handler->OnClosed([&] { ++closed; });
  pair.handler->Reply({});
  pair.connection->Close(/*client_gone=*/true);
  pair.handler->OnClosed([&] { ++closed; });
  EXPECT_EQ(closed, 0);
}

TEST(ExchangeTest, CallbacksThatOwnTheExchangeAreLetGo) {
  Pair pair;
  pair.handler->OnClosed([self = pair.handler] {});
  pair.handler->OnWritable([self = pair.handler] {});
  pair.handler->OnShutdown([self = pair.handler] {});
  pair.handler->OnWritable([self = pair.handler] {});
  const std::weak_ptr<Exchange> weak = pair.handler;
  pair.handler.reset();
  EXPECT_FALSE(weak.expired());
  pair.connection->Close(false);
  EXPECT_TRUE(weak.expired());
}

TEST(ExchangeTest, ShutdownLetsTheHandlerSayALastWord) {
  Pair pair;
  pair.handler->OnShutdown([&] {
    pair.handler->Write("error");
    pair.handler->Abort();
  });
  pair.handler->StartStream(200, {});
  pair.connection->Shutdown();
  const Exchange::Output output = pair.connection->Take();
  EXPECT_EQ(output.bytes, "error");
  EXPECT_EQ(output.end, End::kAborted);
}

}  // namespace
}  // namespace spotinference::http
