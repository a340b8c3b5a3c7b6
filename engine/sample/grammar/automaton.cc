#include "engine/sample/grammar/automaton.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

using Node = Grammar::Node;
using Expression = Grammar::Expression;

// A repetition is written out where that takes no more states; else it is a loop with a counter, whose masks cost more.
constexpr size_t kInlineStates = 64;

struct Draft {
  std::vector<Automaton::Edge> edges;
  std::vector<int32_t> epsilons;
  int32_t callee = -1, next = -1;
  uint32_t min = 1, max = 1;
  bool loop = false;
  bool final = false;
};

}  // namespace

class AutomatonBuilder {
 public:
  explicit AutomatonBuilder(const Grammar& grammar) : grammar_(grammar) {}

  absl::StatusOr<Automaton> Build();

 private:
  int32_t AddState();
  int32_t AddRule(Expression definition);
  // Adds what matches `expression` from state `from`, and returns the state at its end.
  int32_t Add(Expression expression, int32_t from);
  int32_t AddLiteral(const std::string& bytes, int32_t from);
  int32_t AddCharacter(const std::vector<Utf8Sequence>& utf8, int32_t from);
  int32_t AddRepeat(const Node& node, int32_t from);
  int32_t AddCall(int32_t rule, int32_t from, uint32_t min, uint32_t max);
  size_t Size(Expression expression);

  std::vector<bool> ReachesEnd(bool by_bytes) const;
  void PassEmptyCalls();
  void Prune();
  bool IsTail(const Draft& caller) const;
  void FindEntry(Automaton::Rule& rule) const;
  absl::Status RankRules();
  void FindByteClasses();
  void Flatten();

  const Grammar& grammar_;
  Automaton out_;
  std::vector<Draft> states_;
  std::vector<Expression> definitions_;  // of rules: those of the grammar, then bodies of loops
  absl::flat_hash_map<int32_t, int32_t> bodies_;  // by expression
  std::vector<size_t> sizes_;                     // by expression; 0: not yet known
};

int32_t AutomatonBuilder::AddState() {
  states_.emplace_back();
  return static_cast<int32_t>(states_.size() - 1);
}

int32_t AutomatonBuilder::AddRule(Expression definition) {
  definitions_.push_back(definition);
  out_.rules_.push_back({AddState(), {}, 0});
  return static_cast<int32_t>(out_.rules_.size() - 1);
}

int32_t AutomatonBuilder::Add(Expression expression, int32_t from) {
  if (states_.size() > Automaton::kMaxStates) return from;  // Build reports it
  const Node& node = grammar_.node(expression);
  switch (node.kind) {
    case Node::Kind::kLiteral: return AddLiteral(node.bytes, from);
    case Node::Kind::kCharacter: return AddCharacter(node.utf8, from);
    case Node::Kind::kSequence:
      for (const Expression part : node.parts) from = Add(part, from);
      return from;
    case Node::Kind::kOneOf: {
      const int32_t end = AddState();
      for (const Expression part : node.parts) {
        const int32_t end_of_part = Add(part, from);
        states_[end_of_part].epsilons.push_back(end);
      }
      return end;
    }
    case Node::Kind::kRepeat: return AddRepeat(node, from);
    case Node::Kind::kCall: return AddCall(static_cast<int32_t>(node.rule), from, 1, 1);
  }
  return from;
}

int32_t AutomatonBuilder::AddLiteral(const std::string& bytes, int32_t from) {
  for (const char c : bytes) {
    const int32_t to = AddState();
    states_[from].edges.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c), to});
    from = to;
  }
  return from;
}

// Sequences with the same trailing bytes share the states of these.
int32_t AutomatonBuilder::AddCharacter(const std::vector<Utf8Sequence>& utf8, int32_t from) {
  const int32_t end = AddState();
  absl::flat_hash_map<std::string, int32_t> shared;
  for (const Utf8Sequence& sequence : utf8) {
    int32_t to = end;
    std::string rest;
    for (size_t i = sequence.bytes.size(); i-- > 0;) {
      const Utf8Sequence::Bytes bytes = sequence.bytes[i];
      int32_t state = from;
      bool known = false;
      if (i > 0) {
        rest.push_back(static_cast<char>(bytes.first));
        rest.push_back(static_cast<char>(bytes.last));
        const auto [found, added] = shared.try_emplace(rest, 0);
        known = !added;
        if (added) found->second = AddState();
        state = found->second;
      }
      if (!known) states_[state].edges.push_back({bytes.first, bytes.last, to});
      to = state;
    }
  }
  return end;
}

