#include "engine/base/http_client.h"

#include <stdlib.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/base/fake_http_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

class HttpClientTest : public testing::Test {
 protected:
  // What the server answers to a target.
  void Answer(const std::string& target, FakeHttpReply reply) {
    absl::MutexLock lock(&mutex_);
    replies_[target] = std::move(reply);
  }
  FakeHttpRequest Seen() {
    absl::MutexLock lock(&mutex_);
    return seen_.back();
  }
  std::string Url(const std::string& target) const { return absl::StrCat(server_.url(), target); }
  absl::StatusOr<HttpResponse> Get(const std::string& target) { return client_.Do({.url = Url(target)}); }

  absl::Mutex mutex_;
  std::map<std::string, FakeHttpReply> replies_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeHttpRequest> seen_ ABSL_GUARDED_BY(mutex_);
  absl::Notification asked_;
  FakeHttpServer server_{[this](const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    seen_.push_back(request);
    if (!asked_.HasBeenNotified()) asked_.Notify();
    const auto found = replies_.find(request.target);
    return found == replies_.end() ? FakeHttpReply{.status = 404} : found->second;
  }};
  HttpClient client_;
};

TEST_F(HttpClientTest, AsksAndAnswers) {
  Answer("/a?b=c", {.headers = {{"X-One", "1"}, {"x-empty", ""}}, .body = "text"});
  const auto response = client_.Do({.url = Url("/a?b=c"), .headers = {{"x-mine", "yes"}, {"x-nothing", ""}}});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "text");
  EXPECT_EQ(FindHeader(response->headers, "x-ONE"), "1");
  EXPECT_EQ(FindHeader(response->headers, "x-empty"), "");
  EXPECT_EQ(FindHeader(response->headers, "x-two"), std::nullopt);
  EXPECT_EQ(Seen().method, "GET");
  EXPECT_EQ(FindHeader(Seen().headers, "X-Mine"), "yes");
  EXPECT_EQ(FindHeader(Seen().headers, "x-nothing"), "");
  EXPECT_EQ(FindHeader(Seen().headers, "accept-encoding"), std::nullopt);
}

TEST_F(HttpClientTest, AnyStatusIsAnAnswer) {
  for (const int status : {204, 301, 401, 404, 429, 503}) {
    Answer("/", {.status = status});
    const auto response = Get("/");
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, status);
  }
}

TEST_F(HttpClientTest, EveryMethod) {
  Answer("/", {.headers = {{"content-length", "3"}}, .body = "abc"});
  for (const char* method : {"PUT", "POST"}) {
    for (const std::string& body : {std::string(), std::string("some\0thing", 10), std::string(100000, 'x')}) {
      ASSERT_TRUE(client_.Do({.method = method, .url = Url("/"), .body = body}).ok());
      EXPECT_EQ(Seen().method, method);
      EXPECT_EQ(Seen().body, body);
      EXPECT_EQ(FindHeader(Seen().headers, "content-type"), std::nullopt);
      EXPECT_EQ(FindHeader(Seen().headers, "expect"), std::nullopt);
    }
  }
  const auto head = client_.Do({.method = "HEAD", .url = Url("/")});
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(Seen().method, "HEAD");
  EXPECT_EQ(FindHeader(head->headers, "content-length"), "3");
  EXPECT_EQ(head->body, "");
}

TEST_F(HttpClientTest, ARangeIsAsked) {
  Answer("/", {.status = 206});
  ASSERT_TRUE(client_.Do({.url = Url("/"), .range = HttpRange{5, 9}}).ok());
  EXPECT_EQ(FindHeader(Seen().headers, "range"), "bytes=5-9");
  ASSERT_TRUE(client_.Do({.url = Url("/"), .range = HttpRange{int64_t{5} << 40}}).ok());
  EXPECT_EQ(FindHeader(Seen().headers, "range"), "bytes=5497558138880-");
  ASSERT_TRUE(Get("/").ok());
  EXPECT_EQ(FindHeader(Seen().headers, "range"), std::nullopt);
}

