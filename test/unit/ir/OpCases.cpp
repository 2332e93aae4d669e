#include "OpCases.h"

#include "passes/Pipeline.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>

using namespace mlir;

namespace lmc::test {

static nlohmann::json readCases(const std::string &name) {
  std::string path = "test/data/ir/" + name + "_cases.json";
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error(path + ": run the test in the repository root");
  return nlohmann::json::parse(file);
}

const std::vector<OpCase> &opCases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> read;
    for (const char *name : {"graph", "quantised", "window", "serving"})
      for (const auto &entry : readCases(name)) {
        OpCase one{entry.at("name"),
                   entry.at("op"),
                   entry.at("mlir"),
                   entry.at("args"),
                   entry.at("results"),
                   entry.at("grad"),
                   {}};
        if (entry.contains("reason"))
          one.reason = entry.at("reason").get<std::string>();
        read.push_back(std::move(one));
      }
    return read;
  }();
  return cases;
}

std::string testName(const std::string &caseName) {
  std::string name = caseName;
  for (char &c : name)
    c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

Context::Context() : context(MLIRContext::Threading::DISABLED) {
  loadCompilerDialects(context);
  context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
    errors += diagnostic.str() + "\n";
    return success();
  });
}

OwningOpRef<ModuleOp> Context::parse(const std::string &text) {
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    ADD_FAILURE() << errors << text;
  return module;
}

bool Context::run(ModuleOp module, std::unique_ptr<Pass> pass) {
  PassManager manager(&context);
  if (pass->getOpName() == func::FuncOp::getOperationName())
    manager.addNestedPass<func::FuncOp>(std::move(pass));
  else
    manager.addPass(std::move(pass));
  return succeeded(manager.run(module));
}

func::FuncOp functionOf(ModuleOp module, StringRef name) {
  if (!name.empty())
    return module.lookupSymbol<func::FuncOp>(name);
  return *module.getOps<func::FuncOp>().begin();
}

std::vector<lm::Tensor> tensorsFor(func::FuncOp function,
                                   const std::vector<std::vector<double>> &data) {
  std::vector<lm::Tensor> tensors;
  for (auto [type, numbers] : llvm::zip_equal(function.getArgumentTypes(), data)) {
    tensors.emplace_back(cast<RankedTensorType>(type).getShape(), numbers);
    EXPECT_EQ(tensors.back().size(), lm::Tensor::count(tensors.back().shape));
  }
  return tensors;
}

SmallVector<lm::Tensor> evaluated(func::FuncOp function, const std::vector<lm::Tensor> &arguments) {
  auto results = lm::evaluate(function, arguments);
  EXPECT_TRUE(succeeded(results));
  return succeeded(results) ? std::move(*results) : SmallVector<lm::Tensor>();
}

void expectClose(ArrayRef<lm::Tensor> got, ArrayRef<lm::Tensor> expected, double tolerance,
                 const std::string &what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].shape, expected[i].shape) << what << ", result " << i;
    for (int64_t j = 0; j < got[i].size(); ++j) {
      double a = got[i].data[j], b = expected[i].data[j];
      ASSERT_TRUE(a == b || std::abs(a - b) <= tolerance * (1 + std::abs(b)))
          << what << ", result " << i << ", element " << j << ": got " << a << ", expected " << b;
    }
  }
}

} // namespace lmc::test