int32_t AutomatonBuilder::AddRepeat(const Node& node, int32_t from) {
  const Expression body = node.parts[0];
  const bool unbounded = node.max == Grammar::kUnbounded;
  const size_t copies = unbounded ? size_t{node.min} + 1 : node.max;
  if (copies > 1 && copies > kInlineStates / Size(body)) {
    const auto [found, added] = bodies_.try_emplace(static_cast<int32_t>(body), 0);
    if (added) found->second = AddRule(body);
    return AddCall(found->second, from, node.min, node.max);
  }
  for (uint32_t i = 0; i < node.min; ++i) from = Add(body, from);
  if (unbounded) {
    const int32_t again = AddState();
    states_[from].epsilons.push_back(again);
    const int32_t end_of_body = Add(body, again);
    states_[end_of_body].epsilons.push_back(again);
    // What follows must not be taken for a way into the loop.
    const int32_t end = AddState();
    states_[again].epsilons.push_back(end);
    return end;
  }
  if (node.max == node.min) return from;
  const int32_t end = AddState();
  states_[from].epsilons.push_back(end);
  for (uint32_t i = node.min; i < node.max; ++i) {
    from = Add(body, from);
    states_[from].epsilons.push_back(end);
  }
  return end;
}

int32_t AutomatonBuilder::AddCall(int32_t rule, int32_t from, uint32_t min, uint32_t max) {
  const int32_t caller = AddState(), next = AddState();
  states_[from].epsilons.push_back(caller);
  Draft& draft = states_[caller];
  draft.callee = rule;
  draft.next = next;
  draft.min = min;
  draft.max = max;
  draft.loop = min != 1 || max != 1;
  return next;
}

size_t AutomatonBuilder::Size(Expression expression) {
  constexpr size_t kLarge = Automaton::kMaxStates;
  const size_t index = static_cast<size_t>(expression);
  if (sizes_[index] > 0) return sizes_[index];
  const Node& node = grammar_.node(expression);
  size_t size = 1 + node.bytes.size() + 2 * node.utf8.size() + (node.kind == Node::Kind::kCall);
  for (const Expression part : node.parts) size = std::min(kLarge, size + Size(part));
  if (node.kind == Node::Kind::kRepeat) {
    const size_t copies = node.max == Grammar::kUnbounded ? size_t{node.min} + 1 : node.max;
    size = copies > kInlineStates / size ? 2 : size * copies;
  }
  return sizes_[index] = std::max<size_t>(size, 1);
}

// Which states can come to the end of their rule: without a byte, or over any bytes.
std::vector<bool> AutomatonBuilder::ReachesEnd(bool by_bytes) const {
  std::vector<std::vector<int32_t>> before(states_.size());  // which states to look at again once this one is known
  for (size_t i = 0; i < states_.size(); ++i) {
    const Draft& state = states_[i];
    for (const int32_t to : state.epsilons) before[to].push_back(static_cast<int32_t>(i));
    if (by_bytes) {
      for (const Automaton::Edge& edge : state.edges) before[edge.to].push_back(static_cast<int32_t>(i));
    }
    if (state.callee < 0) continue;
    before[state.next].push_back(static_cast<int32_t>(i));
    before[out_.rules_[state.callee].start].push_back(static_cast<int32_t>(i));
  }
  std::vector<bool> reaches(states_.size(), false);
  const auto check = [&](int32_t index) {
    const Draft& state = states_[index];
    const auto reached = [&](int32_t to) { return reaches[to]; };
    return state.final || std::any_of(state.epsilons.begin(), state.epsilons.end(), reached) ||
           (by_bytes && std::any_of(state.edges.begin(), state.edges.end(),
                                    [&](const Automaton::Edge& edge) { return reaches[edge.to]; })) ||
           (state.callee >= 0 && reaches[state.next] &&
            (state.min == 0 || reaches[out_.rules_[state.callee].start]));
  };
  std::vector<int32_t> work;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].final) work.push_back(static_cast<int32_t>(i));
    // A call that may be left out depends on what follows alone, and is looked at when that is known.
  }
  for (const int32_t index : work) reaches[index] = true;
  while (!work.empty()) {
    const int32_t index = work.back();
    work.pop_back();
    for (const int32_t source : before[index]) {
      if (reaches[source] || !check(source)) continue;
      reaches[source] = true;
      work.push_back(source);
    }
  }
  return reaches;
}

void AutomatonBuilder::PassEmptyCalls() {
  const std::vector<bool> nullable = ReachesEnd(false);
  for (Draft& state : states_) {
    if (state.callee < 0) continue;
    const bool empty_body = nullable[out_.rules_[state.callee].start];
    if (empty_body || state.min == 0) state.epsilons.push_back(state.next);
    if (empty_body && state.loop) state.min = 0;
  }
  out_.matches_empty_ = nullable[out_.rules_[out_.root_].start];
}

void AutomatonBuilder::Prune() {
  const std::vector<bool> useful = ReachesEnd(true);
  for (Draft& state : states_) {
    const auto useless = [&](int32_t to) { return !useful[to]; };
    state.epsilons.erase(std::remove_if(state.epsilons.begin(), state.epsilons.end(), useless), state.epsilons.end());
    state.edges.erase(std::remove_if(state.edges.begin(), state.edges.end(),
                                     [&](const Automaton::Edge& edge) { return !useful[edge.to]; }),
                      state.edges.end());
    if (state.callee >= 0 && !(useful[state.next] && useful[out_.rules_[state.callee].start])) state.callee = -1;
  }
}