TEST_F(HttpClientTest, ABodyGoesWhereItIsWanted) {
  const std::string body(3 << 20, 'b');
  Answer("/", {.headers = {{"etag", "e"}}, .body = body});
  std::string got;
  int heads = 0;
  const auto response = client_.Do({.url = Url("/"),
                                    .max_body_bytes = 3 << 20,
                                    .on_head =
                                        [&](const HttpResponse& head) {
                                          ++heads;
                                          EXPECT_EQ(got, "");
                                          EXPECT_EQ(head.status, 200);
                                          EXPECT_EQ(FindHeader(head.headers, "etag"), "e");
                                          return absl::OkStatus();
                                        },
                                    .on_body =
                                        [&](absl::string_view piece) {
                                          got.append(piece.data(), piece.size());
                                          return absl::OkStatus();
                                        }});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(got, body);
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(heads, 1);
}

TEST_F(HttpClientTest, WhatACallbackSaysIsTheResult) {
  Answer("/", {.body = "abc"});
  Answer("/empty", {.status = 416});
  const absl::Status full = absl::DataLossError("the disk is full");
  const auto refuse = [&](auto) { return full; };
  EXPECT_EQ(client_.Do({.url = Url("/"), .on_body = refuse}).status(), full);
  EXPECT_EQ(client_.Do({.url = Url("/"), .on_head = refuse}).status(), full);
  EXPECT_EQ(client_.Do({.url = Url("/empty"), .on_head = refuse}).status(), full);
  EXPECT_TRUE(Get("/").ok()) << "the client can be used again";
}

