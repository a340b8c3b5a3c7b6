#include "engine/api/status.h"

#include "gtest/gtest.h"

namespace spotinference {
namespace {

TEST(StatusTest, ANoticeCrossesTheWire) {
  engine::v1::Notice notice;
  notice.set_source("aws");
  notice.set_kind(engine::v1::Notice::KIND_STOP);
  notice.set_left_ms(1500);
  notice.set_reason("terminate");
  const absl::Status seen = FromGrpc(ToGrpc(NoticedError(notice)));
  EXPECT_EQ(seen, absl::Status(NoticedError(notice)));
  EXPECT_EQ(seen.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(seen.message(), "the engine drains: its machine goes in 1500 ms (aws: terminate)");
  EXPECT_FALSE(DownloadOf(seen).has_value());
  ASSERT_TRUE(NoticeOf(seen).has_value());
  EXPECT_EQ(NoticeOf(seen)->SerializeAsString(), notice.SerializeAsString());
}

TEST(StatusTest, ADownloadCrossesTheWireAndIsNoNotice) {
  const absl::Status seen = FromGrpc(ToGrpc(DownloadingError(5'000'000'000, 7'000'000'000)));
  EXPECT_EQ(seen, absl::Status(DownloadingError(5'000'000'000, 7'000'000'000)));
  EXPECT_EQ(seen.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(NoticeOf(seen).has_value());
  ASSERT_TRUE(DownloadOf(seen).has_value());
  EXPECT_EQ(DownloadOf(seen)->done_bytes(), 5'000'000'000);
  EXPECT_EQ(DownloadOf(seen)->total_bytes(), 7'000'000'000);
  EXPECT_FALSE(DownloadOf(FromGrpc(ToGrpc(DownloadingError(2, 1)))).has_value());
}

TEST(StatusTest, OtherStatusesHaveNone) {
  for (const absl::Status& status :
       {absl::OkStatus(), absl::UnavailableError("connection refused"), absl::AbortedError("no token may follow")}) {
    const absl::Status seen = FromGrpc(ToGrpc(status));
    EXPECT_EQ(seen, status);
    EXPECT_FALSE(NoticeOf(seen).has_value());
  }
}

TEST(StatusTest, DetailsThatAreNoNoticeAreNone) {
  for (const char* details : {"\xff\xff", "\x0a\x01x"}) {  // no message; a message without a kind
    const absl::Status seen = FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "of a proxy", details));
    EXPECT_EQ(seen.code(), absl::StatusCode::kUnavailable);
    EXPECT_FALSE(NoticeOf(seen).has_value());
  }
}

}  // namespace
}  // namespace spotinference