bool AutomatonBuilder::IsTail(const Draft& caller) const {
  constexpr size_t kFewStates = 16;
  if (caller.loop) return false;
  std::vector<int32_t> seen{caller.next};
  for (size_t i = 0; i < seen.size(); ++i) {
    const Draft& state = states_[seen[i]];
    if (!state.edges.empty() || state.callee >= 0 || seen.size() > kFewStates) return false;
    for (const int32_t to : state.epsilons) {
      if (std::find(seen.begin(), seen.end(), to) == seen.end()) seen.push_back(to);
    }
  }
  return true;
}

void AutomatonBuilder::FindEntry(Automaton::Rule& rule) const {
  absl::flat_hash_map<int32_t, bool> seen{{rule.start, true}};
  std::vector<int32_t> work{rule.start};
  while (!work.empty()) {
    const int32_t index = work.back();
    work.pop_back();
    const Draft& state = states_[index];
    if (!state.edges.empty() || state.callee >= 0) rule.entry.push_back(index);
    for (const int32_t to : state.epsilons) {
      if (seen.try_emplace(to, true).second) work.push_back(to);
    }
  }
  std::sort(rule.entry.begin(), rule.entry.end());
}

// In the reverse of the order in which a depth-first search leaves them.
absl::Status AutomatonBuilder::RankRules() {
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> mark(out_.rules_.size(), kNew);
  int32_t rank = static_cast<int32_t>(out_.rules_.size());
  struct Visit {
    int32_t rule;
    size_t next;
  };
  for (size_t first = 0; first < mark.size(); ++first) {
    if (mark[first] != kNew) continue;
    std::vector<Visit> path{{static_cast<int32_t>(first), 0}};
    mark[first] = kOpen;
    while (!path.empty()) {
      Automaton::Rule& rule = out_.rules_[path.back().rule];
      if (path.back().next == rule.entry.size()) {
        rule.rank = --rank;
        mark[path.back().rule] = kDone;
        path.pop_back();
        continue;
      }
      const int32_t callee = states_[rule.entry[path.back().next++]].callee;
      if (callee < 0 || mark[callee] == kDone) continue;
      if (mark[callee] == kOpen) {
        return absl::InvalidArgumentError("a rule refers to itself before it has matched anything");
      }
      mark[callee] = kOpen;
      path.push_back({callee, 0});
    }
  }
  return absl::OkStatus();
}

void AutomatonBuilder::FindByteClasses() {
  std::array<bool, 257> begins{};
  for (const Draft& state : states_) {
    for (const Automaton::Edge& edge : state.edges) begins[edge.first] = begins[edge.last + 1] = true;
  }
  int count = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte > 0 && begins[byte]) ++count;
    out_.class_of_[byte] = static_cast<uint8_t>(count);
  }
  out_.class_count_ = count + 1;
}

void AutomatonBuilder::Flatten() {
  size_t edges = 0, epsilons = 0;
  for (const Draft& state : states_) {
    edges += state.edges.size();
    epsilons += state.epsilons.size();
  }
  out_.edges_.reserve(edges);  // spans point into both
  out_.epsilons_.reserve(epsilons);
  for (const Draft& draft : states_) {
    Automaton::State& state = out_.states_.emplace_back();
    const size_t first_edge = out_.edges_.size(), first_epsilon = out_.epsilons_.size();
    out_.edges_.insert(out_.edges_.end(), draft.edges.begin(), draft.edges.end());
    out_.epsilons_.insert(out_.epsilons_.end(), draft.epsilons.begin(), draft.epsilons.end());
    state.edges = {out_.edges_.data() + first_edge, draft.edges.size()};
    state.epsilons = {out_.epsilons_.data() + first_epsilon, draft.epsilons.size()};
    state.callee = draft.callee;
    state.next = draft.next;
    state.min = draft.min;
    state.max = draft.max;
    state.loop = draft.loop;
    state.final = draft.final;
    state.tail = draft.callee >= 0 && IsTail(draft);
  }
}

absl::StatusOr<Automaton> AutomatonBuilder::Build() {
  for (size_t i = 0; i < grammar_.rule_count(); ++i) AddRule(grammar_.definition(static_cast<Grammar::Rule>(i)));
  sizes_.resize(grammar_.node_count(), 0);
  out_.root_ = static_cast<int32_t>(grammar_.root());
  for (size_t i = 0; i < definitions_.size(); ++i) {  // grows by the bodies of loops
    const int32_t end = Add(definitions_[i], out_.rules_[i].start);
    states_[end].final = true;
  }
  if (states_.size() > Automaton::kMaxStates) {
    return absl::ResourceExhaustedError(absl::StrCat("it needs more than ", Automaton::kMaxStates, " states"));
  }
  PassEmptyCalls();
  Prune();
  if (!ReachesEnd(true)[out_.rules_[out_.root_].start]) return absl::InvalidArgumentError("it matches no text");
  for (Automaton::Rule& rule : out_.rules_) FindEntry(rule);
  RETURN_IF_ERROR(RankRules());
  FindByteClasses();
  Flatten();
  return std::move(out_);
}

absl::StatusOr<Automaton> Automaton::Compile(const Grammar& grammar) { return AutomatonBuilder(grammar).Build(); }

}  // namespace spotinference
