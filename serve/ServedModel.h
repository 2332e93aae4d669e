// What both fronts serve: one model, its tokenizer, its scheduler and the metrics.
#pragma once

#include "serve/Engine.h"
#include "serve/Metrics.h"
#include "serve/Scheduler.h"

#include "frontend/chat/ChatTemplate.h"
#include "frontend/tokenizer/Tokenizer.h"

#include <memory>

namespace lmc {

struct ServedModel {
  ServedModel(std::shared_ptr<Engine> engine, std::shared_ptr<const Tokenizer> tokenizer,
              std::shared_ptr<const ChatTemplate> chat = nullptr, SchedulerOptions options = {})
      : engine(std::move(engine)), tokenizer(std::move(tokenizer)), chat(std::move(chat)),
        scheduler(*this->engine, *this->tokenizer, metrics, std::move(options)) {}

  const ModelInfo &model() const { return engine->info(); }

  std::shared_ptr<Engine> engine;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat; ///< null where the model has none
  Metrics metrics;
  Scheduler scheduler;
};

} // namespace lmc
