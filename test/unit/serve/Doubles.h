// Stand-ins for a model and its tokenizer: byte tokens, and answers that a test scripts.
#pragma once

#include "serve/Engine.h"
#include "serve/Failure.h"

#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace lmc {

/// Ids 0 to 255 are bytes, 256 begins a text, 257 ends an answer.
class FakeTokenizer : public Tokenizer {
public:
  static constexpr int32_t bos = 256, eos = 257, size = 258;
  std::atomic<bool> failEncode = false, failDecode = false;
  bool addsBos = true;

  std::vector<int32_t> encode(std::string_view text, bool addSpecial) const override {
    if (failEncode)
      fail("cannot encode");
    std::vector<int32_t> ids;
    if (addSpecial && addsBos)
      ids.push_back(bos);
    for (unsigned char byte : text)
      ids.push_back(byte);
    return ids;
  }
  std::string tokenBytes(int32_t id) const override {
    if (failDecode)
      fail("cannot decode");
    return id < 256 ? std::string(1, static_cast<char>(id)) : "";
  }
  int32_t vocabSize() const override { return size; }
  bool isSpecial(int32_t id) const override { return id >= 256; }
  std::string serialize() const override { return "{}"; }
};

/// Holds the engine at the start of a step until the test lets it go on.
class Gate {
public:
  void close() {
    std::lock_guard lock(mutex);
    permits = 0;
  }
  void open() {
    std::lock_guard lock(mutex);
    permits = -1;
    changed.notify_all();
  }
  void allow(int steps) {
    std::lock_guard lock(mutex);
    permits += steps;
    changed.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return permits != 0; });
    --waiting;
    if (permits > 0)
      --permits;
  }
  /// Until a step stands before the closed gate; false if none comes.
  bool awaitArrival(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [&] { return waiting > 0 && permits == 0; });
  }

private:
  std::mutex mutex;
  std::condition_variable changed;
  int permits = -1; // -1: open
  int waiting = 0;
};

/// Answers each prompt with `answer` and then the end of the answer, one byte a step.
class FakeEngine : public Engine {
public:
  ModelInfo model{
      "fake", "gpt2", FakeTokenizer::size, 64, 12345, FakeTokenizer::bos, {FakeTokenizer::eos}};
  int slotCount = 2;
  int64_t memory = 1 << 20; ///< tokens that all sequences may hold together (startFor)
  int64_t scoreLength = 5;
  std::string answer = "hello";
  bool drawing = false; ///< whether sequences draw (Sequence::draws)
  Gate gate;
  std::atomic<int> steps = 0, live = 0, mostLive = 0, drawn = 0;
  std::atomic<int64_t> longestAppend = 0;
  /// Changes or breaks the logits of a step; called with the tokens held so far.
  std::function<void(int64_t length, std::vector<float> &logits)> spoil;

  const ModelInfo &info() const override { return model; }
  int slots() const override { return slotCount; }
  uint64_t arenaBytes() const override { return 4096; }
  int64_t longestScore() const override { return scoreLength; }
  int64_t batch = 0;           ///< mostSteps
  std::vector<size_t> batches; ///< sizes of those that were computed
  int64_t mostSteps() const override { return batch; }
  std::vector<int32_t> appendAndDraw(std::span<const Step> list) override {
    batches.push_back(list.size());
    std::vector<int32_t> drawn;
    for (const Step &step : list)
      drawn.push_back(step.sequence->appendAndDraw({&step.token, 1}, step.draw));
    return drawn;
  }
  std::unique_ptr<Sequence> start() override { return startFor(1); }
  std::unique_ptr<Sequence> startFor(int64_t tokens) override {
    if (live >= slotCount || promised + tokens > memory)
      return nullptr;
    return std::make_unique<FakeSequence>(*this, tokens);
  }

private:
  std::atomic<int64_t> promised = 0;

  class FakeSequence : public Sequence {
  public:
    FakeSequence(FakeEngine &engine, int64_t promised) : engine(engine), promised(promised) {
      engine.mostLive = std::max<int>(engine.mostLive, ++engine.live);
      engine.promised += promised;
    }
    ~FakeSequence() override {
      --engine.live;
      engine.promised -= promised;
    }

    std::span<const float> append(std::span<const int32_t> tokens) override {
      engine.gate.pass();
      ++engine.steps;
      engine.longestAppend = std::max<int64_t>(engine.longestAppend, tokens.size());
      held.insert(held.end(), tokens.begin(), tokens.end());
      if (length() > engine.model.context)
        fail("the cache holds {} tokens, {} were appended", engine.model.context, length());
      rows = row();
      return rows;
    }
    bool draws() const override { return engine.drawing; }
    int32_t appendAndDraw(std::span<const int32_t> tokens, const Draw &draw) override {
      append(tokens);
      ++engine.drawn;
      return drawnId(keptIds(rows, draw), draw.bits);
    }
    std::span<const float> logits() override { return rows; }
    std::span<const float> score(std::span<const int32_t> tokens) override {
      engine.gate.pass();
      ++engine.steps;
      engine.longestAppend = std::max<int64_t>(engine.longestAppend, tokens.size());
      rows.clear();
      for (int32_t token : tokens) {
        held.push_back(token);
        auto next = row();
        rows.insert(rows.end(), next.begin(), next.end());
      }
      if (length() > engine.model.context)
        fail("the cache holds {} tokens, {} were appended", engine.model.context, length());
      return rows;
    }
    void truncate(int64_t length) override { held.resize(length); }
    int64_t length() const override { return static_cast<int64_t>(held.size()); }

  private:
    /// The logits behind what is held.
    std::vector<float> row() const {
      std::vector<float> logits(engine.model.vocab, 0.f);
      size_t next = answered();
      logits[next < engine.answer.size() ? byteAt(next) : FakeTokenizer::eos] = 50;
      if (engine.spoil)
        engine.spoil(length(), logits);
      return logits;
    }
    int32_t byteAt(size_t i) const { return static_cast<unsigned char>(engine.answer[i]); }
    /// How much of the answer the sequence ends with; prompts must not end with its beginning.
    size_t answered() const {
      for (size_t n = std::min(engine.answer.size(), held.size()); n > 0; --n) {
        bool same = true;
        for (size_t i = 0; i < n && same; ++i)
          same = held[held.size() - n + i] == byteAt(i);
        if (same)
          return n;
      }
      return 0;
    }

    FakeEngine &engine;
    int64_t promised;
    std::vector<int32_t> held;
    std::vector<float> rows; // of logits
  };
};

/// Waits for what other threads bring about; false after a time that no healthy run needs.
inline bool eventually(const std::function<bool()> &condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// The value of a line of Prometheus text, "name{labels}"; -1 if it is not there.
inline double metric(const std::string &text, const std::string &series) {
  size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

} // namespace lmc
