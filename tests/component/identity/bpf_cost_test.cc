#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <iostream>

#include "tests/component/identity/bpf_fixture.h"

namespace warder::identity {
namespace {

constexpr std::size_t kCalls = 2000;

// Half of the calls take at most that long, in microseconds.
template <class Call>
double median_cost(const Call& call, std::size_t calls = kCalls) {
  std::vector<double> costs(calls);
  for (double& cost : costs) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - begin;
    cost = spent.count();
  }
  std::nth_element(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(calls / 2),
                   costs.end());
  return costs[calls / 2];
}

}  // namespace

// Only when asked for: component_tests "[bpf-cost]".
TEST_CASE_METHOD(testing::BpfFixture, "what the view costs", "[.][bpf-cost]") {
  testing::Client client(testing::kClientProgram);
  const testing::Ids ids = connect(client);
  const auto tell = [](const char* what, double cost) {
    std::cout << what << ": " << cost << " us" << std::endl;
  };
  KernelView& view = *opened_.view;
  const std::array wanted{ids.inode};
  const auto one = [&] { REQUIRE_FALSE(view.pass(wanted, {client.pid()})->held.empty()); };
  tell("connector", median_cost([&] { REQUIRE(*view.connector(ids.cookie)); }));
  tell("pass over one process", median_cost(one));
  tell("the same with others", median_cost([&] { (void)view.pass(wanted, {client.pid(), true}); }));
  tell("pass over nothing of one process",
       median_cost([&] { (void)view.pass({}, {client.pid()}); }));
  tell("pass over all", median_cost([&] { (void)view.pass(wanted, {}); }, 200));
  REQUIRE(client.tell("wait-aside poll") == "ok");
  (void)counted(ids.inode, client.pid(), 1, 2, 1);
  tell("one process, waiting in poll", median_cost(one));
  REQUIRE(client.tell("open-many 18900") == "ok");
  tell("one process with 18,900 descriptors", median_cost(one, 200));
  tell("pass over all, with that one", median_cost([&] { (void)view.pass(wanted, {}); }, 200));
}

}  // namespace warder::identity
