// Compiled where MPI is found.

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "kernels/processes.hpp"

// The bindings for C are all there is to be used.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

namespace orrery::mpi {

std::shared_ptr<Exchange> exchange();
std::string library();

namespace {

MPI_Datatype type_of(float) { return MPI_FLOAT; }
MPI_Datatype type_of(double) { return MPI_DOUBLE; }

/// Errors end all processes: MPI's default, which says what happened.
class MpiExchange final : public Exchange {
 public:
  MpiExchange() {
    int threads = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count_);
  }
  ~MpiExchange() override {
    while (is_called()) called_ = false;  // no message may be left unread
    MPI_Finalize();
  }
  MpiExchange(const MpiExchange&) = delete;

  int rank() const override { return rank_; }
  int count() const override { return count_; }
  void sum(std::span<float> numbers) override { sum_in_chunks(numbers); }
  void sum(std::span<double> numbers) override { sum_in_chunks(numbers); }

  void spread(std::span<std::byte> bytes, int from) override {
    constexpr std::size_t most = std::numeric_limits<int>::max();
    for (std::size_t at = 0; at < bytes.size(); at += most) {
      const auto chunk = bytes.subspan(at, std::min(most, bytes.size() - at));
      MPI_Bcast(chunk.data(), static_cast<int>(chunk.size()), MPI_BYTE, from, MPI_COMM_WORLD);
    }
  }

  void call() override {
    for (int other = 0; other < count_; ++other)
      if (other != rank_) MPI_Send(nullptr, 0, MPI_BYTE, other, 0, MPI_COMM_WORLD);
  }
  bool is_called() override {
    int arrived = 0;
    MPI_Status message;
    MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &arrived, &message);
    if (arrived)
      MPI_Recv(nullptr, 0, MPI_BYTE, message.MPI_SOURCE, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    called_ = called_ || arrived;
    return called_;
  }

  // MPI's own waiting keeps a processor busy. Processes that work alike arrive within microseconds
  // of one another; who has waited for longer sleeps between two looks, at last for a millisecond.
  int least(int number) override {
    using namespace std::chrono;
    int found = number, arrived = 0;
    MPI_Request request;
    MPI_Iallreduce(&number, &found, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    const auto began = steady_clock::now();
    for (;;) {
      MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
      if (arrived) return found;
      const auto waited = steady_clock::now() - began;
      if (waited > microseconds(100))
        std::this_thread::sleep_for(std::min<steady_clock::duration>(waited / 4, milliseconds(1)));
      else
        std::this_thread::yield();
    }
  }

 private:
  // Each process sums one share of the numbers and gives it to all. MPI_Allreduce need not leave
  // the same bits everywhere; this does, with the same traffic. Chunks bound the memory it takes,
  // and keep counts within MPI's int.
  template <class T>
  void sum_in_chunks(std::span<T> numbers) {
    constexpr std::size_t most = std::size_t{1} << 22;
    std::vector<T> share;
    for (std::size_t at = 0; at < numbers.size(); at += most)
      sum_chunk(numbers.subspan(at, std::min(most, numbers.size() - at)), share);
  }

  template <class T>
  void sum_chunk(std::span<T> numbers, std::vector<T>& share) {
    std::vector<int> counts, offsets;
    for (std::size_t r = 0; r < static_cast<std::size_t>(count_); ++r) {
      const std::size_t processes = static_cast<std::size_t>(count_);
      const std::size_t first = numbers.size() * r / processes;
      offsets.push_back(static_cast<int>(first));
      counts.push_back(static_cast<int>(numbers.size() * (r + 1) / processes - first));
    }
    const int mine = counts[static_cast<std::size_t>(rank_)];
    share.resize(static_cast<std::size_t>(mine));
    const MPI_Datatype type = type_of(T{});
    MPI_Reduce_scatter(numbers.data(), share.data(), counts.data(), type, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allgatherv(share.data(), mine, type, numbers.data(), counts.data(), offsets.data(), type,
                   MPI_COMM_WORLD);
  }

  int rank_ = 0, count_ = 1;
  bool called_ = false;
};

}  // namespace

std::shared_ptr<Exchange> exchange() { return std::make_shared<MpiExchange>(); }

std::string library() {
  char name[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(name, &length);
  const std::string text(name, static_cast<std::size_t>(length));
  return text.substr(0, text.find_first_of(",\n"));
}

}  // namespace orrery::mpi
