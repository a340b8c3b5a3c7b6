#include "backends/vulkan/selection_buffer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// As shaders/selection.glsl has them.
constexpr int kPartIds = 1024;
constexpr uint32_t kMostTop = 16, kMostNoisy = 4, kMost = kMostTop + kMostNoisy;
constexpr uint32_t kNowhere = 0xffffffff;
struct Wanted {
  uint32_t kind;
  float inverse_temperature;
  uint32_t seed[2];
  uint32_t choice, position;
  uint32_t masked;
  uint32_t asked;
  float least, tied;
  uint32_t tied_id;
  float largest;
  uint32_t bounds;
};
struct Part {
  uint32_t top, noisy, largest_id;
  float largest, weight, last_logit, last_score;
  uint32_t ids[kMost];
  float logits[kMost];
};
struct Sum {
  uint32_t count, low_half, high_half;
};
constexpr int kLowHalf = 20;  // bits
static_assert(static_cast<int>(Selection::Kind::kAll) == 0 && static_cast<int>(Selection::Kind::kLargest) == 1 &&
              static_cast<int>(Selection::Kind::kTop) == 2 && static_cast<int>(Selection::Kind::kNoisy) == 3 &&
              static_cast<int>(Selection::Kind::kLikelier) == 4);
static_assert(Selection::kMaxAsked == 2048 && Selection::kMaxBounds == 16);
static_assert(sizeof(Selection::Bound) == 2 * sizeof(uint32_t));

// Where the row's largest logit is, of equals the first; null: there is none.
const Part* WithLargest(absl::Span<const Part> parts) {
  const Part* largest = nullptr;
  for (const Part& part : parts) {
    if (part.largest_id == kNowhere) continue;
    if (largest == nullptr || part.largest > largest->largest ||
        (part.largest == largest->largest && part.largest_id < largest->largest_id)) {
      largest = &part;
    }
  }
  return largest;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SelectionBuffer>> SelectionBuffer::Create(int rows, int width, Memory& memory) {
  std::unique_ptr<SelectionBuffer> buffer(new SelectionBuffer((width + kPartIds - 1) / kPartIds, (width + 31) / 32));
  const size_t asked_bytes = sizeof(uint32_t) * rows * Selection::kMaxAsked;
  buffer->allowed_at_ = sizeof(Wanted) * rows;
  buffer->asked_at_ = buffer->allowed_at_ + sizeof(uint32_t) * rows * buffer->mask_words_;
  buffer->answers_at_ = sizeof(Part) * rows * buffer->parts_of_row_;
  buffer->bounds_at_ = buffer->asked_at_ + asked_bytes;
  buffer->sums_at_ = buffer->answers_at_ + asked_bytes;
  const size_t bounds_bytes = sizeof(Selection::Bound) * Selection::kMaxBounds;
  const size_t sums_bytes = sizeof(Sum) * Selection::kMaxBounds * buffer->parts_of_row_;
  ASSIGN_OR_RETURN(buffer->wanted_, memory.Allocate(buffer->bounds_at_ + bounds_bytes, MemoryUse::kUpload));
  ASSIGN_OR_RETURN(buffer->found_, memory.Allocate(buffer->sums_at_ + sums_bytes, MemoryUse::kReadback));
  return buffer;
}

void SelectionBuffer::Write(absl::Span<const Selection> selections) {
  for (size_t row = 0; row < selections.size(); ++row) WriteRow(static_cast<int>(row), selections[row]);
}

void SelectionBuffer::Write(int row, int rows, const Selection& selection) {
  auto* const wanted = reinterpret_cast<Wanted*>(wanted_->mapped());
  for (int other = 0; other < rows; ++other) wanted[other].kind = static_cast<uint32_t>(Selection::Kind::kAll);
  WriteRow(row, selection);
}

void SelectionBuffer::WriteRow(int row, const Selection& selection) {
  reinterpret_cast<Wanted*>(wanted_->mapped())[row] = {
      static_cast<uint32_t>(selection.kind),
      1 / selection.temperature,
      {static_cast<uint32_t>(selection.seed), static_cast<uint32_t>(selection.seed >> 32)},
      selection.choice,
      selection.position,
      !selection.allowed.empty(),
      static_cast<uint32_t>(selection.asked.size()),
      selection.least,
      selection.tied,
      selection.tied_id,
      selection.largest,
      static_cast<uint32_t>(selection.bounds.size())};
  const auto put = [this](size_t at, const auto& span) {
    if (!span.empty()) std::memcpy(wanted_->mapped() + at, span.data(), span.size() * sizeof(span[0]));
  };
  put(allowed_at_ + sizeof(uint32_t) * mask_words_ * row, selection.allowed);
  put(asked_at_ + sizeof(uint32_t) * Selection::kMaxAsked * row, selection.asked);
  put(bounds_at_, selection.bounds);
}

void SelectionBuffer::ReadLikelier(const Selection& selection, Selected& selected) const {
  const auto* sum = reinterpret_cast<const Sum*>(found_->mapped() + sums_at_);
  selected.likelier.assign(selection.bounds.size(), {0, 0});
  for (uint32_t part = 0; part < parts_of_row_; ++part, sum += Selection::kMaxBounds) {
    for (size_t b = 0; b < selection.bounds.size(); ++b) {
      selected.likelier[b].count += sum[b].count;
      selected.likelier[b].weight += (int64_t{sum[b].high_half} << kLowHalf) + sum[b].low_half;
    }
  }
}

void SelectionBuffer::Read(int row, const Selection& selection, Selected& selected) const {
  if (selection.kind == Selection::Kind::kLikelier) return ReadLikelier(selection, selected);
  const absl::Span<const Part> parts(reinterpret_cast<const Part*>(found_->mapped()) + size_t{parts_of_row_} * row,
                                     parts_of_row_);
  const auto* const answers =
      reinterpret_cast<const float*>(found_->mapped() + answers_at_) + Selection::kMaxAsked * row;
  selected.asked.assign(answers, answers + selection.asked.size());
  selected.candidates.clear();
  selected.others = -std::numeric_limits<float>::infinity();
  selected.others_score = -std::numeric_limits<double>::infinity();
  selected.weight = 0;
  const Part* const largest = WithLargest(parts);
  if (largest == nullptr) return;
  bool has_largest = false;
  for (const Part& part : parts) {
    if (part.largest_id == kNowhere) continue;
    const auto take = [&](uint32_t first, uint32_t count) {
      for (uint32_t i = first; i < first + count; ++i) {
        selected.candidates.push_back({part.ids[i], part.logits[i]});
        has_largest |= part.ids[i] == largest->largest_id;
      }
    };
    take(0, part.top);
    take(kMostTop, part.noisy);
    const double below = (double{part.largest} - largest->largest) / selection.temperature;
    if (selection.kind == Selection::Kind::kTop) selected.weight += part.weight * std::exp(below);
    // Fewer are all that the part has.
    if (part.top == kMostTop) selected.others = std::max(selected.others, part.last_logit);
    if (part.noisy == kMostNoisy) selected.others_score = std::max(selected.others_score, below + part.last_score);
  }
  if (!has_largest) selected.candidates.push_back({largest->largest_id, largest->largest});
}

}  // namespace spotinference::vulkan
