#include "gateway/http/router.h"

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

using Captures = PathPattern::Captures;

TEST(PathPatternTest, Matches) {
  EXPECT_EQ(PathPattern("/v1/models").Match("/v1/models"), Captures{});
  EXPECT_FALSE(PathPattern("/v1/models").Match("/v1/models/"));
  EXPECT_FALSE(PathPattern("/v1/models").Match("/v1/model"));
  const PathPattern model("/v1/models/{id}");
  EXPECT_EQ(model.Match("/v1/models/org/name"), (Captures{{"id", "org/name"}}));
  EXPECT_FALSE(model.Match("/v1/models/"));
  const PathPattern kill("/machines/{id}:kill");
  EXPECT_EQ(kill.Match("/machines/a:kill:kill"), (Captures{{"id", "a:kill"}}));
  EXPECT_FALSE(kill.Match("/machines/:kill"));
  EXPECT_FALSE(kill.Match("/machines/a:killed"));
  const PathPattern two("/{a}/x/{b}/y");
  EXPECT_EQ(two.Match("/1/x/2/x/3/y"), (Captures{{"a", "1"}, {"b", "2/x/3"}}));
  EXPECT_EQ(two.Match("//x/x/2/y"), (Captures{{"a", "/x"}, {"b", "2"}}));
  EXPECT_FALSE(two.Match("/1/x//y"));
}

TEST(PathPatternDeathTest, ChecksPatterns) {
  for (const char* pattern : {"", "v1", "/{id", "/{}", "/{a}{b}"})
    EXPECT_DEATH(PathPattern{pattern}, "") << pattern;
}

class Named : public Handler {
 public:
  explicit Named(std::string name) : name_(std::move(name)) {}
  void Handle(std::shared_ptr<Exchange> exchange) override {
    exchange->Reply({200, {}, name_ + "(" + std::string(exchange->request().Capture("id")) + ")"});
  }

 private:
  std::string name_;
};

Exchange::Output Route(Router& router, std::string method, std::string path) {
  Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  Exchange::Sides sides = Exchange::Create(std::move(request), {}, [] {});
  router.Handle(std::move(sides.handler));
  return sides.connection->Take();
}

TEST(RouterTest, TheMostSpecificRouteWithTheMethodAnswers) {
  Named list("list"), get("get"), remove("remove"), kill("kill");
  Router router([](int status, std::string_view message) {
    return Response{status, {}, std::string(message)};
  });
  router.Add("GET", "/models", list);
  router.Add("GET", "/models/{id}", get);
  router.Add("DELETE", "/models/{id}", remove);
  router.Add("POST", "/models/{id}:kill", kill);

  EXPECT_EQ(Route(router, "GET", "/models").bytes, "list()");
  EXPECT_EQ(Route(router, "HEAD", "/models").bytes, "list()");
  EXPECT_EQ(Route(router, "GET", "/models/a/b").bytes, "get(a/b)");
  EXPECT_EQ(Route(router, "DELETE", "/models/a").bytes, "remove(a)");
  EXPECT_EQ(Route(router, "POST", "/models/a:kill").bytes, "kill(a)");
  EXPECT_EQ(Route(router, "GET", "/models/a:kill").bytes, "get(a:kill)");

  const Exchange::Output missing = Route(router, "GET", "/model");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.bytes, "There is no GET /model here.");
  const Exchange::Output wrong = Route(router, "PUT", "/models/a");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.Get("allow"), "DELETE, GET, HEAD");
}

}  // namespace
}  // namespace spotinference::http
