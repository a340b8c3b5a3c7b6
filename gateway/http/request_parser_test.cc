#include "gateway/http/request_parser.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

constexpr RequestLimits kLimits = {
    .target_bytes = 100, .head_bytes = 1000, .head_fields = 10, .body_bytes = 50};

struct Parsed {
  int error = 0;  // status
  std::string message;
  bool done = false;
  Request request;
  std::string rest;
};

// Feeds `bytes` in pieces of `step`.
Parsed Parse(std::string_view bytes, size_t step) {
  RequestParser parser(kLimits);
  Parsed parsed;
  std::string pending;
  while (!bytes.empty() && parsed.error == 0 && !parser.done()) {
    pending.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    for (bool again = true; again;) {
      std::string_view rest = pending;
      const bool head_done = parser.head_done();
      if (const auto error = parser.Advance(rest)) {
        parsed.error = error->status;
        parsed.message = error->message;
        break;
      }
      pending.erase(0, pending.size() - rest.size());
      again = !head_done && parser.head_done();  // it stops behind the head
    }
  }
  parsed.done = parser.done();
  parsed.request = std::move(parser.request());
  parsed.rest = pending + std::string(bytes);
  return parsed;
}

// The same in one piece, in single bytes and in between.
Parsed Parse(std::string_view bytes) {
  const Parsed whole = Parse(bytes, bytes.size());
  for (const size_t step : {1, 2, 7}) {
    const Parsed pieces = Parse(bytes, step);
    EXPECT_EQ(pieces.error, whole.error) << bytes.substr(0, 200);
    if (whole.error != 0) continue;
    EXPECT_EQ(pieces.done, whole.done) << bytes.substr(0, 200);
    EXPECT_EQ(pieces.request.body, whole.request.body);
    EXPECT_EQ(pieces.rest, whole.rest);
  }
  return whole;
}

TEST(RequestParserTest, ARequestWithoutABody) {
  const Parsed parsed =
      Parse("GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX: 1\r\nx:  2 \r\n\r\nGET /next");
  EXPECT_TRUE(parsed.done);
  EXPECT_EQ(parsed.request.method, "GET");
  EXPECT_EQ(parsed.request.path, "/a b");
  EXPECT_EQ(parsed.request.query, "c=d");
  EXPECT_EQ(parsed.request.headers.GetAll("x"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(parsed.rest, "GET /next");
}

TEST(RequestParserTest, Bodies) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloX").request.body,
            "hello");
  const Parsed chunked = Parse(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nauthorization: forged\r\n\r\nrest");
  EXPECT_TRUE(chunked.done);
  EXPECT_EQ(chunked.request.body, "abc0123456789");
  EXPECT_EQ(chunked.rest, "rest");
  EXPECT_FALSE(chunked.request.headers.Has("authorization"));
}

TEST(RequestParserTest, KeepAliveAndExpectation) {
  const auto head = [](std::string_view bytes) {
    auto parser = std::make_unique<RequestParser>(kLimits);
    EXPECT_FALSE(parser->Advance(bytes));
    EXPECT_TRUE(parser->head_done());
    return parser;
  };
  EXPECT_TRUE(head("GET / HTTP/1.1\r\nHost: h\r\n\r\n")->keep_alive());
  EXPECT_FALSE(head("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n")->keep_alive());
  EXPECT_FALSE(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->keep_alive());
  const auto expecting =
      head("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 9\r\n\r\n");
  EXPECT_TRUE(expecting->expects_continue());
  EXPECT_EQ(expecting->content_length(), 9u);
}

TEST(RequestParserTest, RefusesWhatTwoPartiesCouldReadDifferently) {
  const std::string_view bodies[] = {
      "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
      "Content-Length: 3\r\nContent-Length: 4\r\n",
      "Content-Length: 3, 4\r\n",
      "Content-Length: -3\r\n",
      "Content-Length: +3\r\n",
      "Content-Length: 0x3\r\n",
      "Content-Length: 3 3\r\n",
      "Content-Length: 99999999999999999999999\r\n",
      "Content-Length:\r\n",
      "Transfer-Encoding: gzip\r\n",
      "Transfer-Encoding: chunked, gzip\r\n",
      "Transfer-Encoding: gzip, chunked\r\n",
      "Transfer-Encoding: xchunked\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding : chunked\r\n",
      "Transfer-Encoding\r\n : chunked\r\n",
      "Host: other\r\n",
      "a b: c\r\n",
      ": c\r\n",
      "a: b\x01\r\n",
      "a: b\rc\r\n",
      "a: b\nContent-Length: 3\r\n",
  };
  for (const std::string_view body : bodies) {
    const Parsed parsed =
        Parse(absl::StrCat("POST / HTTP/1.1\r\nHost: h\r\n", std::string(body), "\r\nabc"));
    EXPECT_EQ(parsed.error, 400) << body;
    EXPECT_GT(parsed.message.size(), 20u) << body;
  }
  EXPECT_EQ(Parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").error, 400);
}

TEST(RequestParserTest, RefusesMalformedRequests) {
  for (const std::string_view bytes : {
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
           "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
           "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
           " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
           "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /\r\nHost: h\r\n\r\n",
           "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
           "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello \r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
           "chunked\r\n\r\n-1\r\nabcd\r\n0\r\n\r\n",
       }) {
    const Parsed parsed = Parse(bytes);
    EXPECT_EQ(parsed.error, 400) << bytes.substr(0, 200);
  }
  EXPECT_EQ(Parse("GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n").error, 417);
}

TEST(RequestParserTest, Limits) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(
      Parse(absl::StrCat("GET /", std::string(99, 'a'), " HTTP/1.1\r\nHost: h\r\n\r\n")).error, 0);
  EXPECT_EQ(
      Parse(absl::StrCat("GET /", std::string(100, 'a'), " HTTP/1.1\r\nHost: h\r\n\r\n")).error,
      414);
  EXPECT_EQ(Parse(absl::StrCat("GET /", std::string(5000, 'a'))).error, 414);

  const std::string fits =
      absl::StrCat(get, "a: ", std::string(1000 - get.size() - 7, 'x'), "\r\n\r\n");
  ASSERT_EQ(fits.size(), 1000u);
  EXPECT_EQ(Parse(fits).error, 0);
  EXPECT_EQ(Parse(absl::StrCat(get, "b", fits.substr(get.size()))).error, 431);
  EXPECT_EQ(Parse(absl::StrCat(get, "a: ", std::string(5000, 'x'))).error, 431);
  std::string fields = get;
  for (int i = 0; i < 9; ++i) fields += "a: b\r\n";
  EXPECT_EQ(Parse(fields + "\r\n").error, 0);
  EXPECT_EQ(Parse(fields + "a: b\r\n\r\n").error, 431);

  // Refused from the head alone.
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 51\r\n\r\n").error, 413);
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(Parse(absl::StrCat(chunked, "28\r\n", std::string(40, 'x'), "\r\nb\r\n")).error, 413);
  EXPECT_EQ(Parse(chunked + "ffffffffffffffff\r\n").error, 413);
  EXPECT_EQ(Parse(chunked + "fffffffffffffffff\r\n").error, 400);
  EXPECT_EQ(Parse(absl::StrCat(chunked, "1;", std::string(2000, 'x'))).error, 431);
  EXPECT_EQ(Parse(absl::StrCat(chunked, "0\r\na: ", std::string(2000, 'x'))).error, 431);
}

}  // namespace
}  // namespace spotinference::http
