#include "kernels/processes.hpp"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "kernels/tensor.hpp"

namespace orrery {

namespace {

/// What is shown in a show of hands: a failed process its rank, below all others.
struct Hands {
  int count;
  int raised() const { return count; }
  int lowered() const { return count + 1; }
  bool failure(int least) const { return least < count; }
};

template <class T>
void sum_through_host(const Context& ctx, Exchange& exchange, View<T, 1> numbers) {
  const auto size = static_cast<std::size_t>(numbers.size());
  if (ctx.backend() == Backend::cpu) return exchange.sum(std::span(numbers.data, size));
  auto host = download(ctx, numbers);
  exchange.sum(std::span(host.data(), size));
  detail::copy_upload(ctx, numbers.data, host.data(), sizeof(T) * size);
}

/// The first of these variables that is set, as a number.
int from_environment(std::initializer_list<const char*> names, int otherwise) {
  for (const char* name : names)
    if (const char* value = std::getenv(name)) return std::atoi(value);
  return otherwise;
}

}  // namespace

// Open MPI's launcher, MPICH's and its relatives', MVAPICH's, and SLURM's, which sets its own
// variables for programs without MPI too and is taken at its word beside PMIx only.
int Processes::launched_count() {
  const int under_slurm =
      std::getenv("PMIX_RANK") ? from_environment({"SLURM_STEP_NUM_TASKS"}, 1) : 1;
  return std::max(1, from_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"},
                                      under_slurm));
}

int Processes::launched_rank() {
  return from_environment({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK"},
                          0);
}

std::string Processes::support() {
  if (ORRERY_WITH_NCCL) return "MPI, NCCL";
  return ORRERY_WITH_MPI ? "MPI" : "none";
}

Processes Processes::joined_by(std::shared_ptr<Exchange> exchange) {
  Processes processes;
  if (exchange->count() > 1) processes.exchange_ = std::move(exchange);
  return processes;
}

Processes::Share Processes::share_of(Index things) const {
  const auto beginning = [&](Index of_rank) { return things * of_rank / count(); };
  return {beginning(rank()), beginning(rank() + 1) - beginning(rank())};
}

void Processes::sum(const Context& ctx, View<float, 1> numbers) const {
  if (!exchange_) return;
  meet();
  if (device_sums_ && ctx.backend() == Backend::cuda) return device_sums_->sum(ctx, numbers);
  sum_through_host(ctx, *exchange_, numbers);
}

void Processes::sum(const Context& ctx, View<double, 1> numbers) const {
  if (!exchange_) return;
  meet();
  if (device_sums_ && ctx.backend() == Backend::cuda) return device_sums_->sum(ctx, numbers);
  sum_through_host(ctx, *exchange_, numbers);
}

double Processes::sum(double number) const {
  sum(Context::cpu(1), View<double, 1>(&number, 1));
  return number;
}

bool Processes::any(bool here) const {
  if (!exchange_) return here;
  const Hands hands{count()};
  const int shown = exchange_->least(here ? hands.raised() : hands.lowered());
  if (hands.failure(shown)) {
    AnotherFailed failure{0};
    exchange_->spread(std::as_writable_bytes(std::span(&failure.code, 1)), shown);
    throw failure;
  }
  return shown == hands.raised();
}

bool Processes::tell_failure(int& code) const {
  if (!exchange_) return true;
  exchange_->call();
  const int speaker = exchange_->least(rank());
  exchange_->spread(std::as_writable_bytes(std::span(&code, 1)), speaker);
  return speaker == rank();
}

void Processes::spread(std::span<std::byte> bytes) const {
  if (!exchange_) return;
  meet();
  exchange_->spread(bytes, 0);
}

void Processes::take_from_first(const Context& ctx, View<float, 1> numbers) const {
  if (!exchange_) return;
  auto host = download(ctx, numbers);
  spread(std::as_writable_bytes(std::span(host.data(), static_cast<std::size_t>(host.size()))));
  detail::copy_upload(ctx, numbers.data, host.data(), sizeof(float) * numbers.size());
}

std::vector<std::string> Processes::gather(std::string here) const {
  if (!exchange_) return {std::move(here)};
  meet();
  std::vector<std::string> texts;
  for (int from = 0; from < count(); ++from) {
    std::string text = from == rank() ? here : "";
    std::size_t size = text.size();
    exchange_->spread(std::as_writable_bytes(std::span(&size, 1)), from);
    text.resize(size);
    exchange_->spread(std::as_writable_bytes(std::span(text)), from);
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace orrery
