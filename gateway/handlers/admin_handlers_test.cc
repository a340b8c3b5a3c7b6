#include "gateway/handlers/admin_handlers.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/fake_clock.h"
#include "gateway/filters/reply.h"
#include "gateway/http/exchange.h"
#include "gateway/http/router.h"
#include "gateway/session/fake_fleet.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

// The handlers behind the routes of gateway.cc.
class AdminHandlersTest : public testing::Test {
 protected:
  AdminHandlersTest() {
    Add("GET", "/admin/v1/ledger", LedgerHandler(fleet_, clock_));
    Add("GET", "/admin/v1/decisions", DecisionsHandler(fleet_, clock_));
    Add("POST", "/admin/v1/machines/{id}:interrupt", InterruptHandler(fleet_, clock_));
    Add("POST", "/admin/v1/machines/{id}:kill", KillHandler(fleet_, clock_));
    Add("POST", "/admin/v1/machines/{id}:hibernate", HibernateHandler(fleet_, clock_));
    Add("POST", "/admin/v1/models/{name}:wake", WakeHandler(fleet_, clock_));
  }
  void Add(std::string_view method, std::string_view pattern, std::unique_ptr<http::Handler> handler) {
    router_.Add(method, pattern, *handler);
    handlers_.push_back(std::move(handler));
  }
  http::Exchange::Output Ask(const std::string& method, const std::string& path, const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.received = clock_.Now();
    http::Exchange::Sides sides = http::Exchange::Create(std::move(request), {}, [] {});
    router_.Handle(std::move(sides.handler));
    return sides.connection->Take();
  }

  FakeClock clock_;
  fleet::FakeFleet fleet_;
  http::Router router_{HttpErrorReply};
  std::vector<std::unique_ptr<http::Handler>> handlers_;
};

TEST_F(AdminHandlersTest, OrdersReachTheFleet) {
  EXPECT_EQ(Ask("POST", "/admin/v1/machines/org/m-1:interrupt", R"({"notice_seconds":2.5})").status, 202);
  EXPECT_EQ(Ask("POST", "/admin/v1/machines/m-2:interrupt").status, 202);
  EXPECT_EQ(Ask("POST", "/admin/v1/machines/m-2:kill").bytes, "{}");
  EXPECT_EQ(Ask("POST", "/admin/v1/machines/m-3:hibernate").status, 202);
  EXPECT_EQ(Ask("POST", "/admin/v1/models/org/m:wake").status, 202);
  const std::vector<std::string> orders = {"interrupt org/m-1 2.5s", "interrupt m-2 30s", "kill m-2", "hibernate m-3",
                                           "wake org/m"};
  EXPECT_EQ(fleet_.orders(), orders);
}

TEST_F(AdminHandlersTest, ABadNoticeOrdersNothing) {
  for (const char* body : {"{", "[]", R"({"notice_seconds":-1})", R"({"notice_seconds":3601})",
                           R"({"notice_seconds":"30"})", R"({"notice":30})", R"({"notice_seconds":1e999})"}) {
    EXPECT_EQ(Ask("POST", "/admin/v1/machines/m:interrupt", body).status, 400) << body;
  }
  EXPECT_TRUE(fleet_.orders().empty());
}

TEST_F(AdminHandlersTest, WhatTheFleetCannotDoIsSaid) {
  fleet_.AnswerOrders(absl::NotFoundError("there is no machine 'm'"));
  const http::Exchange::Output output = Ask("POST", "/admin/v1/machines/m:kill");
  EXPECT_EQ(output.status, 404);
  EXPECT_NE(output.bytes.find("there is no machine 'm'"), std::string::npos);
  EXPECT_NE(output.bytes.find(R"("code":"machine_not_found")"), std::string::npos) << output.bytes;
  EXPECT_NE(Ask("POST", "/admin/v1/models/m:wake").bytes.find(R"("code":"model_not_found")"), std::string::npos);
  fleet_.AnswerOrders(absl::FailedPreconditionError("m is hibernated"));
  const http::Exchange::Output refused = Ask("POST", "/admin/v1/machines/m:kill");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.bytes.find(R"("code":"wrong_state")"), std::string::npos) << refused.bytes;
  EXPECT_EQ(Ask("GET", "/admin/v1/machines/m:kill").status, 405);
}

TEST_F(AdminHandlersTest, TheLedgerIsShown) {
  EXPECT_EQ(Ask("GET", "/admin/v1/ledger").bytes,
            R"({"lines":[{"model":"m","market":"spot","use":"busy","seconds":2.5E0,"dollars":2.5E-1,)"
            R"("key":"laptop","on_demand_dollars":5E-1,"tokens":7,"replacing_dollars":5E-2}],)"
            R"("storage":[{"model":"m","kind":"volume","dollars":2E-2,"gigabyte_hours":2E2},)"
            R"({"model":"m","kind":"address","dollars":5E-3}],)"
            R"("summary":[{"model":"m","dollars":2.75E-1,"tokens":7,"dollars_per_million_tokens":3.928571428571429E4,)"
            R"("idle_share":0E0,"saving_share":4.4999999999999996E-1,"interruption_dollars":5E-2,)"
            R"("keys":[{"key":"laptop","dollars":2.5E-1,"tokens":7,)"
            R"("dollars_per_million_tokens":3.571428571428571E4}]}]})");
}

TEST_F(AdminHandlersTest, WhatTheLedgerCannotTellIsNull) {
  const class : public fleet::FakeFleet {
    std::vector<fleet::LedgerLine> LedgerLines() const override {
      return {{"m", "spot", "busy", absl::Seconds(1), 0.5}};
    }
    std::vector<fleet::StorageLine> StorageLines() const override { return {{"old", "volume", 100, 0.25}}; }
  } fleet;
  Add("GET", "/other/ledger", LedgerHandler(fleet, clock_));
  EXPECT_EQ(Ask("GET", "/other/ledger").bytes,
            R"({"lines":[{"model":"m","market":"spot","use":"busy","seconds":1E0,"dollars":5E-1}],)"
            R"("storage":[{"model":"old","kind":"volume","dollars":2.5E-1,"gigabyte_hours":1E2}],)"
            R"("summary":[{"model":"m","dollars":5E-1,"tokens":0,"dollars_per_million_tokens":null,"idle_share":0E0,)"
            R"("saving_share":null,"interruption_dollars":0E0,"keys":[]},)"
            R"({"model":"old","dollars":2.5E-1,"tokens":0,"dollars_per_million_tokens":null,"idle_share":null,)"
            R"("saving_share":null,"interruption_dollars":0E0,"keys":[]}]})");
}

TEST_F(AdminHandlersTest, DecisionsAreShown) {
  EXPECT_EQ(Ask("GET", "/admin/v1/decisions").bytes,
            R"({"decisions":[{"at":"2026-01-01T00:00:00+00:00","model":"m","machine":"m-1","action":"launching",)"
            R"("why":"1 waits","provider":"aws","market":"spot","zone":"z","price_per_hour":5E-1,"waiting":1,"active":0}]})");
}

}  // namespace
}  // namespace spotinference
