#include "engine/sample/grammar/numbers.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

using Expression = Grammar::Expression;

Expression DigitRange(Grammar& grammar, int first, int last) {
  if (first > last) return grammar.Nothing();
  return grammar.Character({{static_cast<char32_t>('0' + first), static_cast<char32_t>('0' + last)}});
}

// Integers that are not negative.
class Naturals {
 public:
  Naturals(Grammar& grammar, uint64_t multiple_of) : grammar_(grammar), multiple_of_(multiple_of) {}

  Expression Between(uint64_t min, std::optional<uint64_t> max) {
    std::vector<Expression> parts;
    if (min == 0) parts.push_back(grammar_.Literal("0"));
    min = std::max<uint64_t>(min, 1);
    if (max && *max < min) return grammar_.OneOf(std::move(parts));
    const std::string low = absl::StrCat(min);
    const std::string high = max ? absl::StrCat(*max) : std::string(low.size(), '9');
    for (size_t length = low.size(); length <= high.size(); ++length) {
      const std::string from = length == low.size() ? low : "1" + std::string(length - 1, '0');
      const std::string to = length == high.size() ? high : std::string(length, '9');
      parts.push_back(Within(from, to, 0, true, true, 0));
    }
    if (!max) {  // one digit more than `low` has, or more still
      for (uint64_t digit = 1; digit <= 9; ++digit) {
        parts.push_back(grammar_.Sequence({grammar_.Literal(absl::StrCat(digit)),
                                           Digits(low.size(), digit % multiple_of_, /*or_more=*/true)}));
      }
    }
    return grammar_.OneOf(std::move(parts));
  }

 private:
  // The digits from index `at` on of numbers as long as `from` and `to`, whose digits so far equal `from`'s (low),
  // `to`'s (high), and leave `rest` modulo multiple_of_.
  Expression Within(const std::string& from, const std::string& to, size_t at, bool low, bool high, uint64_t rest) {
    if (!low && !high) return Digits(from.size() - at, rest, false);
    if (at == from.size()) return rest == 0 ? grammar_.Empty() : grammar_.Nothing();
    std::vector<Expression> parts;
    const int first = low ? from[at] - '0' : 0, last = high ? to[at] - '0' : 9;
    for (int digit = first; digit <= last; ++digit) {
      const bool still_low = low && digit == first, still_high = high && digit == last;
      int end = digit;
      if (multiple_of_ == 1 && !still_low && !still_high) end = high ? last - 1 : last;  // all of them alike
      const uint64_t next = (rest * 10 + static_cast<uint64_t>(digit)) % multiple_of_;
      parts.push_back(grammar_.Sequence(
          {DigitRange(grammar_, digit, end), Within(from, to, at + 1, still_low, still_high, next)}));
      digit = end;
    }
    return grammar_.OneOf(std::move(parts));
  }

  // `count` digits, or more, after which the number is a multiple.
  Expression Digits(size_t count, uint64_t rest, bool or_more) {
    if (multiple_of_ == 1) {
      return grammar_.Repeat(DigitRange(grammar_, 0, 9), static_cast<uint32_t>(count),
                             or_more ? Grammar::kUnbounded : static_cast<uint32_t>(count));
    }
    if (count == 0 && !or_more) return rest == 0 ? grammar_.Empty() : grammar_.Nothing();
    const uint64_t key = (rest * 32 + count) * 2 + or_more;
    const auto [found, added] = rules_.try_emplace(key, Grammar::Rule{});
    if (!added) return grammar_.Call(found->second);
    const Grammar::Rule rule = grammar_.AddRule();
    found->second = rule;
    std::vector<Expression> parts;
    if (count == 0 && rest == 0) parts.push_back(grammar_.Empty());
    pending_.push_back({rule, count, rest, or_more, std::move(parts)});
    Drain();
    return grammar_.Call(rule);
  }

  // Rules are defined one after the other, since each names ten others.
  void Drain() {
    if (draining_) return;
    draining_ = true;
    while (!pending_.empty()) {
      Pending next = std::move(pending_.back());
      pending_.pop_back();
      for (uint64_t digit = 0; digit <= 9; ++digit) {
        const size_t count = next.count > 0 ? next.count - 1 : 0;
        next.parts.push_back(grammar_.Sequence({grammar_.Literal(absl::StrCat(digit)),
                                                Digits(count, (next.rest * 10 + digit) % multiple_of_, next.or_more)}));
      }
      grammar_.Define(next.rule, grammar_.OneOf(std::move(next.parts)));
    }
    draining_ = false;
  }

  struct Pending {
    Grammar::Rule rule;
    size_t count;
    uint64_t rest;
    bool or_more;
    std::vector<Expression> parts;
  };

  Grammar& grammar_;
  const uint64_t multiple_of_;
  absl::flat_hash_map<uint64_t, Grammar::Rule> rules_;
  std::vector<Pending> pending_;
  bool draining_ = false;
};

uint64_t Magnitude(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
}

// Decimal numbers that are not negative.
class Decimals {
 public:
  explicit Decimals(Grammar& grammar) : grammar_(grammar) {}

