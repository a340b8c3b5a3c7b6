#include "fleet/providers/cloud/life.h"

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Do = Next::Do;
using Goal = Life::Goal;
using State = CloudMachine::State;

constexpr CloudApi::Traits kKeeps = {.keeps_stopped = true};
constexpr absl::Duration kNow = absl::Hours(1);

Do What(const Life& life, const CloudMachine* machine, const CloudVolume* volume,
        const CloudMachine* holder = nullptr) {
  return Decide(kKeeps, {}, life, machine, volume, holder, kNow).what;
}

Absence Lacking(int lists, absl::Duration time) { return {.lists = lists, .first = kNow - time, .last = kNow}; }

CloudMachine Machine(State state) { return {.id = "i-1", .name = "m", .zone = "z", .state = state, .word = "word"}; }
CloudVolume Volume(std::string machine = "") {
  return {.id = "v-1", .name = "v", .zone = "z", .ready = true, .machine = machine, .attached = !machine.empty()};
}

TEST(Life, BeginsWithTheVolume) {
  Life life;
  const CloudVolume ready = Volume();
  CloudVolume creating = ready;
  creating.ready = false;
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kCreateVolume);
  EXPECT_EQ(What(life, nullptr, &creating), Do::kWait);
  EXPECT_EQ(What(life, nullptr, &ready), Do::kCreateMachine);
  life.volume_at = kNow - absl::Seconds(59);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait) << "it may not be listed yet";
  life.volume_at = kNow - absl::Seconds(61);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kCreateVolume);
}

TEST(Life, ACreateIsMadeAgainWhenItBrokeOrDoesNotShow) {
  const CloudVolume volume = Volume();
  Life life;
  life.create_at = kNow - absl::Seconds(1);
  EXPECT_EQ(What(life, nullptr, &volume), Do::kWait);
  life.create_broke = true;
  EXPECT_EQ(What(life, nullptr, &volume), Do::kCreateMachine);
  life.create_broke = false;
  life.create_at = kNow - absl::Minutes(2);
  EXPECT_EQ(What(life, nullptr, &volume), Do::kCreateMachine);
}

TEST(Life, RunsWhenItsVolumeIsThere) {
  Life life;
  life.ran = true;
  const CloudMachine starting = Machine(State::kStarting), running = Machine(State::kRunning),
                     odd = Machine(State::kUnknown);
  const CloudVolume free = Volume(), mine = Volume("i-1"), others = Volume("i-2");
  CloudMachine other = Machine(State::kRunning);
  EXPECT_EQ(What(life, &starting, &free), Do::kWait);
  EXPECT_EQ(What(life, &odd, &free), Do::kWait);
  EXPECT_EQ(What(life, &running, &free), Do::kAttach);
  EXPECT_EQ(What(life, &running, &mine), Do::kProbe);
  EXPECT_EQ(What(life, &running, &others, &other), Do::kWait) << "it is in use";
  other.state = State::kGone;
  EXPECT_EQ(What(life, &running, &others, &other), Do::kDetach);
  life.holder = Lacking(50, absl::Seconds(59));
  EXPECT_EQ(What(life, &running, &others, nullptr), Do::kWait) << "who has it may be there all the same";
  life.holder = Lacking(3, absl::Seconds(60));
  EXPECT_EQ(What(life, &running, &others, nullptr), Do::kDetach);
  life.first_attach_at = kNow - absl::Minutes(2);
  EXPECT_EQ(What(life, &running, &free), Do::kFail);
  life.serves = true;
  EXPECT_EQ(What(life, &running, &mine), Do::kWait);
}

TEST(Life, WhatIsTakenAwayFails) {
  const CloudVolume volume = Volume("i-1");
  Life life;
  life.ran = life.seen = life.serves = true;
  for (const State state : {State::kStopping, State::kStopped, State::kDeleting, State::kGone, State::kFailed}) {
    const CloudMachine machine = Machine(state);
    EXPECT_EQ(What(life, &machine, &volume), Do::kFail) << static_cast<int>(state);
  }
  life.absence = Lacking(100, absl::Seconds(59));
  EXPECT_EQ(What(life, nullptr, &volume), Do::kWait) << "lists lag behind";
  life.absence = Lacking(2, absl::Minutes(10));
  EXPECT_EQ(What(life, nullptr, &volume), Do::kWait) << "the API was down";
  life.absence = Lacking(3, absl::Seconds(60));
  EXPECT_EQ(What(life, nullptr, &volume), Do::kFail);
}

