#include "engine/sample/grammar/matcher.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace spotinference {

Constraint::Constraint(Automaton automaton, std::shared_ptr<const TokenTrie> trie, size_t max_memory_bytes)
    : automaton_(std::move(automaton)),
      trie_(std::move(trie)),
      max_memory_bytes_(max_memory_bytes),
      configurations_(automaton_),
      path_(trie_->max_token_bytes() + 1) {}

void Constraint::TokenSet::AddTo(absl::Span<uint32_t> mask) const {
  if (dense) {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= words[i];
  } else {
    for (const uint32_t id : words) mask[id / 32] |= uint32_t{1} << (id % 32);
  }
}

Constraint::TokenSet Constraint::Keep(absl::Span<const uint32_t> mask) {
  TokenSet set;
  size_t count = 0;
  for (const uint32_t word : mask) count += std::popcount(word);
  set.dense = count >= mask.size();
  if (set.dense) {
    set.words.assign(mask.begin(), mask.end());
  } else {
    set.words.reserve(count);
    for (size_t i = 0; i < mask.size(); ++i) {
      for (uint32_t word = mask[i]; word != 0; word &= word - 1) {
        set.words.push_back(static_cast<uint32_t>(i * 32 + std::countr_zero(word)));
      }
    }
  }
  mask_bytes_ += sizeof(TopMask) + set.words.size() * sizeof(uint32_t);
  return set;
}

Constraint::Id Constraint::Read(Id from, absl::string_view bytes) {
  for (const char byte : bytes) from = configurations_.Step(from, static_cast<uint8_t>(byte));
  return from;
}

// Where what was known has been forgotten, the text is read again.
Constraint::Id Constraint::Locate(Matcher& matcher) {
  if (matcher.generation_ != generation_) {
    matcher.at_ = configurations_.Start();
    for (const uint32_t id : matcher.ids_) {
      configurations_.set_work_limit(kMaxMaskWork);
      matcher.at_ = Read(matcher.at_, trie_->bytes(id));
    }
    matcher.generation_ = generation_;
  }
  return matcher.at_;
}

void Constraint::Walk(Id from, uint32_t start, absl::Span<uint32_t> mask, std::vector<TopMask::Return>* returns) {
  const absl::Span<const TokenTrie::Node> nodes = trie_->nodes();
  const absl::Span<const uint32_t> tokens = trie_->tokens();
  path_[nodes[start].depth] = from;
  for (uint32_t i = start + 1; i < nodes[start].end;) {
    const TokenTrie::Node& node = nodes[i];
    const Id id = configurations_.Step(path_[node.depth - 1], static_cast<uint8_t>(node.byte));
    if (id == Configurations::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = id;
    for (uint32_t t = node.first_token; t < nodes[i + 1].first_token; ++t) {
      mask[tokens[t] / 32] |= uint32_t{1} << (tokens[t] % 32);
    }
    if (returns != nullptr && configurations_.has_cuts(id) && node.end > i + 1) {
      for (const uint32_t cut : configurations_.cuts(id)) returns->push_back({i, cut});
    }
    ++i;
  }
}

const Constraint::TopMask& Constraint::MaskOfTop(Id top, absl::Span<uint32_t> scratch) {
  std::unique_ptr<TopMask>& mask = tops_[top];
  if (mask == nullptr) {
    mask = std::make_unique<TopMask>();
    std::fill(scratch.begin(), scratch.end(), 0);
    Walk(top, 0, scratch, &mask->returns);
    mask->tokens = Keep(scratch);
    mask_bytes_ += mask->returns.size() * sizeof(TopMask::Return);
  }
  return *mask;
}

absl::Status Constraint::FillMask(Id id, absl::Span<uint32_t> mask) {
  if (const auto known = masks_.find(id); known != masks_.end()) {
    std::fill(mask.begin(), mask.end(), 0);
    known->second.AddTo(mask);
    return absl::OkStatus();
  }
  configurations_.set_work_limit(kMaxMaskWork);
  const Configurations::Top top = configurations_.CutBelowTop(id, trie_->max_token_bytes());
  const TopMask& of_top = MaskOfTop(top.id, mask);
  std::vector<Id> resumed(top.below.size(), Configurations::kDead);
  std::fill(mask.begin(), mask.end(), 0);
  of_top.tokens.AddTo(mask);
  for (const TopMask::Return& past : of_top.returns) {
    Id& from = resumed[past.cut];
    if (from == Configurations::kDead) from = configurations_.Return(top.below[past.cut]);
    Walk(from, past.node, mask, nullptr);
  }
  if (configurations_.work_exhausted()) {
    tops_.erase(top.id);
    return absl::ResourceExhaustedError(
        "the constraint leaves so many readings of the text open that its next tokens would take too long to find");
  }
  if (!met_.insert(id).second) masks_.emplace(id, Keep(mask));
  return absl::OkStatus();
}

bool Matcher::Accept(uint32_t id) {
  absl::MutexLock lock(&constraint_->mutex_);
  const absl::string_view bytes = constraint_->trie_->bytes(id);
  const Configurations::Id at = constraint_->Locate(*this);
  constraint_->configurations_.set_work_limit(Constraint::kMaxMaskWork);
  const Configurations::Id to = bytes.empty() ? Configurations::kDead : constraint_->Read(at, bytes);
  if (to == Configurations::kDead) return false;
  at_ = to;
  ids_.push_back(id);
  return true;
}

absl::Status Matcher::FillMask(absl::Span<uint32_t> mask) {
  Constraint& constraint = *constraint_;
  absl::MutexLock lock(&constraint.mutex_);
  if (constraint.configurations_.memory_bytes() + constraint.mask_bytes_ > constraint.max_memory_bytes_) {
    constraint.configurations_.Clear();
    constraint.tops_.clear();
    constraint.masks_.clear();
    constraint.met_.clear();
    constraint.mask_bytes_ = 0;
    ++constraint.generation_;
  }
  return constraint.FillMask(constraint.Locate(*this), mask);
}

bool Matcher::CanEnd() {
  absl::MutexLock lock(&constraint_->mutex_);
  return constraint_->configurations_.can_end(constraint_->Locate(*this));
}

}  // namespace spotinference
