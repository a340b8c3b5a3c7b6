// A fleet whose machines are what a test says.
#ifndef GATEWAY_SESSION_FAKE_FLEET_H_
#define GATEWAY_SESSION_FAKE_FLEET_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "fleet/api/fleet.h"

namespace spotinference::fleet {

// Thread-safe.
class FakeFleet : public Fleet {
 public:
  // From now on each Acquire gets this at once; nullopt: it parks.
  void ServeAt(std::optional<Endpoint> endpoint) {
    absl::MutexLock lock(&mutex_);
    endpoint_ = std::move(endpoint);
  }
  // Answers the only parked request.
  void Resolve(AcquireError error) { TakeParked()(std::move(error)); }
  void Resolve(Endpoint endpoint) { TakeParked()(NewLease(std::move(endpoint))); }
  void SetProgress(std::optional<WakeProgress> progress) {
    absl::MutexLock lock(&mutex_);
    progress_ = std::move(progress);
  }

  WaitId Acquire(absl::string_view, const Claim& claim, absl::AnyInvocable<void(AcquireResult)> done) override {
    std::optional<Endpoint> endpoint;
    WaitId id;
    {
      absl::MutexLock lock(&mutex_);
      id = ++acquired_;
      last_claim_ = claim;
      endpoint = endpoint_;
      if (!endpoint.has_value()) parked_.emplace(id, std::move(done));
    }
    if (endpoint.has_value()) done(NewLease(*std::move(endpoint)));
    return id;
  }
  void Cancel(WaitId id) override {
    absl::AnyInvocable<void(AcquireResult)> done;  // destroyed without the lock
    absl::MutexLock lock(&mutex_);
    const auto found = parked_.find(id);
    if (found == parked_.end()) return;
    done = std::move(found->second);
    parked_.erase(found);
    ++cancelled_;
  }
  void ReportBroken(absl::string_view machine_id, absl::string_view) override {
    absl::MutexLock lock(&mutex_);
    broken_.emplace_back(machine_id);
  }
  void ReportNotice(absl::string_view machine_id) override {
    absl::MutexLock lock(&mutex_);
    noticed_.emplace_back(machine_id);
  }
  std::optional<WakeProgress> Progress(absl::string_view) const override {
    absl::MutexLock lock(&mutex_);
    ++progress_calls_;
    return acquired_ > 0 ? progress_ : std::nullopt;  // nothing wakes before somebody asks
  }
  std::vector<MachineView> Machines() const override { return {}; }
  std::vector<ModelView> Models() const override { return {}; }
  std::vector<LedgerLine> LedgerLines() const override {
    return {{"m", "spot", "busy", absl::Milliseconds(2500), 0.25, "laptop", 0.5, 7, 0.05}};
  }
  std::vector<StorageLine> StorageLines() const override {
    return {{"m", "volume", 200, 0.02}, {"m", "address", 0, 0.005}};
  }
  std::vector<InterruptionCount> Interruptions() const override { return {}; }
  std::vector<DecisionView> Decisions() const override {
    return {{.at = absl::FromUnixSeconds(1767225600), .model = "m", .machine = "m-1", .action = "launching", .why = "1 waits",
             .provider = "aws", .market = "spot", .zone = "z", .price_per_hour = 0.5, .waiting = 1}};
  }
  void Interrupt(absl::string_view machine, absl::Duration notice, OrderDone done) override {
    done(Order(absl::StrCat("interrupt ", machine, " ", absl::FormatDuration(notice))));
  }
  void Kill(absl::string_view machine, OrderDone done) override { done(Order(absl::StrCat("kill ", machine))); }
  void Hibernate(absl::string_view machine, OrderDone done) override {
    done(Order(absl::StrCat("hibernate ", machine)));
  }
  void WakeModel(absl::string_view model, OrderDone done) override { done(Order(absl::StrCat("wake ", model))); }

  // An admin's orders so far, and what they are answered from now on.
  std::vector<std::string> orders() const {
    absl::MutexLock lock(&mutex_);
    return orders_;
  }
  void AnswerOrders(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    order_answer_ = std::move(status);
  }
  // Of the lease that ended last.
  Lease::Use last_use() const {
    absl::MutexLock lock(&mutex_);
    return last_use_;
  }
  // Of the last lease's machine.
  std::shared_ptr<MachineLife> last_life() const {
    absl::MutexLock lock(&mutex_);
    return last_life_;
  }

  int acquired() const { return Get(acquired_); }
  Claim last_claim() const {
    absl::MutexLock lock(&mutex_);
    return last_claim_;
  }
  int leases() const { return Get(leases_); }
  std::vector<std::string> broken() const {
    absl::MutexLock lock(&mutex_);
    return broken_;
  }
  std::vector<std::string> noticed() const {
    absl::MutexLock lock(&mutex_);
    return noticed_;
  }
  void AwaitNoticed(size_t count) const { Await([&] { return noticed_.size() >= count; }); }
  void AwaitAcquired(int count) const { Await([&] { return acquired_ >= count; }); }
  void AwaitReleased() const { Await([&] { return leases_ == 0; }); }
  void AwaitCancelled(int count) const { Await([&] { return cancelled_ >= count; }); }
  void AwaitBroken(size_t count) const { Await([&] { return broken_.size() >= count; }); }
  // Progress has been asked for `count` more times.
  void AwaitProgress(int count) const {
    absl::MutexLock lock(&mutex_);
    const int target = progress_calls_ + count;
    const auto enough = [&] { return progress_calls_ >= target; };
    mutex_.Await(absl::Condition(&enough));
  }

 private:
  Lease NewLease(Endpoint endpoint) {
    absl::MutexLock lock(&mutex_);
    ++leases_;
    last_life_ = std::make_shared<MachineLife>();
    return Lease(std::move(endpoint), last_life_, /*alone=*/false, [this](const Lease::Use& use) {
      absl::MutexLock lock(&mutex_);
      --leases_;
      last_use_ = use;
    });
  }
  absl::AnyInvocable<void(AcquireResult)> TakeParked() {
    absl::MutexLock lock(&mutex_);
    const auto one = [&] { return parked_.size() == 1; };
    mutex_.Await(absl::Condition(&one));
    auto done = std::move(parked_.begin()->second);
    parked_.clear();
    return done;
  }
  absl::Status Order(std::string order) {
    absl::MutexLock lock(&mutex_);
    orders_.push_back(std::move(order));
    return order_answer_;
  }
  int Get(const int& value) const {
    absl::MutexLock lock(&mutex_);
    return value;
  }
  template <typename Condition>
  void Await(const Condition& condition) const {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&condition));
  }

  mutable absl::Mutex mutex_;
  std::optional<Endpoint> endpoint_;
  std::optional<WakeProgress> progress_;
  absl::flat_hash_map<WaitId, absl::AnyInvocable<void(AcquireResult)>> parked_;
  std::vector<std::string> broken_, noticed_;
  Claim last_claim_;
  std::shared_ptr<MachineLife> last_life_;
  Lease::Use last_use_;
  std::vector<std::string> orders_;
  absl::Status order_answer_;
  int acquired_ = 0, leases_ = 0, cancelled_ = 0;
  mutable int progress_calls_ = 0;
};

}  // namespace spotinference::fleet

#endif  // GATEWAY_SESSION_FAKE_FLEET_H_