TEST(Life, AMachineThatDiesAtBirthIsBoughtAnewInAnotherLife) {
  const CloudVolume volume = Volume();
  const CloudMachine gone = Machine(State::kGone);
  Life life;
  life.machine_id = "i-1";
  EXPECT_EQ(What(life, &gone, &volume), Do::kCreateMachine) << "that was an earlier life";
  life.create_at = kNow - absl::Minutes(2);
  EXPECT_EQ(What(life, &gone, &volume), Do::kFail) << "its token buys no second one";
}

TEST(Life, AVolumeOnItsWayToADeadMachineIsTakenFromIt) {
  CloudVolume taken = Volume("i-2");
  taken.ready = taken.attached = false;
  CloudMachine other = Machine(State::kRunning);
  Life life;
  EXPECT_EQ(What(life, nullptr, &taken, &other), Do::kWait) << "it may be using it soon";
  other.state = State::kGone;
  EXPECT_EQ(What(life, nullptr, &taken, &other), Do::kDetach);
  life.holder = Lacking(50, absl::Seconds(59));
  EXPECT_EQ(What(life, nullptr, &taken, nullptr), Do::kWait);
  life.holder = Lacking(3, absl::Seconds(60));
  EXPECT_EQ(What(life, nullptr, &taken, nullptr), Do::kDetach);
  const CloudApi::Traits kAttaches = {.keeps_stopped = true, .attaches_at_creation = true};
  EXPECT_EQ(Decide(kAttaches, {}, life, nullptr, &taken, nullptr, kNow).what, Do::kWait) << "it is made with it";
}

TEST(Life, AVolumeThatOurOwnMachineGotIsLeftToIt) {
  const CloudApi::Traits kAttaches = {.keeps_stopped = true, .attaches_at_creation = true};
  const CloudVolume taken = Volume("i-2");
  Life life;
  life.holder = Lacking(100, absl::Minutes(10));
  EXPECT_EQ(Decide(kAttaches, {}, life, nullptr, &taken, nullptr, kNow).what, Do::kDetach);
  life.create_at = kNow - absl::Minutes(5);
  EXPECT_EQ(Decide(kAttaches, {}, life, nullptr, &taken, nullptr, kNow).what, Do::kWait) << "not listed yet";
}

// Else every later start of it would hang.
TEST(Life, AnAttachmentAtCreationThatNeverEndsFails) {
  const CloudApi::Traits kAttaches = {.keeps_stopped = true, .attaches_at_creation = true};
  const CloudMachine running = Machine(State::kRunning);
  CloudVolume attaching = Volume("i-1");
  attaching.attached = false;
  Life life;
  life.ran = true;
  life.first_attach_at = kNow - absl::Seconds(119);
  EXPECT_EQ(Decide(kAttaches, {}, life, &running, &attaching, &running, kNow).what, Do::kWait);
  life.first_attach_at = kNow - absl::Seconds(120);
  EXPECT_EQ(Decide(kAttaches, {}, life, &running, &attaching, &running, kNow).what, Do::kFail);
}

TEST(Life, WhatIsLeftOfARefusedCreateGoesFirst) {
  const CloudVolume volume = Volume();
  const CloudMachine failed = Machine(State::kFailed), deleting = Machine(State::kDeleting);
  Life life;
  life.remains_at = kNow - absl::Seconds(1);
  EXPECT_EQ(What(life, nullptr, &volume), Do::kWait) << "it will be listed, and has the name";
  EXPECT_EQ(What(life, &failed, &volume), Do::kDeleteMachine);
  EXPECT_EQ(What(life, &deleting, &volume), Do::kWait);
  life.goal = Goal::kDelete;
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  life.goal = Goal::kRun;
  life.create_at = kNow;
  EXPECT_EQ(What(life, &failed, &volume), Do::kFail) << "this is the one that was asked for";
}

TEST(Life, ARestoreStartsWhatIsStopped) {
  const CloudVolume volume = Volume("i-1");
  const CloudMachine stopping = Machine(State::kStopping), stopped = Machine(State::kStopped);
  Life life;
  EXPECT_EQ(What(life, &stopping, &volume), Do::kWait);
  EXPECT_EQ(What(life, &stopped, &volume), Do::kStartMachine);
  life.start_at = kNow - absl::Seconds(1);
  EXPECT_EQ(What(life, &stopped, &volume), Do::kWait);
}

