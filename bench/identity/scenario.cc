#include "scenario.h"

namespace warder::bench {

std::vector<Scenario> scenarios() {
  std::vector<Scenario> list;
  const LoadTarget least{10, 400, 100};
  for (const std::size_t sockets : {10UL, 1'000UL, 10'000UL, 50'000UL})
    list.push_back({"sockets", std::to_string(sockets), {sockets, 400, 100}, 1, "pause"});
  for (const std::size_t files : {400UL, 10'000UL, 100'000UL})
    list.push_back({"files", std::to_string(files), {10, files, 100}, 1, "pause"});
  for (const std::size_t processes : {100UL, 1'000UL})
    list.push_back({"processes", std::to_string(processes), {10, 400, processes}, 1, "pause"});
  for (const std::size_t waiting : {1UL, 64UL})
    list.push_back({"waiting", std::to_string(waiting), least, waiting, "pause"});
  for (const char* const wait : {"pause", "recv", "poll"})
    list.push_back({"client in", wait, least, 1, wait});
  list.push_back({"busy host", "10000+10000", {10'000, 20'000, 100}, 1, "poll"});
  return list;
}

const std::vector<std::string>& axes() {
  static const std::vector<std::string> names{"sockets", "files", "processes", "waiting",
                                              "client in"};
  return names;
}

}  // namespace warder::bench