  Expression Between(const DecimalBound& min, const std::optional<DecimalBound>& max) {
    Naturals naturals(grammar_, 1);
    if (max && max->integer < min.integer) return grammar_.Nothing();
    std::vector<Expression> parts;
    if (max && max->integer == min.integer) {
      return grammar_.Sequence({grammar_.Literal(absl::StrCat(min.integer)), Fraction(&min, &*max)});
    }
    parts.push_back(grammar_.Sequence({grammar_.Literal(absl::StrCat(min.integer)), Fraction(&min, nullptr)}));
    if (max) {
      parts.push_back(grammar_.Sequence({grammar_.Literal(absl::StrCat(max->integer)), Fraction(nullptr, &*max)}));
    }
    if (!max || max->integer - min.integer > 1) {
      const auto between =
          naturals.Between(min.integer + 1, max ? std::optional(max->integer - 1) : std::nullopt);
      parts.push_back(grammar_.Sequence({between, Fraction(nullptr, nullptr)}));
    }
    return grammar_.OneOf(std::move(parts));
  }

 private:
  // What may follow the integer part of a bound: the fraction, if any. Null: no bound.
  Expression Fraction(const DecimalBound* low, const DecimalBound* high) {
    std::vector<Expression> parts;
    if (MayEnd(0, low, high)) parts.push_back(grammar_.Empty());
    parts.push_back(grammar_.Sequence({grammar_.Literal("."), Digits(0, low, high, /*may_end=*/false)}));
    return grammar_.OneOf(std::move(parts));
  }

  static int DigitAt(const DecimalBound& bound, size_t at) {
    return at < bound.fraction.size() ? bound.fraction[at] - '0' : 0;
  }

  // Whether the number may end here, its digits so far being equal to those of the bounds that are given.
  static bool MayEnd(size_t at, const DecimalBound* low, const DecimalBound* high) {
    if (low != nullptr && (at < low->fraction.size() || low->exclusive)) return false;
    return high == nullptr || at < high->fraction.size() || !high->exclusive;
  }

  Expression Digits(size_t at, const DecimalBound* low, const DecimalBound* high, bool may_end) {
    const uint32_t least = may_end ? 0 : 1;
    const auto any = DigitRange(grammar_, 0, 9);
    const bool low_past = low != nullptr && at >= low->fraction.size();
    const bool high_past = high != nullptr && at >= high->fraction.size();
    if (low_past && !low->exclusive) low = nullptr;  // whatever follows is not less
    if (low == nullptr && high == nullptr) return grammar_.Repeat(any, least, Grammar::kUnbounded);
    if (high_past) {  // only zeros may follow, if the bound itself is allowed
      if (high->exclusive || low != nullptr) return grammar_.Nothing();
      return grammar_.Repeat(grammar_.Literal("0"), least, Grammar::kUnbounded);
    }
    if (low_past && high == nullptr) {  // some digit that is not zero must follow
      return grammar_.Sequence({grammar_.Repeat(grammar_.Literal("0"), 0, Grammar::kUnbounded),
                                DigitRange(grammar_, 1, 9), grammar_.Repeat(any, 0, Grammar::kUnbounded)});
    }
    std::vector<Expression> parts;
    if (may_end && MayEnd(at, low, high)) parts.push_back(grammar_.Empty());
    const int first = low != nullptr ? DigitAt(*low, at) : 0, last = high != nullptr ? DigitAt(*high, at) : 9;
    for (int digit = first; digit <= last; ++digit) {
      const auto rest = Digits(at + 1, low != nullptr && digit == first ? low : nullptr,
                               high != nullptr && digit == last ? high : nullptr, true);
      parts.push_back(grammar_.Sequence({DigitRange(grammar_, digit, digit), rest}));
    }
    return grammar_.OneOf(std::move(parts));
  }

  Grammar& grammar_;
};

bool IsZero(const DecimalBound& bound) { return bound.integer == 0 && bound.fraction.empty(); }

}  // namespace

Expression IntegerExpression(Grammar& grammar, std::optional<int64_t> min, std::optional<int64_t> max,
                             uint64_t multiple_of) {
  if (min && max && *min > *max) return grammar.Nothing();
  Naturals naturals(grammar, multiple_of);
  std::vector<Expression> parts;
  if (!max || *max >= 0) {
    parts.push_back(naturals.Between(min && *min > 0 ? Magnitude(*min) : 0,
                                     max ? std::optional(Magnitude(*max)) : std::nullopt));
  }
  if (!min || *min < 0) {
    const auto below_zero = naturals.Between(max && *max < 0 ? Magnitude(*max) : 1,
                                             min ? std::optional(Magnitude(*min)) : std::nullopt);
    parts.push_back(grammar.Sequence({grammar.Literal("-"), below_zero}));
  }
  return grammar.OneOf(std::move(parts));
}

Expression DecimalExpression(Grammar& grammar, std::optional<DecimalBound> min, std::optional<DecimalBound> max) {
  Decimals decimals(grammar);
  for (auto* bound : {&min, &max}) {
    if (*bound && IsZero(**bound)) (*bound)->negative = false;
  }
  std::vector<Expression> parts;
  if (!max || !max->negative) {
    parts.push_back(decimals.Between(min && !min->negative ? *min : DecimalBound{}, max));
  }
  // Below zero, the bounds trade places.
  if (!min || min->negative) {
    const DecimalBound zero{.exclusive = true};
    parts.push_back(
        grammar.Sequence({grammar.Literal("-"), decimals.Between(max && max->negative ? *max : zero, min)}));
  }
  return grammar.OneOf(std::move(parts));
}

}  // namespace spotinference