TEST(Life, AStopLeavesWhatIsStopped) {
  const CloudMachine running = Machine(State::kRunning), stopping = Machine(State::kStopping),
                     stopped = Machine(State::kStopped);
  Life life;
  life.goal = Goal::kStop;
  life.drained_at = kNow + absl::Seconds(1);
  EXPECT_EQ(What(life, &running, nullptr), Do::kWait);
  life.drained_at = kNow;
  EXPECT_EQ(What(life, &running, nullptr), Do::kStopMachine);
  EXPECT_EQ(What(life, &stopping, nullptr), Do::kWait);
  life.seen = true;
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait) << "it is to be kept, not deleted";
  life.serves = true;
  life.stop_since = kNow - absl::Minutes(15) + absl::Seconds(1);
  EXPECT_EQ(What(life, &stopping, nullptr), Do::kWait) << "it saves what it computed";
  life.stop_since = kNow - absl::Minutes(15);
  EXPECT_EQ(What(life, &stopping, nullptr), Do::kFail) << "it never ends";
  EXPECT_EQ(What(life, &running, nullptr), Do::kFail) << "it was refused all the time, and bills";
  EXPECT_EQ(What(life, &stopped, nullptr), Do::kTellGone);
  life.may_start_at = kNow - absl::Seconds(59);
  EXPECT_EQ(What(life, &stopped, nullptr), Do::kWait) << "a restore that was called off may still begin";
  life.may_start_at = kNow - absl::Seconds(60);
  EXPECT_EQ(What(life, &stopped, nullptr), Do::kTellGone);
}

TEST(Life, WhatNeverServedHasAMinuteToStop) {
  const CloudMachine starting = Machine(State::kStarting);
  Life life;
  life.goal = Goal::kStop;
  life.stop_since = kNow - absl::Seconds(59);
  EXPECT_EQ(What(life, &starting, nullptr), Do::kStopMachine);
  life.stop_since = kNow - absl::Seconds(60);
  EXPECT_EQ(What(life, &starting, nullptr), Do::kFail);
}

TEST(Life, GoneIsToldWhenItIsSure) {
  const CloudMachine running = Machine(State::kRunning), deleting = Machine(State::kDeleting),
                     gone = Machine(State::kGone);
  Life life;
  life.goal = Goal::kDelete;
  EXPECT_EQ(What(life, &running, nullptr), Do::kDeleteMachine);
  life.delete_at = kNow - absl::Seconds(1);
  EXPECT_EQ(What(life, &running, nullptr), Do::kWait);
  EXPECT_EQ(What(life, &deleting, nullptr), Do::kWait);
  EXPECT_EQ(What(life, &gone, nullptr), Do::kTellGone);
  life.delete_at.reset();
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone);
  life.create_at = kNow - absl::Seconds(59);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait) << "a create in doubt may have bought it";
  life.create_at.reset();
  life.machine_id = "i-1";
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait) << "it was made, and no list has had it yet";
  life.create_at = kNow - absl::Minutes(10);
  life.absence = Lacking(100, absl::Minutes(10));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kDeleteMachine) << "the cloud is asked before it is called gone";
  life.seen = true;
  life.absence = Lacking(100, absl::Minutes(10));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kDeleteMachine) << "it may be there all the same";
  life.delete_at = kNow;
  life.absence = {};
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  life.absence = Lacking(3, absl::Seconds(2));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone) << "both say so";
}

// A list that was asked for before the machine could be in one says nothing, however late its answer is.
// A machine that runs may be in no list; its volume tells.
TEST(Life, WhatStillHasItsVolumeIsDeletedOnceMore) {
  const CloudVolume free = Volume(), mine = Volume("i-1"), others = Volume("i-2");
  Life life = {.goal = Goal::kDelete};
  life.machine_id = "i-1";
  life.seen = true;
  life.delete_at = kNow - absl::Seconds(29);
  life.absence = Lacking(3, absl::Seconds(6));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone);
  EXPECT_EQ(What(life, nullptr, &free), Do::kTellGone);
  EXPECT_EQ(What(life, nullptr, &others), Do::kTellGone);
  EXPECT_EQ(What(life, nullptr, &mine), Do::kWait);
  life.delete_at = kNow - absl::Seconds(31);
  EXPECT_EQ(What(life, nullptr, &mine), Do::kDeleteMachine);
  life.not_there = true;
  EXPECT_EQ(What(life, nullptr, &mine), Do::kTellGone) << "some clouds leave it to the dead";
  life.not_there = false;
  life.holder = Lacking(20, absl::Seconds(61));
  EXPECT_EQ(What(life, nullptr, &mine), Do::kTellGone);
}

