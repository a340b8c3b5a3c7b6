#include "gateway/http/response_head.h"

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

TEST(ResponseHeadTest, AddsFramingDateAndId) {
  // The date of RFC 9110, section 5.6.7.
  const absl::Time now = absl::FromUnixSeconds(784111777);
  EXPECT_EQ(
      ResponseHead(
          200,
          {{"content-type", "text/plain"}, {"Content-Length", "7"}, {"Transfer-Encoding", "gzip"}},
          {.content_length = 4}, "req_1", now),
      "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-request-id: req_1\r\n"
      "date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 4\r\n\r\n");
  EXPECT_EQ(
      ResponseHead(299, {{"X-Request-Id", "mine"}}, {.chunked = true, .close = true}, "req_1", now),
      "HTTP/1.1 299 \r\nX-Request-Id: mine\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      "transfer-encoding: chunked\r\nconnection: close\r\n\r\n");
}

TEST(ResponseHeadTest, AValueCannotForgeAField) {
  const std::string head =
      ResponseHead(200, {{"a", "b\r\nset-cookie: x"}, {"c\r\nd", "e"}, {"f:", "g"}}, {}, "i", {});
  EXPECT_NE(head.find("a: b  set-cookie: x\r\n"), head.npos);
  EXPECT_EQ(head.find("\nset-cookie"), head.npos);
  EXPECT_EQ(head.find("c\r\n"), head.npos);
  EXPECT_EQ(head.find("f:"), head.npos);
}

}  // namespace
}  // namespace spotinference::http
