#include "engine/sample/grammar/configurations.h"

#include <algorithm>
#include <cstring>

namespace spotinference {
namespace {

// What a hash table's entry and the pointer to it cost beside the words.
constexpr size_t kEntryBytes = 64;

// Nested loops rarely call each other directly; what lies deeper is cut.
constexpr int kLoopsKept = 4;

void SortUnique(std::vector<uint32_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

void Configurations::Draft::Reset() {
  frames.clear();
  seen.clear();
  work.clear();
  entered.clear();
  cuts.clear();
  can_end = false;
}

Configurations::Configurations(const Automaton& automaton)
    : automaton_(automaton), classes_(automaton.class_count()) {
  Clear();
}

void Configurations::Clear() {
  frames_ = {{std::numeric_limits<int32_t>::min(), 0, 0, 0}};
  frame_index_.clear();
  sets_index_.clear();
  sets_.clear();
  configuration_index_.clear();
  configurations_.clear();
  flags_.clear();
  next_.clear();
  memory_bytes_ = 0;
  InternConfiguration({0, 0});  // kDead
  std::fill(next_.begin(), next_.end(), kDead);
}

Configurations::Id Configurations::Start() {
  draft_.Reset();
  Enter(automaton_.root(), kBottom);
  draft_.can_end = automaton_.matches_empty();
  CallAll();
  return FinishDraft();
}

Configurations::Id Configurations::Advance(Id from, uint8_t byte) {
  if (work_left_ < 0) return kDead;
  draft_.Reset();
  work_left_ -= static_cast<int64_t>(items(from).size() / 16);  // to look at one is much quicker than to go on from it
  for (const Item& item : items(from)) {
    for (const Automaton::Edge& edge : automaton_.state(item.state).edges) {
      if (byte < edge.first || byte > edge.last) continue;
      for (const Frame frame : *sets_[item.frames]) Reach(edge.to, frame);
    }
  }
  FollowAll();
  CallAll();
  if (work_left_ < 0) return kDead;
  const Id to = FinishDraft();
  next_[size_t{from} * classes_ + automaton_.class_of(byte)] = to;
  return to;
}

void Configurations::Reach(int32_t state, Frame frame) {
  if (--work_left_ < 0) return;
  if (!draft_.seen.insert(uint64_t(state) << 32 | frame).second) return;
  draft_.frames[state].push_back(frame);
  draft_.work.emplace_back(state, frame);
}

void Configurations::FollowAll() {
  while (!draft_.work.empty()) {
    const auto [index, frame] = draft_.work.back();
    draft_.work.pop_back();
    const Automaton::State& state = automaton_.state(index);
    for (const int32_t to : state.epsilons) Reach(to, frame);
    if (state.final) ReturnTo(frame);
  }
}

void Configurations::ReturnTo(Frame index) {
  if (index == kBottom) {
    draft_.can_end = true;
    return;
  }
  const FrameValue frame = frames_[index];
  if (frame.caller < 0) {
    draft_.cuts.push_back(-1 - frame.caller);
    return;
  }
  const Automaton::State& caller = automaton_.state(frame.caller);
  bool on = true;
  if (caller.loop) {
    const uint32_t min = frame.min_left == 0 ? 0 : frame.min_left - 1;
    const uint32_t max = frame.max_left == Grammar::kUnbounded ? frame.max_left : frame.max_left - 1;
    if (max > 0) Enter(caller.callee, InternFrame({frame.caller, min, max, frame.below}));
    on = min == 0;
  }
  if (!on) return;
  for (const Frame below : *sets_[frame.below]) Reach(caller.next, below);
}

void Configurations::Enter(int32_t rule, Frame frame) {
  --work_left_;
  draft_.entered[{automaton_.rule(rule).rank, rule}].push_back(frame);
}

void Configurations::Call(int32_t index, absl::Span<const Frame> frames) {
  const Automaton::State& state = automaton_.state(index);
  if (state.tail) {
    for (const Frame frame : frames) Enter(state.callee, frame);
    return;
  }
  const Frames below = InternFrames({frames.begin(), frames.end()});
  Enter(state.callee, InternFrame({index, state.min, state.max, below}));
}

// Calls come last, callers before callees, so that a frame is made of all the frames that belong below it: else stacks
// that could share it would multiply. A rule's end at its start is not looked at: the caller's empty edge stands for
// it.
void Configurations::CallAll() {
  std::vector<int32_t> callers;
  for (const auto& [state, _] : draft_.frames) {
    if (automaton_.state(state).callee >= 0) callers.push_back(state);
  }
  for (const int32_t caller : callers) Call(caller, draft_.frames[caller]);
  while (!draft_.entered.empty() && work_left_ >= 0) {
    const auto first = draft_.entered.begin();
    const int32_t rule = first->first.second;
    std::vector<Frame> frames = std::move(first->second);
    draft_.entered.erase(first);
    SortUnique(frames);
    for (const int32_t index : automaton_.rule(rule).entry) {
      const Automaton::State& state = automaton_.state(index);
      work_left_ -= static_cast<int64_t>(frames.size());
      if (!state.edges.empty()) {
        auto& here = draft_.frames[index];
        here.insert(here.end(), frames.begin(), frames.end());
      }
      if (state.callee >= 0) Call(index, frames);
    }
  }
}

Configurations::Id Configurations::FinishDraft() {
  std::vector<Item> items;
  for (const auto& [state, frames] : draft_.frames) {
    if (automaton_.state(state).edges.empty()) continue;
    items.push_back({static_cast<uint32_t>(state), InternFrames({frames.begin(), frames.end()})});
  }
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.state < b.state; });
  SortUnique(draft_.cuts);
  std::vector<uint32_t> words;
  words.reserve(2 + 2 * items.size() + draft_.cuts.size());
  words.push_back((draft_.can_end ? kCanEnd : 0) | (draft_.cuts.empty() ? 0 : kHasCuts));
  words.push_back(static_cast<uint32_t>(items.size()));
  for (const Item& item : items) {
    words.push_back(item.state);
    words.push_back(item.frames);
  }
  words.insert(words.end(), draft_.cuts.begin(), draft_.cuts.end());
  return InternConfiguration(std::move(words));
}

Configurations::Frame Configurations::InternFrame(const FrameValue& value) {
  const auto [found, added] = frame_index_.try_emplace(value, static_cast<Frame>(frames_.size()));
  if (added) {
    frames_.push_back(value);
    memory_bytes_ += 2 * sizeof(FrameValue) + sizeof(Frame);
  }
  return found->second;
}

Configurations::Frames Configurations::InternFrames(std::vector<Frame> frames) {
  SortUnique(frames);
  const size_t size = frames.size();
  const auto [found, added] = sets_index_.try_emplace(std::move(frames), static_cast<Frames>(sets_.size()));
  if (added) {
    sets_.push_back(&found->first);
    memory_bytes_ += kEntryBytes + size * sizeof(Frame);
  }
  return found->second;
}

Configurations::Id Configurations::InternConfiguration(std::vector<uint32_t> words) {
  const size_t size = words.size();
  const auto [found, added] =
      configuration_index_.try_emplace(std::move(words), static_cast<Id>(configurations_.size()));
  if (added) {
    configurations_.push_back(&found->first);
    flags_.push_back(static_cast<uint8_t>(found->first[0]));
    next_.resize(next_.size() + classes_, kUnknown);
    memory_bytes_ += kEntryBytes + (size + classes_) * sizeof(uint32_t);
  }
  return found->second;
}

absl::Span<const Configurations::Item> Configurations::items(Id id) const {
  static_assert(sizeof(Item) == 2 * sizeof(uint32_t));
  const std::vector<uint32_t>& words = *configurations_[id];
  return {reinterpret_cast<const Item*>(words.data() + 2), words[1]};
}

absl::Span<const uint32_t> Configurations::cuts(Id id) const {
  return absl::MakeConstSpan(*configurations_[id]).subspan(2 + 2 * items(id).size());
}

Configurations::Frames Configurations::CutFrames(Frames frames, uint32_t cap, int depth, Top& top) {
  std::vector<Frame> kept, cut;
  for (const Frame index : *sets_[frames]) {
    const FrameValue frame = frames_[index];
    if (depth == 0 || frame.caller < 0 || !automaton_.state(frame.caller).loop) {
      cut.push_back(index);
      continue;
    }
    const Frames below = CutFrames(frame.below, cap, depth - 1, top);
    const uint32_t max_left = frame.max_left == Grammar::kUnbounded ? frame.max_left : std::min(frame.max_left, cap);
    kept.push_back(InternFrame({frame.caller, std::min(frame.min_left, cap), max_left, below}));
  }
  if (!cut.empty()) {
    const Frames below = InternFrames(std::move(cut));
    const auto known = std::find(top.below.begin(), top.below.end(), below);
    const int32_t number = static_cast<int32_t>(known - top.below.begin());
    if (known == top.below.end()) top.below.push_back(below);
    kept.push_back(InternFrame({-1 - number, 0, 0, 0}));
  }
  return InternFrames(std::move(kept));
}

Configurations::Top Configurations::CutBelowTop(Id id, uint32_t max_bytes) {
  Top top;
  std::vector<uint32_t> words{0, static_cast<uint32_t>(items(id).size())};
  for (const Item& item : items(id)) {
    words.push_back(item.state);
    words.push_back(CutFrames(item.frames, max_bytes + 1, kLoopsKept, top));
  }
  top.id = InternConfiguration(std::move(words));
  return top;
}

Configurations::Id Configurations::Return(Frames frames) {
  draft_.Reset();
  for (const Frame frame : *sets_[frames]) ReturnTo(frame);
  FollowAll();
  CallAll();
  return FinishDraft();
}

bool Matches(const Automaton& automaton, absl::string_view text) {
  Configurations configurations(automaton);
  Configurations::Id at = configurations.Start();
  for (const char c : text) at = configurations.Step(at, static_cast<uint8_t>(c));
  return configurations.can_end(at);
}

}  // namespace spotinference
