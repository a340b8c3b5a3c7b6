#include "engine/base/inbox.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/base/snapshot.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

TEST(InboxTest, EachSendersMessagesComeOnceAndInOrder) {
  constexpr int kSenders = 4, kMessages = 20000;
  struct Message {
    int sender, number;
  };
  Inbox<Message> inbox;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = 0; i < kMessages; ++i) inbox.Put({sender, i});
    });
  }
  std::vector<int> next(kSenders, 0);
  for (int taken = 0; taken < kSenders * kMessages;) {
    inbox.Wait(absl::InfiniteDuration());
    inbox.TakeAll([&](Message&& message) {
      EXPECT_EQ(message.number, next[message.sender]++);
      ++taken;
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(next, std::vector<int>(kSenders, kMessages));
}

TEST(InboxTest, AWaitEndsWithAMessageOrItsTime) {
  Inbox<int> inbox;
  inbox.Wait(absl::ZeroDuration());
  inbox.Wait(absl::Milliseconds(1));
  absl::Notification taken;
  std::thread receiver([&] {
    for (int got = 0; got == 0;) {
      inbox.Wait(absl::InfiniteDuration());
      inbox.TakeAll([&](int message) { got = message; });
    }
    taken.Notify();
  });
  inbox.Put(7);
  taken.WaitForNotification();
  receiver.join();
}

TEST(InboxTest, WhatIsPutWhileTakingStaysForTheNextTime) {
  Inbox<int> inbox;
  inbox.Put(1);
  std::vector<int> taken;
  inbox.TakeAll([&](int message) {
    taken.push_back(message);
    inbox.Put(2);
  });
  EXPECT_EQ(taken, std::vector<int>{1});
  inbox.TakeAll([&](int message) { taken.push_back(message); });
  EXPECT_EQ(taken, (std::vector<int>{1, 2}));
}

TEST(InboxTest, WhatNobodyTookGoesWithIt) {
  const auto message = std::make_shared<int>(1);
  {
    Inbox<std::shared_ptr<int>> inbox;
    inbox.Put(message);
    EXPECT_EQ(message.use_count(), 2);
  }
  EXPECT_EQ(message.use_count(), 1);
}

TEST(SnapshotTest, IsWholeWheneverItIsTaken) {
  struct Value {
    uint64_t parts[9];
    uint32_t last;
  };
  Snapshot<Value> snapshot;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (uint32_t i = 1; !stop; ++i) {
      Value value;
      for (uint64_t& part : value.parts) part = i;
      value.last = i;
      snapshot.Set(value);
      std::this_thread::yield();
    }
  });
  uint64_t seen = 0;
  for (int gets = 0; gets < 10000 || seen < 1000; ++gets) {
    const Value value = snapshot.Get();
    for (const uint64_t part : value.parts) ASSERT_EQ(part, value.last);
    EXPECT_GE(value.last, seen);
    seen = value.last;
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace spotinference
