#include "engine/text/jinja.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"

namespace spotinference::jinja {
namespace {

absl::StatusOr<Text> Render(std::string_view source, const Variables& variables = {},
                            const Limits& limits = {}) {
  absl::StatusOr<Template> parsed = Template::Parse(source);
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(variables, absl::CivilSecond(2026, 11, 25), limits);
}

std::string Error(std::string_view source, const Limits& limits = {}) {
  const absl::StatusOr<Text> text = Render(source, {}, limits);
  return text.ok() ? "no error, but: " + text->bytes.substr(0, 100)
                   : std::string(text.status().message());
}

// The text with what came from input in «».
std::string Marked(std::string_view source, const Variables& variables) {
  const absl::StatusOr<Text> text = Render(source, variables);
  if (!text.ok()) return std::string(text.status().message());
  std::string marked;
  size_t at = 0;
  for (const ByteRange range : text->from_input) {
    marked += text->bytes.substr(at, range.begin - at) + "«" +
              text->bytes.substr(range.begin, range.end - range.begin) + "»";
    at = range.end;
  }
  return marked + text->bytes.substr(at);
}

TEST(JinjaTest, ErrorsNameLineAndWhatIsWrong) {
  EXPECT_EQ(Error("a\n{{ x.y }}"), "line 2: 'x' is undefined");
  EXPECT_EQ(Error("a\n\n{{ 1 + 'a' }}"), "line 3: '+' does not work on int and str");
  EXPECT_EQ(Error("{{ 1"), "line 1: a tag lacks its end, \"}}\"");
  EXPECT_EQ(Error("{{ (1 }}"), "line 1: unexpected '}', expected ')'");
  EXPECT_EQ(Error("{{ 1 2 }}"), "line 1: expected '}}', got '2'");
  EXPECT_EQ(Error("{% if 1 %}\n"), "line 1: expected {% endif %}, got end of template");
  EXPECT_EQ(Error("{% for x in y %}{% endif %}"),
            "line 1: expected a known tag or {% endfor %}, got 'endif'");
  EXPECT_EQ(Error("\n{{ 1 | shout }}"), "line 2: there is no filter 'shout'");
  EXPECT_EQ(Error("{{ 1 is loud }}"), "line 1: there is no test 'loud'");
  EXPECT_EQ(Error("{% include 'x' %}"), "line 1: expected a known tag, got 'include'");
  EXPECT_EQ(Error("{{ range(1, 2, 3, 4) }}"), "line 1: range: takes at most 3 arguments, got 4");
  EXPECT_EQ(Error("{{ 9223372036854775807 + 1 }}"),
            "line 1: the result of '+' does not fit in 64 bits");
}

TEST(JinjaTest, RaiseExceptionGivesTheTemplatesOwnWords) {
  const absl::Status status = Render("{{ raise_exception('Roles must alternate') }}").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "Roles must alternate");
}

TEST(JinjaTest, WorkIsBounded) {
  const std::string loop = "{% for a in range(99999) %}";
  const Limits limits = {.max_steps = 100'000};
  EXPECT_EQ(Error(loop + loop + "{% endfor %}{% endfor %}", limits),
            "the template needs more than 100000 steps");
  EXPECT_EQ(Error("{{ [1] * 999999999 }}", limits), "the template needs more than 100000 steps");
  EXPECT_EQ(
      Error("{% set ns = namespace(l=[1]) %}" + loop + "{% set ns.l = ns.l + ns.l %}{% endfor %}",
            limits),
      "the template needs more than 100000 steps");
  // A list that shares its parts is small, but not to print or to compare.
  const std::string shared =
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}";
  EXPECT_EQ(Error(shared + "{{ ns.l }}", limits), "the template needs more than 100000 steps");
  EXPECT_EQ(Error(shared + "{{ ns.l | tojson }}", limits),
            "the template needs more than 100000 steps");
  EXPECT_EQ(Error(shared + "{{ ns.l == [ns.l[0], ns.l[1]] }}", limits),
            "the template needs more than 100000 steps");
}

TEST(JinjaTest, BytesAreBounded) {
  const Limits limits = {.max_output_bytes = 1000, .max_made_bytes = 10'000};
  EXPECT_EQ(Error("{% for i in range(300) %}abcd{% endfor %}", limits),
            "the template needs more than 1000 bytes of output");
  const std::string made = "the template needs more than 10000 bytes of strings made on the way";
  EXPECT_EQ(Error("{{ 'ab' * 1000000000 }}", {.max_steps = 1ull << 40, .max_made_bytes = 10'000}),
            made);
  EXPECT_EQ(Error("{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ "
                  "ns.s %}{% endfor %}",
                  limits),
            made);
  EXPECT_EQ(Error("{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s | "
                  "replace('a', ns.s) %}{% endfor %}",
                  limits),
            made);
  EXPECT_EQ(Error("{{ [[[[1]]]] | tojson(indent='" + std::string(990, ' ') + "') }}", limits),
            made);
}

TEST(JinjaTest, DepthIsBounded) {
  const std::string syntax = "line 1: nested deeper than 100 levels";
  const auto repeat = [](std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  for (const std::string_view open :
       {"(", "[", "not ", "-", "{'a':", "x[", "x(", "1 if ", "1 if 1 else ", "x|default("}) {
    EXPECT_EQ(Error("{{ " + repeat(open, 50'000)).substr(0, 6), "line 1") << open;
  }
  EXPECT_EQ(Error("{{ " + repeat("not ", 5000) + "1 }}"), syntax);
  EXPECT_EQ(Error("{{ " + repeat("-", 5000) + "1 }}"), syntax);
  EXPECT_EQ(Error("{{ 1" + repeat("+1", 5000) + " }}"), syntax);
  EXPECT_EQ(Error("{{ 1" + repeat("|abs", 5000) + " }}"), syntax);
  EXPECT_EQ(Error("{{ x" + repeat(".y", 5000) + " }}"), syntax);
  EXPECT_EQ(Error("{{ 1" + repeat(" if 1", 5000) + " }}"), syntax);
  EXPECT_EQ(Error(repeat("{% if 1 %}", 5000)), syntax);
  EXPECT_EQ(Error("{% if 1 %}" + repeat("{% elif 1 %}", 5000) + "{% endif %}"), syntax);
  EXPECT_EQ(Error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
            "the template needs more than 400 levels of depth");
  EXPECT_EQ(Error("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] "
                  "%}{% endfor %}"),
            "line 1: lists and dicts nest deeper than 100 levels");
  EXPECT_EQ(Error("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = "
                  "[ns.l].index %}{% endfor %}"),
            "line 1: lists and dicts nest deeper than 100 levels");
  EXPECT_EQ(Error("{% set ns = namespace(l=[1]) %}{% for i in range(9999) %}{% set ns.l = ns.l | "
                  "map('abs') %}{% endfor %}{{ ns.l | list }}"),
            "line 1: lists and dicts nest deeper than 100 levels");
  EXPECT_EQ(Error("{% for i in [[]] recursive %}{{ loop([i]) }}{% endfor %}"),
            "the template needs more than 400 levels of depth");
}

TEST(JinjaTest, SearchesTakeLinearTime) {
  // 2^38 comparisons if not.
  const std::string haystack(1 << 20, 'a'), needle = std::string(1 << 18, 'a') + "b";
  const Variables variables = {{"h", Value::Input(haystack)}, {"n", Value::Input(needle)}};
  const absl::StatusOr<Text> text = Render(
      "{{ n in h }} {{ h.find(n) }} {{ h.split(n) | length }} {{ h.count(n) }}{{ h.replace(n, '') "
      "| length }}",
      variables);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->bytes, "False -1 1 01048576");
}

TEST(JinjaTest, NothingOutlivesItsScope) {
  EXPECT_EQ(Error("{% set ns = namespace() %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro "
                  "%}{% set ns.m = m %}{% endfor %}{{ ns.m() }}"),
            "line 1: m: the macro's block has ended");
  EXPECT_EQ(
      Render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}")->bytes,
      "True");
}

// LeakSanitizer sees a cycle.
TEST(JinjaTest, ALoopDoesNotHoldItself) {
  EXPECT_EQ(Render("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.l = loop %}{% set l = loop %}"
                   "{% set _ = loop.changed(loop, loop.changed) %}{% endfor %}"
                   "{{ ns.l.changed(ns.l) }} {{ ns.l.index }} {{ ns.l.last }} {{ ns.l.nextitem }}")
                ->bytes,
            "True 2 True ");
}

TEST(JinjaTest, TextKnowsWhatCameFromInput) {
  const Variables variables = {
      {"c", Value::Input(" a<x>b ")},
      {"t", Value::String("t")},
      {"messages",
       Value::MakeList({Value::MakeMap({{Value::String("content"), Value::Input("hi")}})})}};
  EXPECT_EQ(Marked("x{{ c }}y", variables), "x« a<x>b »y");
  EXPECT_EQ(Marked("{{ '[' + c | trim + ']' ~ t }}", variables), "[«a<x>b»]t");
  EXPECT_EQ(Marked("{{ ('[' ~ c ~ ']')[:4] }}", variables), "[« a<»");
  EXPECT_EQ(Marked("{{ ('<' ~ c ~ '>').strip('<> ') }}", variables), "«a<x>b»");
  EXPECT_EQ(Marked("{{ c.split('<x>') | join('|') }}", variables), "« a»|«b »");
  EXPECT_EQ(Marked("{{ (t ~ c) | upper }}", variables), "T« A<X>B »");
  EXPECT_EQ(Marked("{{ (t ~ c) | reverse }}", variables), "« b>x<a »t");
  EXPECT_EQ(Marked("{{ c | replace('<x>', '<|end|>') }}", variables), "« a<|end|>b »")
      << "what stands in for input is input";
  EXPECT_EQ(Marked("{{ '<x>' | replace('x', c) }}", variables), "<« a<x>b »>");
  EXPECT_EQ(Marked("{{ '<{}|{:>12}>'.format(c, t) }} {{ '%s|%s' % (t, c) }}", variables),
            "<« a<x>b »|           t> t|« a<x>b »");
  EXPECT_EQ(Marked("{{ '<' | safe + c }}", variables), "<« a&lt;x&gt;b »");
  EXPECT_EQ(Marked("{{ [c, t] | map('trim') | join('|') }}", variables), "«a<x>b»|t");
  EXPECT_EQ(Marked("{{ [c, t] | tojson }} {{ [c] }}", variables),
            "[«\" a<x>b \"», \"t\"] [«' a<x>b '»]");
  EXPECT_EQ(Marked("{% for m in messages %}<{{ m.content }}>{% endfor %}", variables), "<«hi»>");
  EXPECT_EQ(Marked("{% set s %}({{ c }}){% endset %}{{ s | trim('()') }}{{ s }}", variables),
            "« a<x>b »(« a<x>b »)");
  EXPECT_EQ(Marked("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(t) }}{{ m(c) }}", variables),
            "<t><« a<x>b »>");
  EXPECT_EQ(Marked("{% for x in c %}{{ x }}.{% endfor %}{{ c * 2 }}", variables),
            "« ».«a».«<».«x».«>».«b».« ».« a<x>b  a<x>b »");
  EXPECT_EQ(Marked("{{ 'a' if c == 'x' else 'b' }}{{ c | length }}", variables), "b7");
  EXPECT_EQ(Marked("{{ 'a\nb' | indent(c) }}", variables), "a\n« a<x>b »b");
}

}  // namespace
}  // namespace spotinference::jinja
