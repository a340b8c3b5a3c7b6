// Where a text may stand in an automaton: every state with every stack that reading it can lead to, as one number.
//
// A configuration is a set of (state, set of stacks). Stacks are shared from the bottom up: a frame is the call that it
// returns to and the set of frames below, as in a graph-structured stack (Tomita, "An efficient augmented-context-free
// parsing algorithm", 1987), so that ambiguous grammars stay small too. Frames, sets and configurations are kept once
// each, and each configuration remembers where a byte leads: a deterministic automaton, made as far as it is walked.
#ifndef ENGINE_SAMPLE_GRAMMAR_CONFIGURATIONS_H_
#define ENGINE_SAMPLE_GRAMMAR_CONFIGURATIONS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/sample/grammar/automaton.h"

namespace spotinference {

// One thread at a time. Ids hold until Clear.
class Configurations {
 public:
  using Id = uint32_t;
  using Frames = uint32_t;  // a set of frames
  static constexpr Id kDead = 0;  // no text goes on from here

  explicit Configurations(const Automaton& automaton);  // which outlives it

  // Of the empty text.
  Id Start();

  Id Step(Id from, uint8_t byte) {
    const uint32_t to = next_[size_t{from} * classes_ + automaton_.class_of(byte)];
    return to != kUnknown ? to : Advance(from, byte);
  }

  // Whether the text may end here.
  bool can_end(Id id) const { return (flags_[id] & kCanEnd) != 0; }

  // The same place with nothing known of the stacks below the top frame, so that many places share one: what lies below
  // is called cut 0, 1, … and returned apart. Frames of loops are kept, a few deep; their counters are capped at
  // `max_bytes` + 1, which no text of `max_bytes` can tell from the real ones.
  struct Top {
    Id id;
    std::vector<Frames> below;  // by cut
  };
  Top CutBelowTop(Id id, uint32_t max_bytes);
  // The cuts that a text has returned through by now: from there it goes on at Return(below[cut]).
  bool has_cuts(Id id) const { return (flags_[id] & kHasCuts) != 0; }
  absl::Span<const uint32_t> cuts(Id id) const;
  Id Return(Frames frames);

  // Steps not walked before cost work, one unit for each state and frame that they lead to. When none is left they lead
  // to kDead, until the limit is set anew.
  void set_work_limit(int64_t work) { work_left_ = work; }
  bool work_exhausted() const { return work_left_ < 0; }

  size_t memory_bytes() const { return memory_bytes_; }  // about
  void Clear();

 private:
  using Frame = uint32_t;
  static constexpr uint32_t kUnknown = std::numeric_limits<uint32_t>::max();
  static constexpr Frame kBottom = 0;  // under it lies nothing: the text ends
  static constexpr uint8_t kCanEnd = 1, kHasCuts = 2;

  struct FrameValue {
    int32_t caller;               // state; -1 - cut: a cut; kBottom's is the least
    uint32_t min_left, max_left;  // of a loop, with the run under way
    Frames below;
    friend bool operator==(const FrameValue&, const FrameValue&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const FrameValue& f) {
      return H::combine(std::move(h), f.caller, f.min_left, f.max_left, f.below);
    }
  };
  struct Item {
    uint32_t state;
    Frames frames;
  };
  // A configuration being put together.
  struct Draft {
    absl::flat_hash_map<int32_t, absl::InlinedVector<Frame, 2>> frames;  // by state
    absl::flat_hash_set<uint64_t> seen;                                  // state and frame
    std::vector<std::pair<int32_t, Frame>> work;
    std::map<std::pair<int32_t, int32_t>, std::vector<Frame>> entered;  // by rank and index of the rule
    std::vector<uint32_t> cuts;
    bool can_end = false;
    void Reset();
  };

  Id Advance(Id from, uint8_t byte);
  void Reach(int32_t state, Frame frame);
  void FollowAll();
  void ReturnTo(Frame frame);
  void Enter(int32_t rule, Frame frame);
  void Call(int32_t state, absl::Span<const Frame> frames);
  void CallAll();
  Id FinishDraft();

  Frame InternFrame(const FrameValue& value);
  Frames InternFrames(std::vector<Frame> frames);
  Id InternConfiguration(std::vector<uint32_t> words);
  absl::Span<const Item> items(Id id) const;
  Frames CutFrames(Frames frames, uint32_t cap, int depth, Top& top);

  const Automaton& automaton_;
  const size_t classes_;

  std::vector<FrameValue> frames_;
  absl::flat_hash_map<FrameValue, Frame> frame_index_;
  absl::node_hash_map<std::vector<Frame>, Frames> sets_index_;
  std::vector<const std::vector<Frame>*> sets_;
  // A configuration in words: its flags, the number of items, the items, the cuts.
  absl::node_hash_map<std::vector<uint32_t>, Id> configuration_index_;
  std::vector<const std::vector<uint32_t>*> configurations_;
  std::vector<uint8_t> flags_;
  std::vector<uint32_t> next_;  // [configuration, class of bytes]
  size_t memory_bytes_ = 0;
  int64_t work_left_ = std::numeric_limits<int64_t>::max();
  Draft draft_;
};

// Whether `automaton` accepts the whole text.
bool Matches(const Automaton& automaton, absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_CONFIGURATIONS_H_
