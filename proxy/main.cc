#include "proxy/cli.h"
#include "proxy/server.h"

int main(int argc, char** argv) {
  return warder::proxy::cli_main(argc, argv, warder::proxy::run_server);
}