TEST_F(HttpClientTest, ABodyHasALimit) {
  Answer("/", {.body = "0123456789"});
  EXPECT_TRUE(client_.Do({.url = Url("/"), .max_body_bytes = 10}).ok());
  const absl::Status over = client_.Do({.url = Url("/"), .max_body_bytes = 9}).status();
  EXPECT_EQ(over.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(over.message(), "a body of more than 9 bytes");
}

TEST_F(HttpClientTest, HeadersHaveALimit) {
  HttpHeaders many;
  for (int i = 0; i < 300; ++i) many.emplace_back(absl::StrCat("x-", i), std::string(1000, 'h'));
  Answer("/", {.headers = many});
  EXPECT_EQ(Get("/").status().code(), StatusCode::kResourceExhausted);
}

TEST_F(HttpClientTest, ABrokenAnswerIsAnError) {
  Answer("/", {.body = "0123456789", .cut_after = 4});
  const absl::Status broken = Get("/").status();
  EXPECT_EQ(broken.code(), StatusCode::kUnavailable) << broken;
  EXPECT_THAT(std::string(broken.message()), HasSubstr(absl::StrCat("GET ", Url("/"), ": ")));
}

TEST_F(HttpClientTest, TimeOuts) {
  Answer("/", {.body = "0123456789", .cut_after = 4, .hangs = true});
  const absl::Status late = client_.Do({.url = Url("/"), .timeout = absl::Milliseconds(50)}).status();
  EXPECT_EQ(late.code(), StatusCode::kDeadlineExceeded) << late;
  const absl::Status stalled =
      client_.Do({.url = Url("/"), .timeout = absl::InfiniteDuration(), .stall_timeout = absl::Seconds(1)}).status();
  EXPECT_EQ(stalled.code(), StatusCode::kDeadlineExceeded) << stalled;
}

TEST_F(HttpClientTest, NobodyThere) {
  const std::string url = FakeHttpServer([](const FakeHttpRequest&) { return FakeHttpReply(); }).url();  // gone again
  EXPECT_EQ(client_.Do({.url = url}).status().code(), StatusCode::kUnavailable);
}

TEST_F(HttpClientTest, CancelEndsTheRequestUnderWayAndLaterOnes) {
  Answer("/", {.headers = {{"content-length", "1"}}, .hangs = true});
  std::thread other([&] {
    asked_.WaitForNotification();
    client_.Cancel();
  });
  EXPECT_EQ(client_.Do({.url = Url("/"), .timeout = absl::InfiniteDuration()}).status().code(), StatusCode::kCancelled);
  other.join();
  EXPECT_EQ(Get("/").status().code(), StatusCode::kCancelled);
}

TEST_F(HttpClientTest, RedirectsAreFollowedWhereAsked) {
  Answer("/from", {.status = 302, .headers = {{"location", "/to"}, {"x-first", "1"}}, .body = "moved"});
  Answer("/to", {.headers = {{"x-second", "2"}}, .body = "here"});
  Answer("/round", {.status = 302, .headers = {{"location", "/round"}}});
  Answer("/file", {.status = 302, .headers = {{"location", "file:///etc/passwd"}}});
  const auto kept = Get("/from");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->status, 302);
  EXPECT_EQ(FindHeader(kept->headers, "location"), "/to");
  int heads = 0;
  const auto followed = client_.Do({.url = Url("/from"), .max_redirects = 1, .on_head = [&](const HttpResponse& head) {
                                      ++heads;
                                      EXPECT_EQ(head.status, 200);
                                      return absl::OkStatus();
                                    }});
  ASSERT_TRUE(followed.ok()) << followed.status();
  EXPECT_EQ(followed->status, 200);
  EXPECT_EQ(followed->body, "here");
  EXPECT_EQ(FindHeader(followed->headers, "x-first"), std::nullopt);
  EXPECT_EQ(FindHeader(followed->headers, "x-second"), "2");
  EXPECT_EQ(heads, 1);
  EXPECT_EQ(client_.Do({.url = Url("/round"), .max_redirects = 3}).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(client_.Do({.url = Url("/file"), .max_redirects = 3}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(HttpClientTest, CredentialsStayWithTheirHost) {
  FakeHttpServer elsewhere([](const FakeHttpRequest& request) {
    return FakeHttpReply{.body = std::string(FindHeader(request.headers, "authorization").value_or("none"))};
  });
  // Another port is another host for curl, as it should be.
  Answer("/from", {.status = 302, .headers = {{"location", elsewhere.url()}}});
  const auto response =
      client_.Do({.url = Url("/from"), .headers = {{"Authorization", "Bearer secret"}}, .max_redirects = 1});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "none");
  EXPECT_EQ(FindHeader(Seen().headers, "authorization"), "Bearer secret");
}

TEST_F(HttpClientTest, TheEnvironmentsProxyIsForThoseWhoAsk) {
  FakeHttpServer proxy([](const FakeHttpRequest& request) { return FakeHttpReply{.body = "by way of a proxy"}; });
  setenv("http_proxy", proxy.url().c_str(), 1);
  Answer("/", {.body = "straight"});
  const auto straight = Get("/");
  const auto around = client_.Do({.url = Url("/"), .environment_proxy = true});
  unsetenv("http_proxy");
  ASSERT_TRUE(straight.ok() && around.ok());
  EXPECT_EQ(straight->body, "straight");
  EXPECT_EQ(around->body, "by way of a proxy");
}

TEST_F(HttpClientTest, RefusesWhatIsNoRequest) {
  const std::vector<HttpRequest> wrong = {
      {.method = "TRACE", .url = Url("/")},
      {.url = "file:///etc/passwd"},
      {.url = "127.0.0.1"},
      {.url = ""},
      {.url = "http://a b/"},
      {.url = Url("/"), .headers = {{"", "x"}}},
      {.url = Url("/"), .headers = {{"a b", "x"}}},
      {.url = Url("/"), .headers = {{"a", "x\r\nhost: elsewhere"}}},
      {.url = Url("/"), .range = HttpRange{-1}},
      {.url = Url("/"), .range = HttpRange{5, 4}},
  };
  for (size_t i = 0; i < wrong.size(); ++i) {
    const absl::Status status = client_.Do(wrong[i]).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << i << ": " << status;
  }
}

TEST_F(HttpClientTest, ErrorsKeepSecrets) {
  Answer("/a?signature=hidden", {.body = "0123456789", .cut_after = 4});
  const std::string address = server_.url().substr(7);
  const absl::Status status = client_.Do({.url = absl::StrCat("http://me:hidden@", address, "/a?signature=hidden"),
                                          .headers = {{"authorization", "hidden"}}})
                                  .status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("GET http://", address, "/a: ")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hidden")));
}

}  // namespace
}  // namespace spotinference
