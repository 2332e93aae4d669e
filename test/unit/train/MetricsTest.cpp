#include "train/Metrics.h"

#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace lmc {
namespace {

using testing::HasSubstr;

/// What a scraper reads.
std::string scrape(int port) {
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string text;
  if (connect(client, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0) {
    std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    if (write(client, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t count; (count = read(client, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<size_t>(count));
    }
  }
  close(client);
  return text;
}

TEST(TrainingMetrics, ServesTheContractsNames) {
  TrainingMetrics metrics("127.0.0.1:0", 4096);
  metrics.update({7, 2.5f, 0.75f, 0.125f, 700, 1000, 0.3});
  metrics.update({8, 2.25f, 0.5f, 0.0625f, 800, 2000, 0.02});
  std::string text = scrape(metrics.port());
  EXPECT_THAT(text, HasSubstr("\nlmc_training_loss 2.25\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_grad_norm 0.5\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_learning_rate 0.0625\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_tokens_per_second 2000\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_training_step 8\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_arena_bytes 4096\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_step_duration_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("lmc_step_duration_seconds_bucket{le=\"0.1\"} 1\n"));
}

TEST(TrainingMetrics, TellsOfTheGpu) {
  TrainingMetrics metrics("127.0.0.1:0", 4096,
                          std::make_shared<GpuMonitor>("0000:3B:00.0", LMC_FAKE_NVML));
  std::string text = scrape(metrics.port());
  EXPECT_THAT(text, HasSubstr("\nlmc_gpu_utilization_ratio 0.75\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_gpu_memory_used_bytes 5368709120\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_gpu_temperature_celsius 61\n"));
  EXPECT_THAT(text, HasSubstr("\nlmc_arena_bytes 4096\n"));
}

TEST(TrainingMetrics, AnAddressThatCannotBeBoundIsAnError) {
  TrainingMetrics first("127.0.0.1:0", 0);
  for (std::string listen : {"127.0.0.1:" + std::to_string(first.port()),
                             std::string("203.0.113.1:9464"), std::string("no such host:1")}) {
    try {
      TrainingMetrics second(listen, 0);
      ADD_FAILURE() << "bound " << listen;
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr("metrics.listen: cannot listen on '" + listen + "'"));
    }
  }
}

} // namespace
} // namespace lmc