TEST(Life, ALateAnswerIsNoProofThatNothingWasBought) {
  Life life;
  life.goal = Goal::kDelete;
  life.create_at = kNow - absl::Seconds(63);
  life.heard_at = kNow - absl::Seconds(40);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  life.heard_at = kNow - absl::Seconds(3);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone);
}

TEST(Life, ADiscardDeletesTheMachineAndThenItsVolume) {
  Life life;
  life.goal = Goal::kDelete;
  life.discards = true;
  life.stop_since = kNow - absl::Minutes(5);
  const CloudMachine stopped = Machine(State::kStopped), gone = Machine(State::kGone), running = Machine(State::kRunning);
  const CloudVolume free = Volume(), mine = Volume("i-1");
  EXPECT_EQ(What(life, &stopped, &mine, &stopped), Do::kDeleteMachine);
  EXPECT_EQ(What(life, nullptr, &free), Do::kWait) << "one list that lacks the machine says little";
  life.absence = Lacking(3, absl::Minutes(1));
  EXPECT_EQ(What(life, nullptr, &free), Do::kDeleteVolume);
  EXPECT_EQ(What(life, &gone, &free), Do::kDeleteVolume);
  EXPECT_EQ(What(life, &gone, &mine, &gone), Do::kDetach);
  EXPECT_EQ(What(life, nullptr, &mine), Do::kWait) << "who has it is not known to be gone";
  EXPECT_EQ(What(life, nullptr, &mine, &running), Do::kWait);
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  life.volume = Lacking(3, absl::Minutes(1));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone);
  life.volume_delete_at = kNow - absl::Seconds(20);
  life.volume = Lacking(3, absl::Seconds(3));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kTellGone) << "its deletion was accepted";
  life.volume = {};
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  EXPECT_EQ(What(life, nullptr, &free), Do::kWait);
  life.volume_delete_at = kNow - absl::Seconds(30);
  EXPECT_EQ(What(life, nullptr, &free), Do::kDeleteVolume);
}

TEST(Life, AVolumeThatAnotherMachineHasIsGivenUp) {
  Life life;
  life.goal = Goal::kDelete;
  life.discards = true;
  life.absence = Lacking(3, absl::Minutes(1));
  life.stop_since = kNow - absl::Minutes(15);
  const CloudMachine running = Machine(State::kRunning);
  const CloudVolume others = Volume("i-2");
  const Next next = Decide(kKeeps, {}, life, nullptr, &others, &running, kNow);
  EXPECT_EQ(next.what, Do::kTellGone);
  EXPECT_TRUE(absl::IsFailedPrecondition(next.status)) << next.status;
}

TEST(Life, AdoptionWaitsForALateList) {
  const CloudMachine stopped = Machine(State::kStopped);
  Life life;
  life.adopting = true;
  EXPECT_EQ(What(life, &stopped, nullptr), Do::kTellAdopted) << "the fleet says what becomes of it";
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait);
  life.machine_id = "i-1";
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kWait) << "the first list says little";
  life.absence = Lacking(3, absl::Seconds(60));
  EXPECT_EQ(What(life, nullptr, nullptr), Do::kFail);
}

TEST(Absence, CountsListsInARow) {
  Absence absence;
  absence.Note(false, absl::Seconds(1));
  absence.Note(false, absl::Seconds(5));
  EXPECT_EQ(absence.lists, 2);
  EXPECT_EQ(absence.last - absence.first, absl::Seconds(4));
  absence.Note(true, absl::Seconds(6));
  absence.Note(false, absl::Seconds(9));
  EXPECT_EQ(absence.lists, 1);
  EXPECT_EQ(absence.first, absl::Seconds(9));
}

}  // namespace
}  // namespace spotinference::fleet
