// Compiled where NCCL is found beside CUDA and MPI.

#include <cuda_runtime.h>
#include <nccl.h>

#include <stdexcept>
#include <string>

#include "kernels/cuda_runtime.hpp"
#include "kernels/processes.hpp"

namespace orrery::nccl {

std::shared_ptr<DeviceSums> join(Exchange& exchange, const Context& ctx);

namespace {

void check(ncclResult_t status, const char* what) {
  if (status == ncclSuccess) return;
  throw std::runtime_error(std::string("NCCL could not ") + what + ": " +
                           ncclGetErrorString(status));
}

ncclDataType_t type_of(float) { return ncclFloat; }
ncclDataType_t type_of(double) { return ncclDouble; }

/// NCCL adds up each number in one place and sends the sum on, so that all get the same bits.
class NcclSums final : public DeviceSums {
 public:
  NcclSums(Exchange& exchange, const Context& ctx) {
    ncclUniqueId id{};
    if (exchange.rank() == 0) check(ncclGetUniqueId(&id), "start");
    exchange.spread(std::as_writable_bytes(std::span(&id, 1)), 0);
    cudaSetDevice(ctx.ordinal());
    check(ncclCommInitRank(&communicator_, exchange.count(), id, exchange.rank()),
          "join the processes");
  }
  ~NcclSums() override { ncclCommDestroy(communicator_); }
  NcclSums(const NcclSums&) = delete;

  void sum(const Context& ctx, View<float, 1> numbers) override { queue(ctx, numbers); }
  void sum(const Context& ctx, View<double, 1> numbers) override { queue(ctx, numbers); }

 private:
  template <class T>
  void queue(const Context& ctx, View<T, 1> numbers) {
    check(ncclAllReduce(numbers.data, numbers.data, static_cast<std::size_t>(numbers.size()),
                        type_of(T{}), ncclSum, communicator_, cuda::stream_of(ctx.device())),
          "sum numbers");
  }

  ncclComm_t communicator_ = nullptr;
};

}  // namespace

std::shared_ptr<DeviceSums> join(Exchange& exchange, const Context& ctx) {
  return std::make_shared<NcclSums>(exchange, ctx);
}

}  // namespace orrery::nccl
